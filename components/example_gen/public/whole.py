"""Is a folder the whole dataset as published? Its files by name and number, none opened."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from components.example_gen.public.published import PublicDataset

# How many files a message names; their number is always given.
_NAMED = 10


def verify(dataset: PublicDataset, root: Path) -> list[str]:
    """What a folder lacks of the published dataset, in words; nothing if it is whole.

    No image is opened.
    """
    names = own_files(dataset, root)
    problems = _count_problems(dataset, names)
    problems += [f"{name} is missing" for name in dataset.required if name not in names]
    if dataset.index:
        problems += _index_problems(dataset, root, names)
    return problems


def files_below(root: Path) -> Iterator[str]:
    """Every file below a folder, relative to it."""
    for folder, _, filenames in os.walk(root):
        for filename in filenames:
            yield Path(folder, filename).relative_to(root).as_posix()


def own_files(dataset: PublicDataset, root: Path) -> list[str]:
    """The dataset's own files below its folder."""
    return [name for name in files_below(root) if dataset.holds(name)]


def count_images(dataset: PublicDataset, root: Path) -> int:
    """How many images of the dataset are below its folder."""
    return sum("/" in name for name in own_files(dataset, root))


def some(names: Iterable[str]) -> str:
    """The first of many names, for a message, and how many more there are."""
    ordered = sorted(names)
    shown = ", ".join(name.encode(errors="backslashreplace").decode() for name in ordered[:_NAMED])
    return f"{shown} and {len(ordered) - _NAMED:,} more" if len(ordered) > _NAMED else shown


def _count_problems(dataset: PublicDataset, names: Iterable[str]) -> list[str]:
    expected = dict(dataset.counts)
    found = dict.fromkeys(expected, 0)
    for name in names:
        folder = name.rpartition("/")[0]
        if folder:
            found[folder] = found.get(folder, 0) + 1
    if dataset.flat in found:
        expected, found = (
            {dataset.flat: sum(expected.values())},
            {dataset.flat: sum(found.values())},
        )
    return [
        f"{folder} has {found[folder]:,} images, not {count:,}"
        for folder, count in expected.items()
        if found[folder] != count
    ]


def _index_problems(dataset: PublicDataset, root: Path, names: Iterable[str]) -> list[str]:
    """Where the table and the images do not name each other."""
    table = next((root / name for name in dataset.index if (root / name).is_file()), None)
    if table is None:
        return [f"{dataset.index[0]} is missing"]
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = [(row.get("Image Index") or "").strip() for row in csv.DictReader(file)]
    except (csv.Error, UnicodeDecodeError) as error:
        return [f"{table.name} cannot be read as a CSV table: {error}"]
    images = {PurePosixPath(name).name for name in names if "/" in name}
    expected = sum(dataset.counts.values())
    problems = []
    if len(rows) != expected:
        problems.append(f"{table.name} has {len(rows):,} rows, not {expected:,}")
    if without := set(rows) - images:
        problems.append(f"rows of {table.name} without their image: {some(without)}")
    if unnamed := images - set(rows):
        problems.append(f"images that {table.name} does not name: {some(unnamed)}")
    return problems
