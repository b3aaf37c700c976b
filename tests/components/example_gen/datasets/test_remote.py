"""Datasets in a store: what its file system says is told with the URL, and asked for once."""

import os
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from apache_beam.io.gcp import gcsio
from pyarrow import fs

from components import object_store, object_store_fileio
from components.example_gen import beam_io
from components.example_gen.datasets import files, registry
from components.example_gen.datasets.files import ImageIndex, OutsideError, SeveralError
from components.example_gen.datasets.listing import DatasetError, LeftOut
from components.example_gen.datasets.remote import RemoteError, RemotePath
from components.example_gen.record import NORMAL, XrayFile
from tests.components.example_gen.bucket import Bucket, remote
from tests.components.example_gen.dicom_samples import write_dicom
from tests.components.example_gen.samples import write, write_nih


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """What the store raises where it is asked for a URL that ends so."""
    refused: dict[str, Exception] = {}
    monkeypatch.setattr(Bucket, "refused", refused)
    return refused


# --- Paths -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("gs://bucket", "gs://bucket"),
        ("gs://bucket/", "gs://bucket"),
        ("s3://bucket//x-rays/./nih/", "s3://bucket/x-rays/nih"),
        ("gs://bucket/a/../../b", "gs://bucket/b"),
        ("hdfs:///data/", "hdfs:///data"),
        ("hdfs://host:8020/data", "hdfs://host:8020/data"),
    ],
)
def test_a_url_keeps_its_two_slashes_and_is_spelt_in_one_way(given: str, uri: str) -> None:
    assert str(files.place(given)) == uri
    assert files.place(given) == RemotePath(uri)


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        (None, "gs://bucket/data"),
        ("nih", "gs://bucket/data/nih"),
        ("../nih", "gs://bucket/nih"),
        ("s3://other/nih", "s3://other/nih"),
        ("/mnt/nih", "/mnt/nih"),
    ],
)
def test_a_datasets_folder_is_below_the_data_root_or_where_it_says(
    folder: str | None, found: str
) -> None:
    assert str(files.join(files.place("gs://bucket/data"), folder)) == found


def test_a_url_below_a_folder_here(tmp_path: Path) -> None:
    assert files.join(tmp_path, "gs://bucket/nih") == RemotePath("gs://bucket/nih")
    assert files.join(tmp_path, "nih") == tmp_path / "nih"


# --- Listing ---------------------------------------------------------------------------------


def test_files_come_in_the_order_of_a_folders(tmp_path: Path) -> None:
    for name in ("b.png", "sub/z.png", "sub/a.png", "a.txt", "Sub/deep/c.png", "sub-1/a.png"):
        write(tmp_path / name, b"x")
    here = [files.below(path, tmp_path) for path in files.walk(tmp_path)]
    there = [files.below(path, remote(tmp_path)) for path in files.walk(remote(tmp_path))]
    assert there == here


def test_nothing_is_where_there_is_no_folder(tmp_path: Path) -> None:
    nowhere = remote(tmp_path / "none")
    assert list(files.walk(nowhere)) == files.names(nowhere) == []
    assert not nowhere.is_dir()
    assert not nowhere.is_file()


def test_a_data_root_is_seen_as_it_was_when_it_was_listed(tmp_path: Path) -> None:
    root = remote(write_nih(tmp_path, 4))
    before = registry.list_files("nih", root)
    write_nih(tmp_path, 5)
    Bucket.requests.clear()
    assert list((root / "images").walk()) == [file.path for file in before.files]
    assert not Bucket.requests
    assert len(RemotePath(f"{root}/images").walk()) == 5


def test_google_lists_sizes_and_times_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {
        "gs://bucket/x-rays/": (0, 1.0),
        "gs://bucket/x-rays/b.png": (10, 1.5),
        "gs://bucket/x-rays/a.png": (20, 2.5),
    }
    asked: list[str] = []

    class GcsIO:
        def list_files(self, path: str, with_metadata: bool) -> Any:
            asked.append(path)
            return iter(objects.items())

    monkeypatch.setattr(gcsio, "GcsIO", GcsIO)
    root = RemotePath("gs://bucket/x-rays")
    assert root.walk() == ("gs://bucket/x-rays/a.png", "gs://bucket/x-rays/b.png")
    before = dict(root.states)
    objects["gs://bucket/x-rays/a.png"] = (20, 3.5)
    again = RemotePath("gs://bucket/x-rays")
    again.walk()
    assert {uri for uri in before if before[uri] != again.states[uri]} == {
        "gs://bucket/x-rays/a.png"
    }
    # Not `x-rays-2`, which begins alike.
    assert asked == ["gs://bucket/x-rays/"] * 2


