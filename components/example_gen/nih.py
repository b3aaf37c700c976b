"""NIH ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315).

Adults and children of the NIH Clinical Center: PNG images, and a table with findings that were
mined from reports. `No Finding` is normal and any finding that contains `Pneumonia` is
pneumonia; the other images are out of scope for the binary label, and counted.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from components.example_gen.listing import IMAGE_SUFFIXES, DatasetError, LeftOut, Listing
from components.example_gen.record import NORMAL, PNEUMONIA, XrayFile

NAME = "nih"
FOLDERS = ("nih", "NIH", "nih/nih")

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_BOXES = "BBox_List_2017.csv"
_COLUMNS = {
    "Image Index": "filename",
    "Finding Labels": "findings",
    "Follow-up #": "follow_up",
    "Patient ID": "patient",
    "Patient Age": "age",
    "Patient Gender": "sex",
    "View Position": "view",
}
# The boxes are in the pixel frame of the published images.
_BOX_FRAME = 1024.0
_OLDEST = 120

Box = tuple[float, float, float, float]


class _Row(NamedTuple):
    """A row of the table, in the order of `_COLUMNS`."""

    filename: str
    findings: str
    follow_up: str
    patient: str
    age: str
    sex: str
    view: str


def is_root(folder: Path) -> bool:
    """Whether a folder holds the set: one of its tables."""
    return any((folder / table).is_file() for table in _TABLES)


def list_files(root: Path) -> Listing:
    """Every row of the table, with its image where that is on disk.

    Raises:
      DatasetError: if the table cannot be read, or names no usable image.
    """
    path = next(root / table for table in _TABLES if (root / table).is_file())
    table = _read_table(path, _COLUMNS)
    on_disk = _images(root)
    boxes = _read_boxes(root / _BOXES)
    files: list[XrayFile] = []
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for row in map(_Row._make, table.itertuples(index=False, name=None)):
        label = _label(row.findings)
        if row.filename in seen:
            left_out.append(LeftOut(row.filename, "row repeats an earlier row of the table"))
        elif row.filename not in on_disk:
            left_out.append(LeftOut(row.filename, "row of the table whose image is not on disk"))
        elif not row.patient:
            left_out.append(LeftOut(row.filename, "row of the table without a patient"))
        elif label is None:
            left_out.append(LeftOut(row.filename, "other finding, neither normal nor pneumonia"))
        else:
            files.append(_file(row, on_disk[row.filename], label, boxes.get(row.filename, ())))
        seen.add(row.filename)
    listed = set(table.filename)
    left_out += [
        LeftOut(on_disk[name], "image on disk without a row in the table")
        for name in sorted(on_disk.keys() - listed)
    ]
    if not files:
        raise DatasetError(
            f"{path} has {len(table):,} rows and {root} has {len(on_disk):,} images, but no row "
            "labelled No Finding or Pneumonia has its image there. The images belong into "
            f"{root / 'images'} or {root / 'images_001' / 'images'} and so on."
        )
    tables = tuple(table for table in (path, root / _BOXES) if table.is_file())
    return Listing(NAME, tuple(files), tuple(left_out), tables)


def _file(row: _Row, path: str, label: int, boxes: tuple[Box, ...]) -> XrayFile:
    return XrayFile(
        path=path,
        dataset=NAME,
        filename=row.filename,
        patient_id=f"{NAME}:{row.patient}",
        label=label,
        findings=tuple(row.findings.split("|")),
        age_years=_age(row.age),
        sex=row.sex if row.sex in ("F", "M") else None,
        view_position=row.view if row.view in ("PA", "AP") else None,
        follow_up=int(row.follow_up) if row.follow_up.isdecimal() else None,
        boxes=boxes,
    )


def _label(findings: str) -> int | None:
    if "Pneumonia" in findings:
        return PNEUMONIA
    return NORMAL if findings == "No Finding" else None


def _age(text: str) -> int | None:
    """Years, from `57` (2020's table) or `057Y` (2017's); months and days are under one year."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("Y", "M", "D") else (text, "Y")
    if not number.isdecimal():
        return None
    years = int(number) if unit == "Y" else 0
    # The table holds a handful of ages such as 412.
    return years if years <= _OLDEST else None


def _read_table(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path,
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            index_col=False,  # rows may end in a comma that the header lacks
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DatasetError(f"{path} cannot be read as a CSV table: {error}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DatasetError(
            f"{path} lacks the column {missing[0]!r}; it has {', '.join(table.columns[:12])}."
        )
    return table[list(columns)].rename(columns=columns).apply(lambda column: column.str.strip())


def _read_boxes(path: Path) -> dict[str, tuple[Box, ...]]:
    if not path.is_file():
        return {}
    # Its header promises more columns than its rows have, and splits "Bbox [x,y,w,h]" in four.
    columns = {"Image Index": "filename", "Bbox [x": "x", "y": "y", "w": "w", "h]": "h"}
    table = _read_table(path, columns)
    try:
        sides = table[["x", "y", "w", "h"]].astype(float) / _BOX_FRAME
    except ValueError as error:
        raise DatasetError(f"{path} has a box that is not made of numbers: {error}") from error
    if sides.isna().any(axis=None):
        raise DatasetError(f"{path} has a box that is not made of numbers: nan")
    boxes: dict[str, tuple[Box, ...]] = {}
    for name, box in zip(table.filename, sides.itertuples(index=False, name=None), strict=True):
        boxes[name] = (*boxes.get(name, ()), box)
    return boxes


def _images(root: Path) -> dict[str, str]:
    """Names to paths, from `images/` and from the published `images_001 ... images_012/images/`."""
    folders = [root / "images", *sorted(root.glob("images_[0-9][0-9][0-9]/images"))]
    return {
        entry.name: entry.path
        for folder in folders
        if folder.is_dir()
        for entry in os.scandir(folder)
        if entry.is_file() and Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
    }
