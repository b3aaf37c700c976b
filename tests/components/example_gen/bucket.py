"""A store for tests: `bucket:///folder` is the folder on this machine, through TFX's fileio."""

from __future__ import annotations

import collections
import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

from components.example_gen.datasets.remote import RemotePath

SCHEME = "bucket://"


class Bucket(TensorflowFilesystem):
    """Counts what it is asked, and refuses what it is told to.

    Attributes:
      requests: how often each method was called.
      refused: for the end of a URL, what opening it raises.
    """

    SUPPORTED_SCHEMES = [SCHEME]
    requests: collections.Counter[str] = collections.Counter()
    refused: dict[str, Exception] = {}

    @staticmethod
    def open(name: Any, mode: str = "r") -> Any:
        """A file, or what was told to be raised."""
        for end, error in Bucket.refused.items():
            if str(name).endswith(end):
                raise error
        return _ask("open", name, mode)

    @staticmethod
    def exists(path: Any) -> bool:
        """See `Filesystem`."""
        return bool(_ask("exists", path))

    @staticmethod
    def isdir(path: Any) -> bool:
        """See `Filesystem`."""
        return bool(_ask("isdir", path))

    @staticmethod
    def listdir(path: Any) -> list[Any]:
        """See `Filesystem`."""
        return list(_ask("listdir", path))

    @staticmethod
    def stat(path: Any) -> Any:
        """Size and time of change as TensorFlow gives them, but finer than by the second."""
        Bucket.requests["stat"] += 1
        status = Path(str(path).removeprefix(SCHEME)).stat()
        return types.SimpleNamespace(length=status.st_size, mtime_nsec=status.st_mtime_ns)

    @staticmethod
    def walk(
        top: Any, topdown: bool = True, onerror: Callable[..., None] | None = None
    ) -> Iterable[tuple[Any, list[Any], list[Any]]]:
        """See `Filesystem`; in no order that a listing could lean on."""
        for where, folders, names in _ask("walk", top, topdown, onerror):
            yield f"{SCHEME}{where}", folders, sorted(names, reverse=True)


def _ask(method: str, path: Any, *arguments: Any) -> Any:
    Bucket.requests[method] += 1
    return getattr(TensorflowFilesystem, method)(str(path).removeprefix(SCHEME), *arguments)


def remote(folder: Path) -> RemotePath:
    """A folder of this machine as one of the store."""
    return RemotePath(f"{SCHEME}{folder}")


filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Bucket, priority=0)
