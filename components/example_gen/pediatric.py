"""The pediatric Chest X-Ray Images set (Kermany, Zhang, Goldbaum 2018, CC BY 4.0).

Children of one to five years from Guangzhou, as folders:
`train|val|test / NORMAL|PNEUMONIA / *.jpeg`.
"""

from __future__ import annotations

import re
from pathlib import Path

from components.example_gen import listing
from components.example_gen.listing import DatasetError, LeftOut, Listing
from components.example_gen.record import NORMAL, PNEUMONIA, XrayFile

NAME = "pediatric"
FOLDERS = ("chest_xray", "chest_xray/chest_xray")

_SPLITS = ("train", "val", "test")
_LABELS = {"NORMAL": NORMAL, "PNEUMONIA": PNEUMONIA}
_FINDINGS = {NORMAL: ("No Finding",), PNEUMONIA: ("Pneumonia",)}

# Bacterial and viral cases are numbered separately: 979 of 1,674 numbers occur under both, so
# the bare number is no key.
_KAGGLE_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<etiology>bacteria|virus)_\d+")
_KAGGLE_NORMAL = re.compile(r"(?P<key>(?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?")
_MENDELEY = re.compile(r"(?P<etiology>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+")


def is_root(folder: Path) -> bool:
    """Whether a folder holds the set: `train/NORMAL` and its like."""
    return any((folder / split / label).is_dir() for split in _SPLITS for label in _LABELS)


def patient_key(filename: str) -> str:
    """Whose film a file is.

    >>> patient_key("person12_bacteria_34.jpeg")
    'bacteria-12'
    >>> patient_key("NORMAL2-IM-0383-0001.jpeg")
    'NORMAL2-IM-0383'
    >>> patient_key("BACTERIA-40699-0001.jpeg")
    'bacteria-40699'

    A name of no known form is a patient of its own.
    """
    stem = Path(filename).stem
    if match := _KAGGLE_PNEUMONIA.fullmatch(stem):
        return f"{match['etiology']}-{match['number']}"
    if match := _KAGGLE_NORMAL.fullmatch(stem):
        return match["key"]
    if match := _MENDELEY.fullmatch(stem):
        return f"{match['etiology'].lower()}-{match['number']}"
    return stem


def etiology(filename: str, label: int) -> str | None:
    """`bacteria` or `virus` by the file's name, `none` for a normal film, or unknown."""
    if label == NORMAL:
        return "none"
    stem = Path(filename).stem
    match = _KAGGLE_PNEUMONIA.fullmatch(stem) or _MENDELEY.fullmatch(stem)
    return match["etiology"].lower() if match else None


def list_files(root: Path) -> Listing:
    """Every image below the set's folders.

    Raises:
      DatasetError: if there is no image, or none of one class.
    """
    files: list[XrayFile] = []
    left_out: list[LeftOut] = []
    for path in sorted(p for split in _SPLITS for p in (root / split).rglob("*") if p.is_file()):
        split, *folders, filename = path.relative_to(root).parts
        printable = str(path).encode(errors="backslashreplace").decode()
        if printable != str(path):
            left_out.append(LeftOut(printable, "file name is not UTF-8"))
        elif path.suffix.lower() not in listing.IMAGE_SUFFIXES:
            left_out.append(LeftOut(str(path), "not an image by its name"))
        elif len(folders) != 1 or folders[0] not in _LABELS:
            left_out.append(LeftOut(str(path), "not in a NORMAL or PNEUMONIA folder"))
        else:
            label = _LABELS[folders[0]]
            files.append(
                XrayFile(
                    path=str(path),
                    dataset=NAME,
                    filename=filename,
                    patient_id=f"{NAME}:{patient_key(filename)}",
                    label=label,
                    findings=_FINDINGS[label],
                    source_split=split,
                    etiology=etiology(filename, label),
                )
            )
    for folder, label in _LABELS.items():
        if not any(file.label == label for file in files):
            raise DatasetError(
                f"{root} holds no image (.jpeg, .jpg or .png) in train/{folder}, val/{folder} "
                f"or test/{folder}. The folder should be as Kaggle's chest-xray-pneumonia "
                "unpacks it."
            )
    return Listing(NAME, tuple(files), tuple(left_out))
