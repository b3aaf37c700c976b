"""NIH ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315), or images in a table like it.

Adults and children of the NIH Clinical Center: PNG images, and a table with findings that were
mined from reports. `No Finding` is normal and any finding that contains `Pneumonia` is
pneumonia; the other images are out of scope for the binary label, and counted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from components.example_gen.datasets import table
from components.example_gen.datasets.files import ImageIndex, OutsideError, unusable, walk
from components.example_gen.datasets.listing import (
    IMAGE_SUFFIXES,
    DatasetError,
    Fate,
    IgnoredValue,
    LeftOut,
    Listing,
    count_reasons,
)
from components.example_gen.datasets.source import Source
from components.example_gen.record import XrayFile

NAME = "nih"
FOLDERS = ("nih", "NIH", "nih/nih")

_OFFICIAL = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_TABLES = (*_OFFICIAL, "sample_labels.csv", "labeled_images.csv", "labels.csv")
_BOXES = "BBox_List_2017.csv"
# The published division, which is by patient; where it says neither, there is none.
_LISTS = {"train_val_list.txt": "train_val", "test_list.txt": "test"}
# The boxes are in the pixel frame of the published images.
_BOX_FRAME = 1024.0
_NO_PATIENT = "row of the table without a patient"
_OWN_NAME = re.compile(r"(?P<patient>\d{8})_\d{3}\.png")

Box = tuple[float, float, float, float]


def is_root(folder: Path, source: Source) -> bool:
    """Whether a folder holds the set: its table."""
    tables = (source.table,) if source.table else _TABLES
    return any((folder / name).is_file() for name in tables)


def list_files(root: Path, source: Source) -> Listing:
    """Every row of the table, with its image where that is on disk.

    Raises:
      DatasetError: if the table cannot be read, or names no usable image.
    """
    path = table.find_table(root, source.table, _TABLES)
    if path is None:
        raise DatasetError(f"{root} holds none of the tables {', '.join(_TABLES)}")
    rows, left_out = table.read_table(path, source.columns, required=("image", "findings"))
    images, unreadable = _images(root, official=path.name in _OFFICIAL)
    left_out += unreadable
    ignored: list[IgnoredValue] = []
    boxes = _read_boxes(root / _BOXES, ignored)
    published = _published(root)
    files: list[XrayFile] = []
    # What the first row of each image said.
    said: dict[str, str] = {}
    disputed: set[str] = set()
    for row in rows:
        found = _examine(row, images, said, disputed)
        if isinstance(found, LeftOut):
            left_out.append(found)
            continue
        name = Path(found).name
        split = published.get(name)
        files.append(_file(row, found, boxes.get(name, ()), split, ignored))
    left_out += [LeftOut(file.path, table.DISPUTED) for file in files if file.path in disputed]
    files = [file for file in files if file.path not in disputed]
    left_out += images.rest()
    if not files:
        raise DatasetError(_useless(path, root, len(rows), len(images), left_out))
    tables = (path, *(root / name for name in (_BOXES, *_LISTS) if (root / name).is_file()))
    return Listing(NAME, tuple(files), tuple(left_out), tuple(ignored), tables)


def _examine(
    row: table.Row, images: ImageIndex, said: dict[str, str], disputed: set[str]
) -> str | LeftOut:
    """The path of a row's image, or why the row is left out."""
    if not row.image:
        return LeftOut(f"line {row.line}", "row of the table that is malformed")
    try:
        path = images.find(row.image)
    except OutsideError:
        return LeftOut(row.image, "path in the table leads out of the data root")
    # An image may be named in several ways, such as by its path and by its name.
    image = path or row.image
    if image in said:
        if said[image] == row.findings:
            return LeftOut(row.image, table.REPEATED, Fate.DUPLICATE)
        disputed.add(image)
        return LeftOut(row.image, table.DISPUTED)
    said[image] = row.findings
    if path is None:
        return table.without_image(row)
    if not _patient(row):
        return LeftOut(row.image, _NO_PATIENT)
    findings = table.usable_findings(row.findings, row.image)
    return findings if isinstance(findings, LeftOut) else path


