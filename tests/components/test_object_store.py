"""TFX's fileio and Beam on a real S3 server; and what is said where there is none."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.testing.util import assert_that, equal_to
from tfx.dsl.io import fileio

from components import object_store
from components.errors import InputError
from tests import stores


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with stores.s3_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["s3", "minio"])
def folder(endpoint: str, request: pytest.FixtureRequest) -> str:
    return stores.memory().replace("ram", request.param).replace("://", "://films/")


def write(uri: str, text: str) -> None:
    with fileio.open(uri, "w") as file:
        file.write(text)


def test_files_are_written_read_moved_and_removed(folder: str, tmp_path: Path) -> None:
    write(f"{folder}/a/text.txt", "hällo\nfilm\n")
    with fileio.open(f"{folder}/a/text.txt") as file:
        assert list(file) == ["hällo\n", "film\n"]
    with fileio.open(f"{folder}/a/text.txt", "rb") as file:
        assert file.read(3) == "hä".encode()
    assert fileio.stat(f"{folder}/a/text.txt").size == 12
    fileio.copy(f"{folder}/a/text.txt", f"{folder}/b.txt")
    with pytest.raises(OSError, match="overwrite"):
        fileio.copy(f"{folder}/a/text.txt", f"{folder}/b.txt")
    fileio.copy(f"{folder}/b.txt", str(tmp_path / "here.txt"))
    assert (tmp_path / "here.txt").read_text("utf-8") == "hällo\nfilm\n"
    fileio.rename(f"{folder}/a", f"{folder}/c")
    assert sorted(fileio.listdir(folder)) == ["b.txt", "c"]
    fileio.remove(f"{folder}/b.txt")
    fileio.rmtree(f"{folder}/c")
    assert not fileio.exists(f"{folder}/c/text.txt")


def test_folders_are_listed_as_on_a_disk(folder: str) -> None:
    fileio.makedirs(f"{folder}/empty/deep")
    for name in ("Split-test/x-0.gz", "Split-test/x-1.gz", "Split-val/x-0.gz", "Split-val/y.txt"):
        write(f"{folder}/{name}", "")
    assert fileio.isdir(f"{folder}/empty/deep")
    assert not fileio.isdir(f"{folder}/Split-val/y.txt")
    assert fileio.glob(f"{folder}/Split-test/*.gz") == [
        f"{folder}/Split-test/x-0.gz",
        f"{folder}/Split-test/x-1.gz",
    ]
    assert fileio.glob(f"{folder}/Split-*/*-[0].gz") == [
        f"{folder}/Split-test/x-0.gz",
        f"{folder}/Split-val/x-0.gz",
    ]
    assert fileio.glob(f"{folder}/nothing/*") == fileio.glob(f"{folder}/nothing") == []
    assert list(fileio.walk(folder)) == [
        (folder, ["Split-test", "Split-val", "empty"], []),
        (f"{folder}/Split-test", [], ["x-0.gz", "x-1.gz"]),
        (f"{folder}/Split-val", [], ["x-0.gz", "y.txt"]),
        (f"{folder}/empty", ["deep"], []),
        (f"{folder}/empty/deep", [], []),
    ]


def test_what_is_not_there_is_said_as_by_other_file_systems(folder: str) -> None:
    for act in (fileio.listdir, fileio.rmtree, fileio.remove, fileio.stat, fileio.open):
        with pytest.raises(fileio.NotFoundError, match=f"{folder}/none"):
            act(f"{folder}/none")
    with pytest.raises(ValueError, match="'a'"):
        fileio.open(f"{folder}/x", "a")


def test_beam_writes_and_reads_records(folder: str) -> None:
    records = [b"%d" % number for number in range(20)]
    with beam.Pipeline() as pipeline:
        _ = (
            pipeline
            | beam.Create(records)
            | beam.io.WriteToTFRecord(f"{folder}/Split-test/data", file_name_suffix=".gz")
        )
    # What Beam wrote to first is gone.
    assert fileio.listdir(folder) == ["Split-test"]
    assert all(name.endswith(".gz") for name in fileio.listdir(f"{folder}/Split-test"))
    with beam.Pipeline() as pipeline:
        found = pipeline | beam.io.ReadFromTFRecord(f"{folder}/Split-*/*.gz")
        assert_that(found, equal_to(records))


def test_beam_has_one_file_system_for_a_scheme(folder: str) -> None:
    write(f"{folder}/x.txt", "four")
    assert FileSystems.get_filesystem(folder).size(f"{folder}/x.txt") == 4
    assert FileSystems.join(folder, "a", "b") == f"{folder}/a/b"
    assert FileSystems.split(f"{folder}/x.txt") == (folder, "x.txt")
    FileSystems.rename([f"{folder}/x.txt"], [f"{folder}/y.txt"])
    assert [one.path for one in FileSystems.match([f"{folder}/*"])[0].metadata_list] == [
        f"{folder}/y.txt"
    ]
    FileSystems.delete([f"{folder}/y.txt"])
    with pytest.raises(BeamIOError, match=r"y\.txt"):
        FileSystems.delete([f"{folder}/y.txt"])
    assert FileSystems.get_filesystem("hdfs://namenode/x").scheme() == "hdfs"


@pytest.mark.parametrize("act", [lambda uri: write(uri, ""), fileio.makedirs, fileio.listdir])
def test_a_bucket_that_is_not_there_is_named(endpoint: str, act) -> None:
    with pytest.raises(InputError, match=r"^s3://nobody-has-it/x: there is no such bucket"):
        act("s3://nobody-has-it/x")


def test_refused_credentials_are_named(endpoint: str) -> None:
    stores.post(f"{endpoint}/moto-api/reset-auth", b"0")
    try:
        for act in (fileio.listdir, fileio.exists, lambda uri: write(uri, "")):
            with pytest.raises(InputError, match=r"^s3://films/x: .*AWS_ACCESS_KEY_ID"):
                act("s3://films/x")
    finally:
        stores.post(f"{endpoint}/moto-api/reset-auth", b"inf")


def test_a_store_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"^s3://films/x: no store answers: .*AWS_ENDPOINT_URL"):
        fileio.exists("s3://films/x")


def test_minio_is_nowhere_unless_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with pytest.raises(InputError, match="set AWS_ENDPOINT_URL"):
        fileio.exists("minio://films/x")


def test_hadoop_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("JAVA_HOME", "HADOOP_HOME", "ARROW_LIBHDFS_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(InputError, match=r"^hdfs://namenode:8020/x: .*JAVA_HOME.*CLASSPATH"):
        fileio.exists("hdfs://namenode:8020/x")


@pytest.mark.parametrize("uri", ["s3://", "s3:///x", "ftp://bucket/x"])
def test_what_names_no_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InputError, match="SCHEME://BUCKET/PATH"):
        object_store.locate(uri)


def test_they_are_registered_when_they_are_needed() -> None:
    script = (
        "import sys, components\n"
        "assert not {'tfx', 'apache_beam', 'pyarrow'} & set(sys.modules)\n"
        "import apache_beam\n"
        "from tfx.dsl.io import fileio\n"
        "from apache_beam.io.filesystems import FileSystems\n"
        "print(fileio._get_filesystem('s3://b/x').__name__,"
        " *(type(FileSystems.get_filesystem(uri)).__name__ for uri in ('s3://b/x', '/x')))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["ObjectStore", "S3", "LocalFileSystem"]
