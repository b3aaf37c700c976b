"""NIH ChestX-ray14 (Wang et al. 2017, arXiv:1705.02315), or images in a table like it.

Adults and children of the NIH Clinical Center: PNG images, and a table with findings that were
mined from reports. `No Finding` is normal and any finding that contains `Pneumonia` is
pneumonia; the other images are out of scope for the binary label, and counted. Where all findings
are labels, every image of a known finding is in scope.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from components.example_gen.datasets import table
from components.example_gen.datasets.files import (
    ImageIndex,
    OutsideError,
    Place,
    SeveralError,
    is_folder,
    names,
    unusable,
    walk,
)
from components.example_gen.datasets.findings import Findings, usable_findings
from components.example_gen.datasets.listing import (
    IMAGE_SUFFIXES,
    DatasetError,
    Fate,
    IgnoredValue,
    LeftOut,
    Listing,
    count_reasons,
)
from components.example_gen.datasets.metadata import parse_metadata
from components.example_gen.datasets.pseudonym import pseudonym
from components.example_gen.datasets.source import Source
from components.example_gen.record import FINDINGS, PATHOLOGIES, Labels, XrayFile, finding_labels

NAME = "nih"
FOLDERS = ("nih", "NIH", "nih/nih")
VOCABULARY = FINDINGS

_OFFICIAL = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_TABLES = (*_OFFICIAL, "sample_labels.csv", "labeled_images.csv")
_ANY_SET = "labels.csv"
_BOXES = "BBox_List_2017.csv"
# The published division, which is by patient; where it says neither, there is none.
_LISTS = {"train_val_list.txt": "train_val", "test_list.txt": "test"}
# The boxes are in the pixel frame of the published images.
_BOX_FRAME = 1024.0
_NO_PATIENT = "row of the table without a patient"
_FOLDER = re.compile(r"images_\d{3}", re.ASCII)
_OWN_NAME = re.compile(r"(?P<patient>\d{8})_\d{3}\.png")

Box = tuple[float, float, float, float]
# The list of boxes has a word of its own for one finding.
_BOX_NAMES = {"Infiltrate": "Infiltration"}


def is_root(folder: Place, source: Source) -> bool:
    """Whether a folder holds the set: its table, and images if that is called as any set's."""
    tables = (source.table,) if source.table else _TABLES
    if any((folder / name).is_file() for name in tables):
        return True
    # Such as beside DICOM films.
    has_images = (Path(path).suffix.lower() in IMAGE_SUFFIXES for path in walk(folder))
    return source.table is None and (folder / _ANY_SET).is_file() and any(has_images)


def list_files(root: Place, source: Source, labels: Labels = "pneumonia") -> Listing:
    """Every row of the table, with its image where that is on disk.

    Raises:
      DatasetError: if the table cannot be read, or names no usable image.
    """
    path = table.find_table(root, source.table, (*_TABLES, _ANY_SET))
    if path is None:
        raise DatasetError(
            f"{root} holds none of the tables {', '.join((*_TABLES, _ANY_SET))}: if it is called "
            "otherwise, say so in the dataset's setting table"
        )
    rows, left_out = table.read_table(path, source.columns, required=("image", "findings"))
    official = path.name in _OFFICIAL
    images, unreadable = _images(root, official=official)
    left_out += unreadable
    ignored: list[IgnoredValue] = []
    boxes = _read_boxes(root / _BOXES, ignored)
    published = _published(root)
    files: list[XrayFile] = []
    matched, unmatched, disputed = table.match_rows(rows, lambda row: _find(row, images))
    left_out += unmatched
    left_out += [LeftOut(one, table.DISPUTED, Fate.BAD_ROW) for one in sorted(disputed)]
    for image, row in matched.items():
        findings = _findings(row, image, labels)
        if isinstance(findings, LeftOut):
            left_out.append(findings)
            continue
        name = Path(image).name
        metadata, senseless = parse_metadata(row, findings, image)
        ignored += senseless
        assert findings.label is not None
        files.append(
            XrayFile(
                path=image,
                dataset=NAME,
                filename=name,
                patient_id=f"{NAME}:{_patient(row, official=official)}",
                label=findings.label,
                findings=findings.names,
                finding_labels=finding_labels(findings.names, labels),
                source_split=published.get(name),
                boxes=tuple(box for _, box in boxes.get(name, ())),
                box_findings=tuple(finding for finding, _ in boxes.get(name, ())),
                **metadata._asdict(),
            )
        )
    left_out += images.rest()
    if not files:
        raise DatasetError(_useless(path, root, len(rows), len(images), left_out))
    if not official:
        table.check_patients(files, root)
    tables = (path, *(root / name for name in (_BOXES, *_LISTS) if (root / name).is_file()))
    return Listing(NAME, tuple(files), tuple(left_out), tuple(ignored), tables)