def _file(
    row: table.Row,
    path: str,
    boxes: tuple[Box, ...],
    source_split: str | None,
    ignored: list[IgnoredValue],
) -> XrayFile:
    findings = table.parse_findings(row.findings)
    assert findings.label is not None
    metadata, senseless = table.parse_metadata(row, findings, row.image)
    ignored += senseless
    return XrayFile(
        path=path,
        dataset=NAME,
        filename=Path(path).name,
        patient_id=f"{NAME}:{_patient(row)}",
        label=findings.label,
        findings=findings.names,
        source_split=source_split,
        boxes=boxes,
        **metadata._asdict(),
    )


def _patient(row: table.Row) -> str:
    """The table's patient, or the one that the set's own file names carry."""
    if row.patient:
        # Where some rows lack it, pandas makes `13.0` of the others.
        return re.sub(r"(?<=\d)\.0+$", "", row.patient)
    own = _OWN_NAME.fullmatch(Path(row.image).name)
    return str(int(own["patient"])) if own else ""


def _useless(path: Path, root: Path, rows: int, images: int, left_out: Iterable[LeftOut]) -> str:
    """What is wrong with a table of which no row can be used, and the remedy."""
    reasons = count_reasons(left_out)
    found = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items())
    message = f"{path} has {rows:,} rows and {root} has {images:,} images, but no row can be used"
    if _NO_PATIENT in reasons:
        remedy = (
            "Name the column that tells the patients apart in the dataset's setting "
            "columns.patient; where every image is of another patient, name the column of the "
            "images."
        )
    else:
        remedy = (
            "A row labelled No Finding or Pneumonia needs its image in "
            f"{root / 'images'} or {root / 'images_001' / 'images'} and so on, or where the "
            "table's own paths say."
        )
    return f"{message}: {found or 'there is nothing'}. {remedy}"


def _images(root: Path, *, official: bool) -> tuple[ImageIndex, list[LeftOut]]:
    """The images of `images/` and the published `images_001 ... images_012/images/`.

    The images of another table than the published one may be anywhere below the root.
    """
    folders = [root / "images", *sorted(root.glob("images_[0-9][0-9][0-9]/images"))]
    paths = [
        path
        for folder in (folders if official else [root])
        for path in walk(folder)
        if Path(path).suffix.lower() in IMAGE_SUFFIXES or os.path.isdir(path)  # noqa: PTH112
    ]
    bad = {path: reason for path in paths if (reason := unusable(path))}
    return ImageIndex(root, (path for path in paths if path not in bad)), list(bad.values())


def _read_boxes(path: Path, ignored: list[IgnoredValue]) -> dict[str, tuple[Box, ...]]:
    """The boxes of each image, as fractions of it."""
    boxes: dict[str, tuple[Box, ...]] = {}
    if not path.is_file():
        return boxes
    header, rows = table.read_csv(path)
    # Its header splits "Bbox [x,y,w,h]" in four.
    if header[:1] + header[2:6] != ["Image Index", "Bbox [x", "y", "w", "h]"]:
        raise DatasetError(
            f"{path} does not begin as NIH's does: Image Index,Finding Label,Bbox [x,y,w,h]"
        )
    for line, fields in rows:
        box = _box(fields[2:6])
        if box is None:
            ignored.append(IgnoredValue(f"{path}:{line}", "boxes", ",".join(fields[2:6])))
        else:
            boxes[fields[0]] = (*boxes.get(fields[0], ()), box)
    return boxes


def _box(sides: Iterable[str]) -> Box | None:
    try:
        x, y, width, height = (float(side) / _BOX_FRAME for side in sides)
    except ValueError:
        return None
    starts, sizes, ends = (x, y), (width, height), (x + width, y + height)
    if min(starts) < 0 or min(sizes) <= 0 or not all(end <= 1.001 for end in ends):
        return None
    return x, y, min(width, 1.0), min(height, 1.0)


def _published(root: Path) -> dict[str, str]:
    """The published split of each image, by its name."""
    splits = {}
    for name, split in _LISTS.items():
        if (root / name).is_file():
            for line in (root / name).read_text("utf-8-sig", "replace").splitlines():
                splits[line.strip()] = split
    return splits
