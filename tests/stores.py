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

    with mock.patch.object(executor, "Do", remotely):
        yield
