"""A few DICOM films, and what their listing says."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.example_gen.datasets import dicom
from components.example_gen.datasets.listing import Fate, Listing
from components.example_gen.datasets.source import Source
from components.example_gen.record import XrayFile
from tests.components.example_gen import dicom_samples as dicoms
from tests.components.example_gen.samples import write

FILM = dicoms.film(bits=8, height=8, width=9)
SOURCE = Source()


_numbers = itertools.count()


def a_film(**header: Any) -> bytes:
    """A film of another patient than all others, if the header does not say whose it is."""
    return dicoms.dicom(FILM, **{"PatientID": f"P{next(_numbers)}"} | header)


def named(file: XrayFile) -> str:
    """The file's own name, which the record does not have."""
    return Path(file.path).name


def write_table(root: Path, *rows: str, header: str = "image,findings") -> Path:
    """The table of labels."""
    return write(root / "labels.csv", "".join(f"{line}\n" for line in (header, *rows)).encode())


def list_films(root: Path, films: Mapping[str, bytes], *rows: str, **table: str) -> Listing:
    """The listing of films, and of a table with such rows, if there are any."""
    for name, data in films.items():
        write(root / name, data)
    if rows:
        write_table(root, *rows, **table)
    return dicom.list_files(root, SOURCE)


def only_file(root: Path, **header: Any) -> XrayFile:
    """The record of one film with such a header."""
    (file,) = list_films(root, {"NORMAL/a.dcm": a_film(**header)}).files
    return file


def left_out(found: Listing) -> dict[str, tuple[str, Fate]]:
    """Why each was left out, by its name."""
    return {Path(one.source).name: (one.reason, one.fate) for one in found.left_out}
