"""Folders of datasets on `gs://`, `s3://` and the like, through TFX's and Beam's file systems.

A request to a store takes as long as reading a small image from a disk. What a listing tells of
files, such as their sizes, is therefore never asked for again, file by file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import io
import itertools
import posixpath
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, NamedTuple, TypeVar

from components import object_store
from components.errors import InputError

_REQUESTS = 16
_BUFFER = 1 << 16

Item = TypeVar("Item")
Result = TypeVar("Result")


class RemoteError(InputError):
    """A store that does not answer, or refuses; the message names the URL."""


class RemoteFile(NamedTuple):
    """A file as a listing gives it.

    Attributes:
      uri: where it is.
      state: another text where it was written anew: its size, and when.
    """

    uri: str
    state: str


@dataclasses.dataclass
class _Known:
    """What was seen so far below a data root."""

    scans: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    states: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RemotePath:
    """A folder or file of a store, with as much of `pathlib.Path` as the readers of datasets use.

    What was listed once is remembered by the paths that are made of one another, so that a dataset
    is seen as it was at one time: make a new path to look again.

    Attributes:
      uri: such as `gs://bucket/x-rays`.
    """

    uri: str
    _known: _Known = dataclasses.field(default_factory=_Known, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", _normal(self.uri))

    def __str__(self) -> str:
        return self.uri

    def __truediv__(self, below: str) -> RemotePath:
        return RemotePath(f"{self.uri}/{below}", self._known)

    @property
    def name(self) -> str:
        """The last part."""
        return posixpath.basename(self.uri)

    @property
    def states(self) -> dict[str, str]:
        """Of each file that was seen below the data root, what changes when it is rewritten."""
        return self._known.states

    def resolve(self) -> RemotePath:
        """Itself: a URL is absolute, and stores have no links."""
        return self

    def is_dir(self) -> bool:
        """Whether there is something below it."""
        from tfx.dsl.io import fileio

        with _refusals(self.uri):
            return bool(fileio.isdir(self.uri))

    def is_file(self) -> bool:
        """Whether it is a file."""
        from tfx.dsl.io import fileio

        with _refusals(self.uri):
            if not fileio.exists(self.uri) or fileio.isdir(self.uri):
                return False
        self._known.states[self.uri] = _state(self.uri)
        return True

    def names(self) -> list[str]:
        """What is directly in the folder, or nothing where there is none."""
        from tfx.dsl.io import fileio

        with _refusals(self.uri):
            try:
                return [str(name).rstrip("/") for name in fileio.listdir(self.uri)]
            except fileio.NotFoundError:
                return []

    def walk(self) -> tuple[str, ...]:
        """The URLs of all files below it, in the order in which `files.walk` gives paths."""
        if self.uri not in self._known.scans:
            with _refusals(self.uri):
                found = {file.uri: file.state for file in _scan(self.uri)}
            self._known.states.update(found)
            self._known.scans[self.uri] = tuple(sorted(found, key=_as_walked))
        return self._known.scans[self.uri]

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
          OSError: if it cannot be read; with an `errno` that tells what is wrong with the file
            (ENOENT, EACCES) from what is not (EIO).
        """
        from tfx.dsl.io import fileio

        with _os_errors(self.uri), fileio.open(self.uri, "rb") as file:
            return file.read()

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file's bytes from its beginning, of which only some need be read.

        Raises:
          OSError: as `read_bytes` does, now or later.
        """
        from tfx.dsl.io import fileio

        with _os_errors(self.uri), fileio.open(self.uri, "rb") as file:
            yield io.BufferedReader(_Reader(self.uri, file), _BUFFER)


def at_once(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What work makes of items, in their order; requests wait for their answers side by side."""
    left = iter(items)
    with ThreadPoolExecutor(_REQUESTS) as pool:
        # Not all at once: each that waits takes memory.
        while some := list(itertools.islice(left, 64 * _REQUESTS)):
            yield from pool.map(work, some)


