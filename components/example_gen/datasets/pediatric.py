"""The pediatric Chest X-Ray Images set (Kermany, Zhang, Goldbaum 2018, CC BY 4.0).

Children of one to five years from Guangzhou, as folders:
`train|val|test / NORMAL|PNEUMONIA / *.jpeg`. Kaggle's files are called `person12_virus_5.jpeg`
and `IM-0115-0001.jpeg`; those of Mendeley, which has no `val`, `VIRUS-12345-0001.jpeg` and
`NORMAL-12345-0001.jpeg`.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePath

from components.example_gen.datasets.files import Place, below, unusable, walk
from components.example_gen.datasets.listing import (
    IMAGE_SUFFIXES,
    DatasetError,
    Fate,
    LeftOut,
    Listing,
)
from components.example_gen.datasets.source import Source
from components.example_gen.record import NO_FINDING, NORMAL, PNEUMONIA, Labels, XrayFile

NAME = "pediatric"
FOLDERS = ("chest_xray", "chest_xray/chest_xray")
VOCABULARY = (NO_FINDING, "Pneumonia")

_SPLITS = ("train", "val", "test")
_LABELS = {"NORMAL": NORMAL, "PNEUMONIA": PNEUMONIA}
_FINDINGS = {NORMAL: (NO_FINDING,), PNEUMONIA: ("Pneumonia",)}

# Bacterial and viral cases are numbered separately: 979 of 1,674 numbers occur under both, so
# the bare number is no key.
_KAGGLE_PNEUMONIA = re.compile(r"person(?P<number>\d+)_(?P<etiology>bacteria|virus)_\d+(?:_\d+)?")
_KAGGLE_NORMAL = re.compile(r"(?P<key>(?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?")
_MENDELEY = re.compile(r"(?P<etiology>BACTERIA|VIRUS|NORMAL)-(?P<number>\d+)-\d+")


def is_root(folder: Place, source: Source) -> bool:
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
    named = match["etiology"].lower() if match else None
    return named if named in ("bacteria", "virus") else None


def list_files(root: Place, source: Source, labels: Labels = "pneumonia") -> Listing:
    """Every image below the set's folders, which tell of pneumonia alone.

    Raises:
      DatasetError: if there is no image, or none of one class, or a table is asked for.
    """
    if source.table or source.columns:
        raise DatasetError(
            f"{NAME} is read from its folders: it takes neither table nor columns; leave them out "
            f"of data.datasets.{NAME}"
        )
    files: list[XrayFile] = []
    left_out: list[LeftOut] = []
    for path in (path for split in _SPLITS for path in walk(root / split)):
        found = _examine(path, root)
        (left_out if isinstance(found, LeftOut) else files).append(found)  # type: ignore[arg-type]
    for folder, label in _LABELS.items():
        if not any(file.label == label for file in files):
            raise DatasetError(
                f"{root} holds no image ({', '.join(IMAGE_SUFFIXES)}) in train/{folder}, "
                f"val/{folder} or test/{folder}. The folder should be as Kaggle's "
                "chest-xray-pneumonia unpacks it."
            )
    return Listing(NAME, tuple(files), tuple(left_out))


def _examine(path: str, root: Place) -> XrayFile | LeftOut:
    bad = unusable(path)
    if bad:
        return bad
    split, *folders, filename = PurePath(below(path, root)).parts
    if Path(filename).suffix.lower() not in IMAGE_SUFFIXES:
        return LeftOut(path, "not an image by its name", Fate.OUT_OF_SCOPE)
    if len(folders) != 1 or folders[0] not in _LABELS:
        return LeftOut(path, "not in a NORMAL or PNEUMONIA folder", Fate.OUT_OF_SCOPE)
    label = _LABELS[folders[0]]
    return XrayFile(
        path=path,
        dataset=NAME,
        filename=filename,
        patient_id=f"{NAME}:{patient_key(filename)}",
        label=label,
        findings=_FINDINGS[label],
        source_split=split,
        etiology=etiology(filename, label),
    )
