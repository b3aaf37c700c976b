"""What a dataset module gives back: the images it found, and those it left out and why."""

from __future__ import annotations

import collections
import dataclasses
import enum
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from components.errors import InputError
from components.example_gen.datasets.remote import RemotePath
from components.example_gen.record import XrayFile

# Of all that `imaging` reads, but for DICOM, which is a dataset of its own.
IMAGE_SUFFIXES = (
    ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"
)  # fmt: skip


class DatasetError(InputError):
    """The data as a whole cannot be used; the message says what to do about it."""


class Fate(enum.StrEnum):
    """What became of an image or a row that is no Example. With those kept, they are all.

    An image is quarantined for what it is; a bad row is one that cannot be trusted, whatever its
    image.
    """

    QUARANTINED = "quarantined"
    BAD_ROW = "bad row"
    DUPLICATE = "duplicate"
    NOT_ON_DISK = "not on disk"
    OUT_OF_SCOPE = "out of scope"
    SURPLUS = "surplus"


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """An image, or a row of a table, that does not become an Example.

    Attributes:
      source: the path of the file, or the name in the table's row.
      reason: in words; the same words for the same reason, so that they can be counted.
      fate: the kind of reason.
    """

    source: str
    reason: str
    fate: Fate = Fate.QUARANTINED


@dataclasses.dataclass(frozen=True)
class IgnoredValue:
    """A value of an image's metadata that cannot be used; the image is kept without it.

    Attributes:
      source: the image, as in `LeftOut`.
      field: of the record, such as `age_years`.
      value: as the dataset has it.
    """

    source: str
    field: str
    value: str


@dataclasses.dataclass(frozen=True)
class Listing:
    """One dataset's images before any of them is decoded.

    Attributes:
      dataset: the registered name.
      files: the images to read.
      left_out: everything else that was found.
      ignored: metadata that could not be used.
      tables: the CSV files that the listing was read from.
      states: for remote files, what changes when they are rewritten, as their listing told it.
    """

    dataset: str
    files: tuple[XrayFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    ignored: tuple[IgnoredValue, ...] = ()
    tables: tuple[Path | RemotePath, ...] = ()
    states: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def read(self) -> int:
        """Files and rows that were seen."""
        return len(self.files) + len(self.left_out)

    def fingerprint(self) -> str:
        """A hexadecimal digest that changes when a file comes, goes or is rewritten."""
        digest = hashlib.sha256()
        for path in sorted([file.path for file in self.files] + [str(t) for t in self.tables]):
            digest.update(f"{path}\0{self.states.get(path) or _state(path)}\0".encode())
        for one in self.left_out:
            digest.update(f"{one.source}\0{one.reason}\0".encode())
        return digest.hexdigest()[:16]


def _state(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:  # gone since it was listed; reading it will say so
        return "gone"
    return f"{status.st_size}\0{status.st_mtime_ns}"


def count_reasons(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """How many were left out for each reason, the most frequent first."""
    counts = collections.Counter(one.reason for one in left_out)
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
