"""The datasets, by name. Adding one is a module like `dicom`, and its name in this list."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from components.example_gen.datasets import dicom, nih, pediatric
from components.example_gen.datasets.files import Place
from components.example_gen.datasets.listing import DatasetError, Listing
from components.example_gen.datasets.remote import RemotePath
from components.example_gen.datasets.source import Source
from components.example_gen.record import FINDINGS, Labels


class Dataset(Protocol):
    """What a dataset module offers.

    `VOCABULARY` holds the findings that it can tell, out of `record.FINDINGS`.
    """

    NAME: str
    FOLDERS: tuple[str, ...]
    VOCABULARY: tuple[str, ...]

    def is_root(self, folder: Place, source: Source) -> bool:
        """Whether a folder holds the set."""

    def list_files(self, root: Place, source: Source, labels: Labels) -> Listing:
        """Every image of the set, undecoded."""


ANYWHERE = Source()

DATASETS: dict[str, Dataset] = {module.NAME: module for module in (pediatric, nih, dicom)}


def find_root(name: str, data_root: Place, source: Source = ANYWHERE) -> Place:
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
    raise DatasetError(
        f"the {name} dataset is in none of these folders{table}: {looked}. Its own folder is the "
        f"setting data.datasets.{name}.folder, and the one above it data.root"
    )


def require_vocabulary(name: str, labels: Labels) -> None:
    """Refuse labels that a dataset does not know: what is never told is not thereby absent.

    Raises:
      DatasetError: names what it knows.
    """
    known = DATASETS[name].VOCABULARY
    if labels == "findings" and set(known) != set(FINDINGS):
        raise DatasetError(
            f"data.labels=findings asks for {len(FINDINGS) - 1} findings, and the {name} dataset "
            f"tells {' and '.join(known)} alone: leave it out, or set data.labels=pneumonia"
        )


def list_files(
    name: str, data_root: Place, source: Source = ANYWHERE, labels: Labels = "pneumonia"
) -> Listing:
    """Find a dataset and list it.

    Args:
      name: of the dataset.
      data_root: where to look for it.
      source: its settings.
      labels: what its images are to be labelled with.

    Raises:
      DatasetError: if it is not there, cannot be used, or does not know the labels.
    """
    require_vocabulary(name, labels)
    root = find_root(name, data_root, source)
    found = DATASETS[name].list_files(root, source, labels)
    return dataclasses.replace(found, states=root.states) if isinstance(root, RemotePath) else found
