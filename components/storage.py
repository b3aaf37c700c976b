"""Artifacts in a bucket, for libraries that open files only: copies that come and go.

A path is used as it is. A URI (gs://, s3://, hdfs://) is read and written through TFX's fileio.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.errors import InputError
from components.object_store import SCHEMES, scheme_of

if TYPE_CHECKING:
    import tensorflow as tf
    from tfx.types import Artifact

# A request to a store takes longer than the few kB that most files have.
_AT_ONCE = 8
_CHUNK = 16 * 2**20
# Of folders with copies. One that is so young may not be held yet, see `scratch`.
_SCRATCH = "cxr-copy-"
_YOUNG_SECONDS = 60
_REMEDIES = {
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or log in with `gcloud auth "
    "application-default login`, as somebody who may write to the bucket",
    **dict.fromkeys(SCHEMES, "see docs/storage.md for what to set"),
}


def is_remote(uri: str) -> bool:
    """Whether it is a URI with a scheme, and not a path."""
    return bool(scheme_of(uri))


def opened_by_tensorflow(uri: str) -> bool:
    """Whether TensorFlow and Beam open it themselves, on any machine: a path, or gs://."""
    return scheme_of(uri) not in SCHEMES


def local_path(uri: str) -> Path:
    """An artifact's path, for what works on this machine's files alone.

    Raises:
      InputError: if it is remote.
    """
    if is_remote(uri):
        raise InputError(f"{uri}: is in a store, and this reads folders only: copy it to one first")
    return Path(uri)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder on this machine for a while; if the process is killed, `remove_left` removes it."""
    with tempfile.TemporaryDirectory(prefix=_SCRATCH) as folder:
        held = os.open(folder, os.O_RDONLY)
        try:
            # The lock goes with its process, however that ends.
            fcntl.flock(held, fcntl.LOCK_SH)
            yield Path(folder)
        finally:
            os.close(held)


def remove_left() -> None:
    """Remove the folders of `scratch` whose processes were killed."""
    before = time.time() - _YOUNG_SECONDS
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        # It may be in use, another user's, or just gone.
        with contextlib.suppress(OSError):
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if os.fstat(held).st_mtime < before:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(held)


@contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """A file or a folder as a path: itself, or a copy that is removed afterwards.

    Args:
      uri: of the file or the folder.

    Raises:
      FileNotFoundError: if it is remote, and not there.
    """
    if not is_remote(uri):
        yield Path(uri)
        return
    with scratch() as folder:
        # Keras goes by the suffix.
        copy = folder / uri.rstrip("/").rpartition("/")[2]
        download(uri, copy)
        yield copy


@contextmanager
def local_output(uri: str) -> Iterator[Path]:
    """A folder to write to: itself, or one that is uploaded in the end.

    What is remote is uploaded only where nothing was raised.

    Args:
      uri: of the folder; it need not be there.
    """
    if not is_remote(uri):
        Path(uri).mkdir(parents=True, exist_ok=True)
        yield Path(uri)
        return
    with scratch() as folder:
        yield folder
        upload(folder, uri)


@contextmanager
def on_local_paths(
    *, inputs: Iterable[Artifact] = (), outputs: Iterable[Artifact] = ()
) -> Iterator[None]:
    """Have artifacts lie on paths, for what opens nothing else; their URIs are as before after it.

    Args:
      inputs: are copied, where they are remote.
      outputs: likewise are uploaded in the end, where nothing was raised.
    """
    with ExitStack() as copies, ExitStack() as renamed:
        for artifacts, place in ((inputs, local_copy), (outputs, local_output)):
            for artifact in artifacts:
                if not is_remote(artifact.uri):
                    continue
                renamed.callback(setattr, artifact, "uri", artifact.uri)
                artifact.uri = str(copies.enter_context(place(artifact.uri)))
        yield


def require_writable(uri: str) -> None:
    """Write something to a remote folder, and remove it: an hour later it would be a pity.

    Raises:
      InputError: if it cannot be written; says what to do.
    """
    from tfx.dsl.io import fileio

    trial = f"{uri.rstrip('/')}/.cxr-writable"
    try:
        with fileio.open(trial, "w") as file:
            file.write("")
        fileio.remove(trial)
    except InputError:
        raise
    except Exception as error:  # TensorFlow's have no common base with those of others.
        remedy = _REMEDIES.get(scheme_of(uri), "it takes gs://, s3://, minio:// or hdfs://")
        raise InputError(f"{uri}: cannot be written: {remedy} ({error})") from error


def download(uri: str, target: Path) -> None:
    """Copy a remote file or folder.

    Raises:
      FileNotFoundError: if it is not there.
    """
    from tfx.dsl.io import fileio

    uri = uri.rstrip("/")
    if not fileio.exists(uri):
        raise FileNotFoundError(f"nothing is in {uri}")
    if not fileio.isdir(uri):
        _copy(uri, str(target))
        return
    files: list[tuple[str, str]] = []
    for walked, _, names in fileio.walk(uri):
        folder = str(walked).rstrip("/")
        here = target / folder[len(uri) :].strip("/")
        here.mkdir(parents=True, exist_ok=True)
        files += [(f"{folder}/{name!s}", str(here / str(name))) for name in names]
    _copy_all(files)


def upload(source: Path, uri: str) -> None:
    """Copy a folder to a remote one, which is made if need be."""
    from tfx.dsl.io import fileio

    uri = uri.rstrip("/")
    files: list[tuple[str, str]] = []
    fileio.makedirs(uri)
    for path in sorted(source.rglob("*")):
        there = f"{uri}/{path.relative_to(source).as_posix()}"
        if path.is_dir():
            fileio.makedirs(there)
        else:
            files.append((str(path), there))
    _copy_all(files)


def read_records(files: Sequence[str]) -> tf.data.Dataset:
    """Gzipped TFRecords as a dataset of scalar strings.

    What TensorFlow opens itself is streamed. Of the others one file at a time is on this
    machine's disk, each time that the dataset is gone through.

    Args:
      files: paths or URIs.
    """
    import tensorflow as tf

    names = list(files)
    if all(map(opened_by_tensorflow, names)):
        return tf.data.TFRecordDataset(names, compression_type="GZIP")

    def records() -> Iterator[bytes]:
        for name in names:
            with local_copy(name) as copy:
                dataset = tf.data.TFRecordDataset(str(copy), compression_type="GZIP")
                yield from dataset.as_numpy_iterator()

    return tf.data.Dataset.from_generator(
        records, output_signature=tf.TensorSpec(shape=(), dtype=tf.string)
    )


def _copy_all(files: Sequence[tuple[str, str]]) -> None:
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        # Waits for each, and raises what it raised.
        for _ in threads.map(lambda pair: _copy(*pair), files):
            pass


def _copy(source: str, target: str) -> None:
    # fileio's own copy holds the whole file in memory between two file systems.
    from tfx.dsl.io import fileio

    with fileio.open(source, "rb") as reader, fileio.open(target, "wb") as writer:
        # TensorFlow makes no file that nothing was written to.
        writer.write(b"")
        shutil.copyfileobj(reader, writer, _CHUNK)
