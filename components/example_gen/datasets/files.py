"""What lies below a dataset's folder, here or in a store, and whether a table may speak of it."""

from __future__ import annotations

import contextlib
import filecmp
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePath
from typing import BinaryIO, TypeVar

from components.example_gen.datasets.listing import DatasetError, Fate, LeftOut
from components.example_gen.datasets.remote import RemotePath, at_once
from components.storage import is_remote

# A folder or a file, here or in a store.
Place = Path | RemotePath
Result = TypeVar("Result")


class OutsideError(ValueError):
    """A path that leads out of the dataset's folder."""


class SeveralError(ValueError):
    """A name that several images have."""


def place(path: str) -> Place:
    """What a path or a URL leads to."""
    return RemotePath(path) if is_remote(path) else Path(path)


def join(root: Place, folder: str | None) -> Place:
    """A folder below a root, or wherever it is if it says so itself."""
    if not folder:
        return root
    return place(folder) if is_remote(folder) or Path(folder).is_absolute() else root / folder


def below(path: str, root: Place) -> str:
    """A path as seen from a root."""
    if isinstance(root, RemotePath):
        return path.removeprefix(f"{root}/")
    return os.path.relpath(path, root)


def names(folder: Place) -> list[str]:
    """What is directly in a folder, or nothing where it cannot be read."""
    if isinstance(folder, RemotePath):
        return folder.names()
    try:
        return [one.name for one in folder.iterdir()]
    except OSError:
        return []


def read_bytes(path: str) -> bytes:
    """The bytes of a file.

    Raises:
      OSError: if it cannot be read.
    """
    return place(path).read_bytes()


@contextlib.contextmanager
def opened(path: str) -> Iterator[BinaryIO]:
    """A file, to read a part of it.

    Raises:
      OSError: if it cannot be read.
    """
    one = place(path)
    with one.open() if isinstance(one, RemotePath) else one.open("rb") as file:
        yield file


def not_read(path: str, error: OSError) -> LeftOut:
    """The account of a file that could not be read.

    Raises:
      DatasetError: if a store did not answer: that is no fault of the file, which would be
        missing from one run, and be there in the next.
    """
    if is_remote(path) and not isinstance(error, FileNotFoundError | PermissionError):
        raise DatasetError(f"{path} cannot be read: {error.strerror}. Run again.") from error
    return LeftOut(path, f"file cannot be read: {error.strerror}")


def for_each(work: Callable[[str], Result], root: Place, paths: Iterable[str]) -> Iterator[Result]:
    """What work makes of each file below a root, in their order; remote ones side by side."""
    return at_once(work, paths) if isinstance(root, RemotePath) else map(work, paths)


def walk(folder: Place) -> Iterator[str]:
    """The paths of all files below a folder, in a stable order, in one scan.

    Links to folders are followed, each folder once. Broken links are among the files, and so are
    folders that cannot be read.
    """
    return iter(folder.walk()) if isinstance(folder, RemotePath) else _walk(folder)


def _walk(folder: Path) -> Iterator[str]:
    seen: set[str] = set()
    unreadable: list[str] = []

    def note(error: OSError) -> None:
        # There may be no such folder; what there is must not go unseen.
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            unreadable.append(error.filename)

    for where, folders, names in os.walk(folder, onerror=note, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield from (os.path.join(where, name) for name in sorted(names))  # noqa: PTH118
    yield from unreadable


def unusable(path: str) -> LeftOut | None:
    """The account of a path that cannot be opened or written down, or None."""
    printable = path.encode(errors="backslashreplace").decode()
    if printable != path:
        return LeftOut(printable, "file name is not UTF-8")
    if is_remote(path):  # a listing has neither folders nor links
        return None
    if is_folder(path):
        return LeftOut(path, "folder that cannot be read")
    if not os.path.isfile(path):  # noqa: PTH113
        return LeftOut(path, "not a file, or a link that leads nowhere")
    return None


def is_folder(path: str) -> bool:
    """Whether a path that `walk` gave is a folder, which cannot be read."""
    return not is_remote(path) and os.path.isdir(path)  # noqa: PTH112


class ImageIndex:
    """The images below a folder, to be found as a table names them."""

    def __init__(self, root: Place, paths: Iterable[str], *, copies: bool = False):
        """Index what a scan found.

        Args:
          root: the dataset's folder, which no table may leave.
          paths: images below it.
          copies: whether the first may be taken of images that have one name and the same bytes.
        """
        self._root = root
        self._copies = copies
        self._by_path: dict[str, str] = {}
        self._by_name: dict[str, list[str]] = {}
        for path in paths:
            self._by_path[below(path, root)] = path
            self._by_name.setdefault(os.path.basename(path), []).append(path)  # noqa: PTH119
        # Where a folder truly is, by its path.
        self._real: dict[PurePath, str] = {}
        self._found: set[str] = set()
        self._found_by_name: set[str] = set()

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, named: str) -> str | None:
        """The path of an image as a table names it: by its path below the root, or its name.

        Raises:
          OutsideError: if the name leads out of the root.
          SeveralError: if several images have the name: one must not get another's label.
        """
        inside = self._inside(named)
        path = self._by_path.get(inside)
        if path is None and inside in self._by_name:
            path, *others = self._by_name[inside]
            if others and not (self._copies and _are_equal(path, others)):
                raise SeveralError(named)
            self._found_by_name.add(inside)
        if path is not None:
            self._found.add(path)
        return path

    def rest(self) -> list[LeftOut]:
        """The account of the images that were never found."""
        rest = []
        for path in sorted(set(self._by_path.values()) - self._found):
            # Of copies in several folders, one was taken for the name.
            if os.path.basename(path) in self._found_by_name:  # noqa: PTH119
                rest.append(LeftOut(path, "another image of the same name", Fate.DUPLICATE))
            else:
                reason = "image on disk without a row in the table"
                rest.append(LeftOut(path, reason, Fate.OUT_OF_SCOPE))
        return rest

    def _inside(self, named: str) -> str:
        # Tables that were written under Windows have its separators.
        path = named.replace("\\", "/")
        if isinstance(self._root, RemotePath):
            path = below(str(RemotePath(path)) if is_remote(path) else path, self._root)
        elif PurePath(path).is_absolute():
            root = self._below_a_link(os.path.normpath(path), self._root) or self._root
            path = os.path.relpath(path, root)
        outside = is_remote(path) or PurePath(path).is_absolute()
        path = os.path.normpath(path)
        if outside or path == ".." or path.startswith("../"):
            raise OutsideError(named)
        return path

    def _below_a_link(self, path: str, root: Path) -> PurePath | None:
        """The folder above a path that is the root by way of links, or by its real path."""
        return next((up for up in PurePath(path).parents if self._is_root(up, root)), None)

    def _is_root(self, folder: PurePath, root: PurePath) -> bool:
        for one in (folder, root):
            if one not in self._real:
                try:
                    self._real[one] = os.path.realpath(one)
                except ValueError:  # no path at all, such as one with a NUL
                    self._real[one] = str(one)
        return self._real[folder] == self._real[root]


def _are_equal(path: str, others: Iterable[str]) -> bool:
    try:
        if is_remote(path):
            first = read_bytes(path)
            return all(read_bytes(other) == first for other in others)
        return all(filecmp.cmp(path, other, shallow=False) for other in others)
    except OSError:  # gone since the scan; which of them it was, nobody knows
        return False