def _find(row: table.Row, images: ImageIndex) -> str | LeftOut:
    """The path of a row's image, or why the row is of none."""
    if not row.image:
        return LeftOut(f"line {row.line}", table.MALFORMED, Fate.BAD_ROW)
    try:
        return images.find(row.image) or table.without_image(row)
    except OutsideError:
        return LeftOut(row.image, table.OUTSIDE, Fate.BAD_ROW)
    except SeveralError:
        return LeftOut(row.image, table.SEVERAL, Fate.BAD_ROW)


def _findings(row: table.Row, path: str, labels: Labels) -> Findings | LeftOut:
    """What a row says of its image, or why it is left out."""
    if not _number(row):
        return LeftOut(path, _NO_PATIENT, Fate.BAD_ROW)
    return usable_findings(row.findings, path, labels)


def _patient(row: table.Row, *, official: bool) -> str:
    # NIH's numbers are public; those of one's own table are a hospital's.
    return _number(row) if official else pseudonym("patient", "", _number(row))


def _number(row: table.Row) -> str:
    """The table's patient, or the one that the set's own file names carry."""
    own = _OWN_NAME.fullmatch(Path(row.image).name)
    return table.patient_of(row) or (str(int(own["patient"])) if own else "")


def _useless(path: Place, root: Place, rows: int, images: int, left_out: Iterable[LeftOut]) -> str:
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
            "A row labelled No Finding or Pneumonia (or, with data.labels=findings, any of the "
            "14 findings) needs its image in "
            f"{root / 'images'} or {root / 'images_001' / 'images'} and so on, or where the "
            "table's own paths say."
        )
    return f"{message}: {found or 'there is nothing'}. {remedy}"


def _images(root: Place, *, official: bool) -> tuple[ImageIndex, list[LeftOut]]:
    """The images of `images/` and the published `images_001 ... images_012/images/`.

    The images of another table than the published one may be anywhere below the root.
    """
    published = sorted(filter(_FOLDER.fullmatch, names(root))) if official else []
    folders = [root / folder / "images" for folder in published]
    paths = [
        path
        for folder in ([root / "images", *folders] if official else [root])
        for path in walk(folder)
        if Path(path).suffix.lower() in IMAGE_SUFFIXES or is_folder(path)
    ]
    bad = {path: reason for path in paths if (reason := unusable(path))}
    sound = (path for path in paths if path not in bad)
    # The published folders may overlap, as the same images unpacked twice.
    return ImageIndex(root, sound, copies=official), list(bad.values())


def _read_boxes(path: Place, ignored: list[IgnoredValue]) -> dict[str, tuple[tuple[str, Box], ...]]:
    """The boxes of each image, as fractions of it, each with what it marks."""
    boxes: dict[str, tuple[tuple[str, Box], ...]] = {}
    if not path.is_file():
        return boxes
    header, rows = table.read_csv(path)
    # Its header splits "Bbox [x,y,w,h]" in four.
    if header[:1] + header[2:6] != ["Image Index", "Bbox [x", "y", "w", "h]"]:
        raise DatasetError(
            f"{path} does not begin as NIH's does: Image Index,Finding Label,Bbox [x,y,w,h]. "
            "Correct its header, or remove it: without it there are no boxes"
        )
    for line, fields in rows:
        box = _box(fields[2:6])
        named = fields[1] if len(fields) > 1 else ""
        finding = _BOX_NAMES.get(named, named)
        if box is None:
            ignored.append(IgnoredValue(f"{path}:{line}", "boxes", ",".join(fields[2:6])))
        elif finding not in PATHOLOGIES:
            ignored.append(IgnoredValue(f"{path}:{line}", "boxes", named))
        else:
            boxes[fields[0]] = (*boxes.get(fields[0], ()), (finding, box))
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


def _published(root: Place) -> dict[str, str]:
    """The published split of each image, by its name."""
    splits = {}
    for name, split in _LISTS.items():
        if (root / name).is_file():
            for line in (root / name).read_bytes().decode("utf-8-sig", "replace").splitlines():
                splits[line.strip()] = split
    return splits
