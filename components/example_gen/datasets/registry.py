"""The datasets, by name. Adding one is a module like `dicom`, and its name in this list."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from components.example_gen.datasets import dicom, nih, pediatric
from components.example_gen.datasets.listing import DatasetError, Listing
from components.example_gen.datasets.source import Source


class Dataset(Protocol):
    """What a dataset module offers."""

    NAME: str
    FOLDERS: tuple[str, ...]

    def is_root(self, folder: Path, source: Source) -> bool:
        """Whether a folder holds the set."""

    def list_files(self, root: Path, source: Source) -> Listing:
        """Every image of the set, undecoded."""


ANYWHERE = Source()

DATASETS: dict[str, Dataset] = {module.NAME: module for module in (pediatric, nih, dicom)}


def find_root(name: str, data_root: Path, source: Source = ANYWHERE) -> Path:
    """Where a dataset lies: `data_root` itself, or one of its usual folders below.

    Raises:
      DatasetError: if it is in none of them.
    """
    dataset = DATASETS[name]
    candidates = [data_root, *(data_root / folder for folder in dataset.FOLDERS)]
    for candidate in candidates:
        if dataset.is_root(candidate, source):
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    table = f", with its table {source.table}" if source.table else ""
    raise DatasetError(f"the {name} dataset is in none of these folders{table}: {looked}")


def list_files(name: str, data_root: Path, source: Source = ANYWHERE) -> Listing:
    """Find a dataset and list it.

    Raises:
      DatasetError: if it is not there, or cannot be used.
    """
    return DATASETS[name].list_files(find_root(name, data_root, source), source)
