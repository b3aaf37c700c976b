"""Beam on the stores that `object_store` reaches; found as `components` says.

Beam's own classes for s3:// and hdfs:// ask for other clients, each with its own flags. With
these a pipeline has one client for a store, and one way to say where the store is.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import (
    BeamIOError,
    CompressedFile,
    CompressionTypes,
    FileMetadata,
    FileSystem,
)

from components.object_store import listed, scheme_of
from components.object_store_fileio import ObjectStore

_BINARY = "application/octet-stream"


class _ArrowFileSystem(FileSystem):
    """What Beam asks of a file system; paths are whole URIs."""

    # Beam asks every class; None is that of paths.
    _SCHEME: ClassVar[str] = "an object store"

    @classmethod
    def scheme(cls) -> str:
        """The scheme of its URIs."""
        return cls._SCHEME

    def join(self, basepath: str, *paths: str) -> str:
        """Put path components together."""
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path: str) -> tuple[str, str]:
        """A path as the folder and the name in it."""
        prefix = f"{scheme_of(path)}://"
        head, tail = posixpath.split(path.removeprefix(prefix))
        return prefix + head, tail

    def mkdirs(self, path: str) -> None:
        """Make a folder, and those that it lies in."""
        if ObjectStore.exists(path):
            raise BeamIOError(f"{path} is there already")
        ObjectStore.makedirs(path)

    def has_dirs(self) -> bool:
        """True: what Beam asks for a list of is a folder, and not the beginning of names."""
        return True

    def create(
        self, path: str, mime_type: str = _BINARY, compression_type: str = CompressionTypes.AUTO
    ) -> Any:
        """Open a file to write it anew."""
        return self._compressed(ObjectStore.open(path, "wb"), path, compression_type)

    def open(
        self, path: str, mime_type: str = _BINARY, compression_type: str = CompressionTypes.AUTO
    ) -> Any:
        """Open a file to read it."""
        return self._compressed(ObjectStore.open(path, "rb"), path, compression_type)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Copy files."""
        _each(
            lambda source, target: ObjectStore.copy(source, target, overwrite=True),
            source_file_names,
            destination_file_names,
        )

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        """Move files."""
        _each(
            lambda source, target: ObjectStore.rename(source, target, overwrite=True),
            source_file_names,
            destination_file_names,
        )

    def exists(self, path: str) -> bool:
        """Whether there is a file or a folder."""
        return ObjectStore.exists(path)

    def size(self, path: str) -> int:
        """Bytes of a file."""
        return self.metadata(path).size_in_bytes

    def last_updated(self, path: str) -> float:
        """When a file was written, in seconds since 1970."""
        return self.metadata(path).last_updated_in_seconds

    def checksum(self, path: str) -> str:
        """What tells a file from another: here its size."""
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        """Size and time of a file."""
        try:
            return _metadata(path, ObjectStore.stat(path))
        except OSError as error:
            raise BeamIOError("no such file", {path: error}) from error

    def delete(self, paths: list[str]) -> None:
        """Remove files, and folders with all that is in them."""
        _each(
            lambda path: (
                ObjectStore.rmtree(path) if ObjectStore.isdir(path) else ObjectStore.remove(path)
            ),
            paths,
        )

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for uri, one in listed(dir_or_prefix.rstrip("/"), recursive=True):
            if one.is_file:
                yield _metadata(uri, one)

    def _compressed(self, file: Any, path: str, compression_type: str) -> Any:
        kind = self._get_compression_type(path, compression_type)
        return file if kind == CompressionTypes.UNCOMPRESSED else CompressedFile(file, kind)


class S3(_ArrowFileSystem):
    """s3://."""

    _SCHEME = "s3"


class Minio(_ArrowFileSystem):
    """minio://, as Kubeflow writes it."""

    _SCHEME = "minio"


class Hdfs(_ArrowFileSystem):
    """hdfs://."""

    _SCHEME = "hdfs"


def register(_apache_beam: object) -> None:
    """Let Beam find these alone: where two classes have one scheme it takes neither."""
    from apache_beam.io import filesystems

    for name in ("S3FileSystem", "HadoopFileSystem"):
        theirs = getattr(filesystems, name, None)
        if theirs is not None:
            theirs.scheme = classmethod(lambda cls: f"beam's own {cls.__name__}")


def _each(act: Callable[..., None], *paths: Iterable[str]) -> None:
    failed = {}
    for one in zip(*paths, strict=True):
        try:
            act(*one)
        except OSError as error:
            failed[one if len(one) > 1 else one[0]] = error
    if failed:
        raise BeamIOError("the store refused", failed)


def _metadata(path: str, info: Any) -> FileMetadata:
    return FileMetadata(path, info.size or 0, info.mtime.timestamp() if info.mtime else 0.0)
