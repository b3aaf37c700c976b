"""TFX's fileio on the stores that `object_store` reaches; found as `components` says."""

from __future__ import annotations

import fnmatch
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from tfx.dsl.io import filesystem

from components import object_store
from components.object_store import explained, listed, locate

_CHUNK = 16 * 2**20


class ObjectStore(filesystem.Filesystem):
    """What TFX's fileio asks of a file system; paths are whole URIs."""

    SUPPORTED_SCHEMES = [f"{scheme}://" for scheme in object_store.SCHEMES]

    @staticmethod
    def open(name: Any, mode: str = "r") -> IO[Any]:
        """Open a file to read (`r`, `rb`) or to write it anew (`w`, `wb`).

        Raises:
          NotFoundError: if it is to be read and is not there.
          ValueError: of another mode; objects cannot be changed in place.
        """
        if mode not in ("r", "rb", "w", "wb"):
            raise ValueError(f"{name}: an object store opens files as r, rb, w or wb, not {mode!r}")
        store, path = locate(_text(name))
        with _missing(name):
            opened: Any = (
                store.open_input_file(path)
                if mode[0] == "r"
                # By default Arrow compresses what is called .gz.
                else store.open_output_stream(path, compression=None)
            )
        return opened if "b" in mode else io.TextIOWrapper(opened, "utf-8")

    @staticmethod
    def copy(src: Any, dst: Any, overwrite: bool = False) -> None:
        """Copy a file."""
        if not overwrite and ObjectStore.exists(dst):
            raise OSError(f"{dst} is there already, and overwrite is false")
        source, target = locate(_text(src)), locate(_text(dst))
        with _missing(src):
            if source[0] is target[0]:
                source[0].copy_file(source[1], target[1])
                return
        with ObjectStore.open(src, "rb") as reader, ObjectStore.open(dst, "wb") as writer:
            shutil.copyfileobj(reader, writer, _CHUNK)

    @staticmethod
    def exists(path: Any) -> bool:
        """Whether there is a file or a folder."""
        return _info(path).type.name != "NotFound"

    @staticmethod
    def isdir(path: Any) -> bool:
        """Whether there is a folder."""
        return _info(path).type.name == "Directory"

    @staticmethod
    def glob(pattern: Any) -> list[Any]:
        """The files and folders that match `*`, `?` and `[...]`, none of which spans a slash."""
        pattern = _text(pattern)
        fixed = pattern[: min((pattern.find(c) for c in "*?[" if c in pattern), default=None)]
        if fixed == pattern:
            return [pattern] if ObjectStore.exists(pattern) else []
        folder = fixed.rpartition("/")[0]
        parts = pattern[len(folder) + 1 :].split("/")
        return [
            uri
            for uri, _ in _below(folder, recursive=len(parts) > 1)
            if _matches(uri[len(folder) + 1 :].split("/"), parts)
        ]

    @staticmethod
    def listdir(path: Any) -> list[Any]:
        """The names in a folder."""
        found = _below(_text(path), allow_missing=False)
        return [uri.rpartition("/")[2] for uri, _ in found]

    @staticmethod
    def makedirs(path: Any) -> None:
        """Make a folder, and those that it lies in."""
        store, where = locate(_text(path))
        with explained(_text(path)):
            store.create_dir(where, recursive=True)

    @staticmethod
    def mkdir(path: Any) -> None:
        """Make a folder."""
        ObjectStore.makedirs(path)

    @staticmethod
    def remove(path: Any) -> None:
        """Remove a file."""
        store, where = locate(_text(path))
        with _missing(path):
            store.delete_file(where)

    @staticmethod
    def rename(src: Any, dst: Any, overwrite: bool = False) -> None:
        """Move a file or a folder; an object store copies it for that."""
        if not ObjectStore.isdir(src):
            ObjectStore.copy(src, dst, overwrite=overwrite)
            ObjectStore.remove(src)
            return
        if not overwrite and ObjectStore.exists(dst):
            raise OSError(f"{dst} is there already, and overwrite is false")
        source, target = _text(src).rstrip("/"), _text(dst).rstrip("/")
        for uri, is_file in _below(source, recursive=True):
            if is_file:
                ObjectStore.copy(uri, target + uri[len(source) :], overwrite=True)
        ObjectStore.rmtree(source)

    @staticmethod
    def rmtree(path: Any) -> None:
        """Remove a folder with all that is in it."""
        store, where = locate(_text(path))
        with _missing(path):
            store.delete_dir(where)

    @staticmethod
    def stat(path: Any) -> Any:
        """Size in bytes, as `size`, and time of change, as `mtime`, of a file."""
        found = _info(path)
        if found.type.name == "NotFound":
            raise filesystem.NotFoundError(_text(path))
        return found

    @staticmethod
    def walk(
        top: Any, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterator[tuple[Any, list[Any], list[Any]]]:
        """As `os.walk`."""
        top = _text(top).rstrip("/")
        folders: list[str] = []
        files: list[str] = []
        for uri, is_file in _below(top):
            (files if is_file else folders).append(uri.rpartition("/")[2])
        if topdown:
            yield top, folders, files
        for name in folders:
            yield from ObjectStore.walk(f"{top}/{name}", topdown, onerror)
        if not topdown:
            yield top, folders, files


def register(filesystem_registry: Any) -> None:
    """Have fileio use it; TFX gives some of its schemes to TensorFlow, which lacks them.

    Args:
      filesystem_registry: TFX's module.
    """
    filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(ObjectStore, priority=-1)


def _text(path: Any) -> str:
    return path.decode() if isinstance(path, bytes) else str(path)


@contextmanager
def _missing(path: Any) -> Iterator[None]:
    try:
        with explained(_text(path)):
            yield
    except FileNotFoundError as error:
        raise filesystem.NotFoundError(f"{_text(path)}: {error}") from error


def _info(path: Any) -> Any:
    store, where = locate(_text(path))
    with explained(_text(path)):
        return store.get_file_info(where)


def _below(
    folder: str, *, recursive: bool = False, allow_missing: bool = True
) -> list[tuple[str, bool]]:
    """URIs in a folder, in order, and whether each is a file."""
    folder = folder.rstrip("/")
    with _missing(folder):
        found = list(listed(folder, recursive=recursive, allow_missing=allow_missing))
    return sorted((uri, one.is_file) for uri, one in found)


def _matches(names: list[str], parts: list[str]) -> bool:
    return len(names) == len(parts) and all(map(fnmatch.fnmatchcase, names, parts))
