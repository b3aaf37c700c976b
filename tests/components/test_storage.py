"""Copies that come and go, on an S3 server and in TensorFlow's memory."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx.types import standard_artifacts

from components import storage
from components.errors import InputError
from tests import stores


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture(params=["memory", "s3"])
def folder(request: pytest.FixtureRequest) -> str:
    uri = stores.memory()
    return uri if request.param == "memory" else uri.replace("ram://", f"{stores.BUCKET}/")


def test_what_is_remote_has_a_scheme() -> None:
    assert storage.is_remote("gs://bucket/x")
    assert not storage.is_remote("/data/a:b//c")
    assert not storage.is_remote("runs/demo")


def test_a_folder_comes_back_as_it_went(folder: str, tmp_path: Path) -> None:
    with storage.local_output(folder) as local:
        (local / "a" / "b").mkdir(parents=True)
        (local / "a" / "b" / "ü.bin").write_bytes(bytes(range(256)))
        (local / "empty").mkdir()
        (local / "BLESSED").touch()
    assert fileio.exists(f"{folder}/BLESSED")
    with storage.local_copy(folder) as copy:
        found = {path.relative_to(copy).as_posix(): path.is_dir() for path in copy.rglob("*")}
        assert (copy / "a" / "b" / "ü.bin").read_bytes() == bytes(range(256))
    assert found == {"a": True, "a/b": True, "a/b/ü.bin": False, "empty": True, "BLESSED": False}
    assert not copy.exists()


def test_a_file_keeps_its_suffix(folder: str) -> None:
    with storage.local_output(folder) as local:
        (local / "model.keras").write_text("weights")
    with storage.local_copy(f"{folder}/model.keras") as copy:
        assert (copy.name, copy.read_text()) == ("model.keras", "weights")


def test_what_failed_is_not_there(folder: str) -> None:
    def fail() -> None:
        with storage.local_output(folder) as local:
            (local / "half.txt").write_text("")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not fileio.exists(f"{folder}/half.txt")


def test_nothing_cannot_be_copied(folder: str) -> None:
    with pytest.raises(FileNotFoundError, match=folder), storage.local_copy(f"{folder}/none"):
        pass


def test_a_path_is_itself(tmp_path: Path) -> None:
    with storage.local_copy(str(tmp_path)) as same:
        assert same == tmp_path
    with storage.local_output(f"{tmp_path}/new") as same:
        assert same == tmp_path / "new"
    assert same.is_dir()


def test_artifacts_are_on_paths_for_a_while(folder: str, tmp_path: Path) -> None:
    model, local, written = (standard_artifacts.Model() for _ in range(3))
    model.uri, local.uri, written.uri = f"{folder}/model", str(tmp_path), f"{folder}/written"
    storage.upload(tmp_path, model.uri)
    with storage.on_local_paths(inputs=[model, local], outputs=[written]):
        assert Path(model.uri).is_dir()
        assert local.uri == str(tmp_path)
        Path(written.uri, "x").write_text("x")
    assert (model.uri, written.uri) == (f"{folder}/model", f"{folder}/written")
    assert fileio.exists(f"{folder}/written/x")


def test_records_are_read_again_and_again(folder: str, tmp_path: Path) -> None:
    for shard in range(2):
        with tf.io.TFRecordWriter(str(tmp_path / f"{shard}.gz"), "GZIP") as file:
            for number in range(3):
                file.write(b"%d %d" % (shard, number))
    expected = [b"%d %d" % (shard, number) for shard in range(2) for number in range(3)]
    storage.upload(tmp_path, folder)
    for place in (folder, str(tmp_path)):
        records = storage.read_records(sorted(fileio.glob(f"{place}/*.gz")))
        for _ in range(2):
            assert list(records.as_numpy_iterator()) == expected
        assert len(next(iter(records.batch(4)))) == 4


def test_a_store_is_tried_before_it_is_needed(folder: str) -> None:
    storage.require_writable(folder)
    assert not fileio.exists(f"{folder}/.cxr-writable")
    with pytest.raises(InputError, match="no such bucket"):
        storage.require_writable("s3://nobody-has-it/x")
    with pytest.raises(InputError, match=r"abfs://x/y: .* gs://, s3://"):
        storage.require_writable("abfs://x/y")


def test_what_takes_folders_only_is_not_given_a_url(folder: str, tmp_path: Path) -> None:
    assert storage.local_path(str(tmp_path)) == tmp_path
    with pytest.raises(InputError, match=rf"{folder}/model: is in a store.*copy it to one first"):
        storage.local_path(f"{folder}/model")


def test_copies_of_killed_processes_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = """
import sys, tempfile, time
from components import storage
tempfile.tempdir = sys.argv[1]
with storage.scratch() as folder:
    (folder / "copy").write_text("x")
    print(folder, flush=True)
    time.sleep(600)
"""
    with (
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as process,
        storage.scratch() as own,
    ):
        assert process.stdout is not None
        other = Path(process.stdout.readline().strip())
        strangers = tmp_path / "cxr-workers-1"
        strangers.mkdir()
        young = tmp_path / "cxr-copy-young"
        for path in (own, other, strangers):
            os.utime(path, (1, 1))
        storage.remove_left()
        assert (own.is_dir(), other.is_dir()) == (True, True), "both are in use"
        process.kill()
        process.wait()
        young.mkdir()
        storage.remove_left()
        assert not other.exists()
        assert sorted(tmp_path.iterdir()) == sorted([own, strangers, young])
    assert not own.exists()
