"""Stores for tests: a real S3 server on loopback, and TensorFlow's file system in memory."""

from __future__ import annotations

import contextlib
import itertools
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import tensorflow as tf
from apache_beam.io.filesystem import CompressedFile, CompressionTypes, FileMetadata, FileSystem
from tfx.dsl.io import filesystem_registry
from tfx.dsl.io.plugins.tensorflow_gfile import TensorflowFilesystem

from components import storage

BUCKET = "s3://films"
_NUMBERS = itertools.count()


class Memory(TensorflowFilesystem):
    """A scheme that TensorFlow opens itself, as it does gs://; without a network."""

    SUPPORTED_SCHEMES = ["ram://"]

    @staticmethod
    def walk(top: Any, topdown: bool = True, onerror: Any = None) -> Iterator[Any]:
        """As TensorFlow's, which here takes what is in `assets.extra` for in `assets`, too."""
        for folder, folders, files in TensorflowFilesystem.walk(top, topdown, onerror):
            if Memory.isdir(folder):
                yield (
                    folder,
                    *(
                        [name for name in names if Memory.exists(f"{folder.rstrip('/')}/{name}")]
                        for names in (folders, files)
                    ),
                )


filesystem_registry.DEFAULT_FILESYSTEM_REGISTRY.register(Memory, priority=0)


class BeamsMemory(FileSystem):
    """The same for Beam, which finds a class by its scheme; what its sources and sinks ask."""

    @classmethod
    def scheme(cls) -> str:
        return "ram"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        folder, _, name = path.rpartition("/")
        return folder, name

    def has_dirs(self) -> bool:
        return True

    def mkdirs(self, path: str) -> None:
        tf.io.gfile.makedirs(path)

    def create(
        self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO
    ) -> Any:
        return self._opened(path, "wb", compression_type)

    def open(
        self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO
    ) -> Any:
        return self._opened(path, "rb", compression_type)

    def _opened(self, path: str, mode: str, compression_type: str) -> Any:
        kind = self._get_compression_type(path, compression_type)
        file = tf.io.gfile.GFile(path, mode)
        return file if kind == CompressionTypes.UNCOMPRESSED else CompressedFile(file, kind)

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.copy(source, target, overwrite=True)

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            tf.io.gfile.rename(source, target, overwrite=True)

    def exists(self, path: str) -> bool:
        return bool(tf.io.gfile.exists(path))

    def size(self, path: str) -> int:
        return int(tf.io.gfile.stat(path).length)

    def last_updated(self, path: str) -> float:
        return tf.io.gfile.stat(path).mtime_nsec / 1e9

    def checksum(self, path: str) -> str:
        return str(self.size(path))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), self.last_updated(path))

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            (tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove)(path)

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for folder, _, files in tf.io.gfile.walk(dir_or_prefix):
            yield from (self.metadata(self.join(folder, name)) for name in files)


def memory() -> str:
    """URI of a new folder in memory."""
    return f"ram://folder{next(_NUMBERS)}"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Moto's S3 server with one bucket, and the environment that finds it; its address."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    try:
        post(f"{endpoint}/{BUCKET.removeprefix('s3://')}", method="PUT")
        with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": endpoint, **keys}):
            yield endpoint
    finally:
        server.stop()


def post(url: str, data: bytes = b"", method: str = "POST") -> None:
    """Ask the server for something."""
    headers = {"Content-Type": "text/plain"}
    urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)).close()


@contextlib.contextmanager
def artifacts_in(store: str, executor: Any) -> Iterator[None]:
    """Have a node's artifacts in a store while it runs; its outputs are where they were after it.

    What it keeps meanwhile is in the store, too, as TFX has it below the pipeline's root.

    Args:
      store: URI of a folder.
      executor: the class, whose `Do` is asked by a test with artifacts on paths.
    """
    do = executor.Do

    def remotely(self: Any, inputs: Any, outputs: Any, properties: Any) -> None:
        paths = {}
        for key, artifacts in (inputs | outputs).items():
            for number, artifact in enumerate(artifacts):
                paths[id(artifact)] = artifact.uri
                source, artifact.uri = Path(artifact.uri), f"{store}/{key}/{number}"
                # Outputs are made by the runner.
                source.mkdir(parents=True, exist_ok=True)
                storage.upload(source, artifact.uri)
        do(self, inputs, outputs, properties)
        for artifacts in (inputs | outputs).values():
            for artifact in artifacts:
                path, uri = paths[id(artifact)], artifact.uri
                assert storage.is_remote(uri)
                if artifacts not in inputs.values():
                    storage.download(uri, Path(path))
                artifact.uri = path

    with (
        mock.patch.object(executor, "Do", remotely),
        mock.patch.object(executor, "_get_tmp_dir", return_value=f"{store}/tmp"),
    ):
        yield
