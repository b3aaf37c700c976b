"""The datasets, by name. Adding one is a module like `pediatric` and one line here."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from components.example_gen import nih, pediatric
from components.example_gen.listing import DatasetError, Listing


class Dataset(Protocol):
    """What a dataset module offers."""

    NAME: str
    FOLDERS: tuple[str, ...]

    def is_root(self, folder: Path) -> bool:
        """Whether a folder holds the set."""

    def list_files(self, root: Path) -> Listing:
        """Every image of the set, unopened."""


DATASETS: dict[str, Dataset] = {module.NAME: module for module in (pediatric, nih)}


def find_root(name: str, data_root: Path) -> Path:
    """Where a dataset lies: `data_root` itself, or one of its usual folders below.

    Raises:
      DatasetError: if it is in none of them.
    """
    dataset = DATASETS[name]
    candidates = [data_root, *(data_root / folder for folder in dataset.FOLDERS)]
    for candidate in candidates:
        if dataset.is_root(candidate):
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise DatasetError(f"the {name} dataset is in none of these folders: {looked}")


def list_files(name: str, data_root: Path) -> Listing:
    """Find a dataset and list it.

    Raises:
      DatasetError: if it is not there, or cannot be used.
    """
    return DATASETS[name].list_files(find_root(name, data_root))