class _Reader(io.RawIOBase):
    """A file of `fileio` with Python's errors, for libraries that take others for damage."""

    def __init__(self, uri: str, file: Any):
        self._uri = uri
        self._file = file

    @property
    def name(self) -> str:
        return self._uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _os_errors(self._uri):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _os_errors(self._uri):
            self._file.seek(offset, whence)
            return self.tell()

    def tell(self) -> int:
        return int(self._file.tell())


def _normal(uri: str) -> str:
    """A URL without a slash at its end, and without `.`, `..` and empty parts."""
    scheme, _, rest = uri.partition("://")
    # Two slashes at the beginning would be kept; hdfs:///x has an empty host.
    host, _, path = rest.partition("/")
    below = posixpath.normpath(f"/{path}").lstrip("/")
    return f"{scheme}://{host}/{below}".rstrip("/") if host else f"{scheme}:///{below}"


def _as_walked(uri: str) -> list[tuple[bool, str]]:
    """Sorts the files of a folder before its folders, as `os.walk` gives them."""
    *folders, name = uri.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def _scan(folder: str) -> Iterator[RemoteFile]:
    if folder.startswith("gs://"):
        return _scan_google(folder)
    return _scan_arrow(folder) if _is_arrows(folder) else _scan_any(folder)


def _is_arrows(uri: str) -> bool:
    return object_store.scheme_of(uri) in object_store.SCHEMES


def _scan_google(folder: str) -> Iterator[RemoteFile]:
    """TensorFlow's listing gives names alone, and it asks of each whether it is a folder."""
    from apache_beam.io.gcp.gcsio import GcsIO

    for uri, (size, updated) in GcsIO().list_files(f"{folder}/", with_metadata=True):
        if not uri.endswith("/"):  # an empty object that stands for a folder
            yield RemoteFile(uri, f"{size}\0{updated}")


def _scan_arrow(folder: str) -> Iterator[RemoteFile]:
    for uri, one in object_store.listed(folder, recursive=True):
        if one.is_file:
            yield RemoteFile(uri, f"{one.size}\0{one.mtime_ns}")


def _scan_any(folder: str) -> Iterator[RemoteFile]:
    from tfx.dsl.io import fileio

    uris = [
        posixpath.join(str(where), str(name))
        for where, _, names in fileio.walk(folder)
        for name in names
    ]
    yield from map(RemoteFile, uris, at_once(_state, uris))


def _state(uri: str) -> str:
    from tfx.dsl.io import fileio

    try:
        with _refusals(uri):
            status = fileio.stat(uri)
    except fileio.NotFoundError:  # gone since it was listed; reading it will say so
        return "gone"
    if _is_arrows(uri):
        return f"{status.size}\0{status.mtime_ns}"
    return f"{status.length}\0{status.mtime_nsec}"


@contextlib.contextmanager
def _refusals(uri: str) -> Iterator[None]:
    """Name the URL in what a store says against a listing."""
    from tfx.dsl.io import fileio

    try:
        yield
    except (InputError, fileio.NotFoundError):
        raise
    except Exception as error:  # TensorFlow's, Google's and Arrow's have no class in common
        raise RemoteError(
            f"{uri} cannot be listed: {_reason(error)}. Is the URL right, and may you read it?"
        ) from error


@contextlib.contextmanager
def _os_errors(uri: str) -> Iterator[None]:
    """Python's errors for those of the file systems."""
    import tensorflow as tf
    from tfx.dsl.io import fileio

    try:
        yield
    except (tf.errors.NotFoundError, fileio.NotFoundError) as error:
        raise FileNotFoundError(errno.ENOENT, "No such file", uri) from error
    except (tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError) as error:
        raise PermissionError(errno.EACCES, "Permission denied", uri) from error
    except tf.errors.OpError as error:
        raise OSError(errno.EIO, _reason(error), uri) from error
    except OSError as error:
        raise OSError(error.errno or errno.EIO, error.strerror or _reason(error), uri) from error


def _reason(error: Exception) -> str:
    """The first line of what an error says."""
    text = getattr(error, "message", "") or str(error) or type(error).__name__
    return str(text).strip().splitlines()[0]