def test_arrow_lists_sizes_and_times_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files of s3:// are those of a folder here, behind Arrow's interface."""
    asked: list[str] = []

    def locate(uri: str) -> tuple[fs.FileSystem, str]:
        asked.append(uri)
        store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
        return store, uri.removeprefix("s3://bucket/")

    for module in (object_store, object_store_fileio):
        monkeypatch.setattr(module, "locate", locate)
    folder = write_nih(tmp_path, 4)
    requests, fingerprints = [], set()
    for images in (4, 5):
        write_nih(tmp_path, images)
        here = registry.list_files("nih", folder)
        asked.clear()
        there = registry.list_files("nih", files.place("s3://bucket/nih"))
        fingerprints.add(there.fingerprint())
        requests.append(len(asked))
        assert [Path(file.path).relative_to(folder) for file in here.files] == [
            Path(file.path.removeprefix("s3://bucket/nih/")) for file in there.files
        ]
    assert requests[0] == requests[1]
    status = Path(here.files[0].path).stat()
    os.utime(here.files[0].path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))
    fingerprints.add(registry.list_files("nih", files.place("s3://bucket/nih")).fingerprint())
    assert len(fingerprints) == 3
    image = there.files[0].path
    assert files.read_bytes(image) == Path(here.files[0].path).read_bytes()
    with files.opened(image) as file:
        assert (file.seek(1), file.read(3)) == (1, b"PNG")
    with pytest.raises(FileNotFoundError, match="s3://bucket/nih/none"):
        files.read_bytes("s3://bucket/nih/none")


def test_tensorflows_own_file_systems() -> None:
    root = RemotePath("ram://films")
    tf.io.gfile.makedirs("ram://films/sub")
    for name in ("b.png", "sub/a.png"):
        with tf.io.gfile.GFile(f"ram://films/{name}", "wb") as file:
            file.write(name)
    assert root.walk() == ("ram://films/b.png", "ram://films/sub/a.png")
    assert sorted(root.names()) == ["b.png", "sub"]
    assert files.read_bytes("ram://films/sub/a.png") == b"sub/a.png"
    with files.opened("ram://films/sub/a.png") as file:
        assert (file.seek(4), file.read(1), file.tell()) == (4, b"a", 5)
    with pytest.raises(FileNotFoundError, match=r"ram://films/none\.png"):
        files.read_bytes("ram://films/none.png")


def test_a_store_that_nobody_speaks_to_is_named() -> None:
    with pytest.raises(RemoteError, match=r"^nfs5://server/x-rays.* cannot be listed: .*scheme"):
        registry.list_files("nih", files.place("nfs5://server/x-rays"))


# --- Reading ---------------------------------------------------------------------------------


def survey(path: str) -> Any:
    file = XrayFile(
        path=path,
        dataset="nih",
        filename="a.png",
        patient_id="nih:1",
        label=NORMAL,
        findings=("No Finding",),
    )
    return beam_io.parse_survey(next(iter(beam_io.survey_lines([file]))))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (tf.errors.NotFoundError(None, None, "gone"), "No such file"),
        (tf.errors.PermissionDeniedError(None, None, "403"), "Permission denied"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_out(
    refuse: dict[str, Exception], error: Exception, reason: str
) -> None:
    refuse["a.png"] = error
    found = survey("bucket:///films/a.png")
    assert isinstance(found, LeftOut)
    assert (found.source, found.reason) == (
        "bucket:///films/a.png",
        f"file cannot be read: {reason}",
    )


@pytest.mark.parametrize(
    "error",
    [tf.errors.UnavailableError(None, None, "502 from the store"), OSError("502 from the store")],
)
def test_a_store_that_does_not_answer_ends_the_ingest_and_loses_no_image(
    refuse: dict[str, Exception], error: Exception, tmp_path: Path
) -> None:
    said = r"^bucket:/\S+ cannot be read: 502 from the store\. Run again\."
    refuse["a.png"] = error
    with pytest.raises(DatasetError, match=said):
        survey("bucket:///films/a.png")
    refuse["IM0002.dcm"] = error
    with pytest.raises(DatasetError, match=said):
        registry.list_files("dicom", remote(write_dicom(tmp_path, 4)))


# --- Tables ----------------------------------------------------------------------------------


def test_a_table_names_images_by_url_path_or_name() -> None:
    root = RemotePath("gs://bucket/nih")
    paths = ["gs://bucket/nih/images/a.png", "gs://bucket/nih/images/sub/b.png"]
    index = ImageIndex(root, paths)
    for named in ("a.png", "images/a.png", "./images/sub/../a.png", "gs://bucket/nih/images/a.png"):
        assert index.find(named) == paths[0]
    assert index.find("gs://bucket/nih/images/none.png") is None
    for named in (
        "gs://bucket/private/a.png",
        "gs://bucket/nih/../private/a.png",
        "gs://other/nih/images/a.png",
        "../a.png",
        "/etc/passwd",
    ):
        with pytest.raises(OutsideError):
            index.find(named)


def test_copies_of_one_name_are_compared_in_the_store(tmp_path: Path) -> None:
    for name in ("1/a.png", "2/a.png"):
        write(tmp_path / name, b"x")
    index = ImageIndex(remote(tmp_path), remote(tmp_path).walk(), copies=True)
    assert index.find("a.png") == f"{remote(tmp_path)}/1/a.png"
    write(tmp_path / "2/a.png", b"y")
    with pytest.raises(SeveralError):
        index.find("a.png")
