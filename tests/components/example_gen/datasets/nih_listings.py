"""NIH sets of a few rows, and what their listing says."""

from __future__ import annotations

import collections
from pathlib import Path

from components.example_gen.datasets import nih
from components.example_gen.datasets.listing import (
    Listing,
)
from components.example_gen.datasets.source import Source
from components.example_gen.record import XrayFile
from tests.components.example_gen.samples import (
    NIH_HEADER,
    encode,
    film,
    nih_row,
    write,
    write_nih_table,
)

IMAGE = encode(film(0))
ROWS = (nih_row("a.png"), nih_row("b.png", findings="Pneumonia", patient=2))


def list_files(root: Path, **settings: object) -> Listing:
    """The listing of a set, by its settings."""
    return nih.list_files(root, Source.model_validate(settings))


def list_rows(root: Path, *rows: str, header: str = NIH_HEADER) -> Listing:
    """The listing of a table, where every image that it names is on disk."""
    for row in rows:
        write(root / "images" / row.split(",")[0].strip(), IMAGE)
    write_nih_table(root, rows, header)
    return list_files(root)


def only_file(root: Path, row: str) -> XrayFile:
    """The record of a table's only row."""
    (file,) = list_rows(root, row).files
    return file


def left_out(found: Listing) -> dict[str, str]:
    """Why each was left out, by its name."""
    return {Path(one.source).name: one.reason for one in found.left_out}


def fates(found: Listing) -> dict[str, int]:
    """How many of each fate."""
    return dict(collections.Counter(one.fate.value for one in found.left_out))
