"""Folders as people have them: links, loops, odd names; and tables that point into them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.datasets.files import (
    ImageIndex,
    OutsideError,
    SeveralError,
    unusable,
    walk,
)
from components.example_gen.datasets.listing import Fate
from tests.components.example_gen.samples import write


def names(root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path in walk(root)]


def touch(root: Path, *paths: str) -> list[str]:
    return [str(write(root / path, b"x")) for path in paths]


# --- Walking ---------------------------------------------------------------------------------


def test_all_files_below_a_folder_in_a_stable_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "sub/z.png", "sub/a.png", "a.txt", "Sub/deep/er/c.png", ".hidden")
    (tmp_path / "empty").mkdir()
    assert names(tmp_path) == [
        ".hidden", "a.txt", "b.png", "Sub/deep/er/c.png", "sub/a.png", "sub/z.png"
    ]  # fmt: skip


def test_a_folder_that_is_called_like_an_image_is_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "film.png/inside.png")
    assert names(tmp_path) == ["film.png/inside.png"]


def test_nothing_below_what_is_no_folder(tmp_path: Path) -> None:
    (file,) = touch(tmp_path, "file.png")
    assert list(walk(Path(file))) == []
    assert list(walk(tmp_path / "not there")) == []


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a.png")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/linked").symlink_to(tmp_path / "elsewhere")
    assert names(tmp_path / "root") == ["linked/a.png"]


def test_a_folder_that_is_reached_in_two_ways_is_scanned_once(tmp_path: Path) -> None:
    touch(tmp_path, "b/a.png")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    assert names(tmp_path) == ["a/a.png"]


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "sub/a.png")
    (tmp_path / "sub/up").symlink_to(tmp_path)
    (tmp_path / "sub/here").symlink_to(".")
    (tmp_path / "self").symlink_to("self")
    assert names(tmp_path) == ["self", "sub/a.png"]
    assert unusable(str(tmp_path / "self")) is not None


def test_a_folder_that_cannot_be_read_is_accounted_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "open/a.png", "shut/b.png")
    scandir = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if os.path.basename(path) == "shut":  # noqa: PTH119
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)

    assert names(tmp_path) == ["open/a.png", "shut"]
    found = unusable(str(tmp_path / "shut"))
    assert found
    assert (found.reason, found.fate) == ("folder that cannot be read", Fate.QUARANTINED)


# --- What can be opened ----------------------------------------------------------------------


def test_a_sound_path(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, "ünï 名 'quoted\" \n.png")
    assert unusable(path) is None


def test_broken_links_and_pipes_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "broken.png").symlink_to("not there.png")
    os.mkfifo(tmp_path / "pipe.png")
    for path in walk(tmp_path):
        found = unusable(path)
        assert found
        assert found.source == path
        assert found.reason == "not a file, or a link that leads nowhere"
    assert len(names(tmp_path)) == 2


def test_a_name_that_is_not_utf8_is_written_down_readably(tmp_path: Path) -> None:
    (path,) = touch(tmp_path, os.fsdecode(b"\xff film.png"))
    found = unusable(path)
    assert found
    assert found.reason == "file name is not UTF-8"
    assert found.source == f"{tmp_path}/\\udcff film.png"
    found.source.encode()


# --- Finding what a table names --------------------------------------------------------------


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    paths = touch(tmp_path, "images/a.png", "images/sub/b.png", "top.png", "other/b.png")
    return ImageIndex(tmp_path, sorted(paths))


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("images/a.png", "images/a.png"),
        ("a.png", "images/a.png"),
        ("./images/a.png", "images/a.png"),
        ("images//sub/../a.png", "images/a.png"),
        ("images\\sub\\b.png", "images/sub/b.png"),
        (".\\images\\a.png", "images/a.png"),
        ("top.png", "top.png"),
        ("other/b.png", "other/b.png"),
        ("elsewhere/a.png", None),
        ("A.png", None),
        ("c.png", None),
        ("images", None),
        (".", None),
        ("C:\\films\\a.png", None),
    ],
)
def test_images_are_found_by_path_or_name(
    tmp_path: Path, index: ImageIndex, named: str, found: str | None
) -> None:
    assert index.find(named) == (str(tmp_path / found) if found else None)


def test_a_path_from_the_file_systems_root(tmp_path: Path, index: ImageIndex) -> None:
    assert index.find(f"{tmp_path}/images/a.png") == f"{tmp_path}/images/a.png"
    assert index.find(f"/{tmp_path}//images/a.png") == f"{tmp_path}/images/a.png"
    assert index.find(f"{tmp_path}/images/none.png") is None


def test_a_path_that_reaches_the_root_through_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "store/films/a.png", "store/films/sub/b.png", "store/other/a.png")
    (tmp_path / "alias").symlink_to(tmp_path / "store")
    (tmp_path / "store/films/linked.png").symlink_to(tmp_path / "store/other/a.png")
    for root, other in (("store", "alias"), ("alias", "store")):
        films = tmp_path / root / "films"
        index = ImageIndex(films, walk(films))
        for name in ("a.png", "sub/b.png", "linked.png"):
            assert index.find(f"{tmp_path}/{other}/films/{name}") == str(films / name)
        with pytest.raises(OutsideError):
            index.find(f"{tmp_path}/{other}/other/a.png")
        with pytest.raises(OutsideError):
            index.find(f"{tmp_path}/{other}/films/../other/a.png")


def test_a_root_that_is_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "root/images/a.png")
    monkeypatch.chdir(tmp_path)
    index = ImageIndex(Path("root"), walk(Path("root")))
    assert index.find("images/a.png") == "root/images/a.png"
    assert index.find(f"{tmp_path}/root/images/a.png") == "root/images/a.png"
    with pytest.raises(OutsideError):
        index.find(f"{tmp_path}/a.png")


@pytest.mark.parametrize(
    "named",
    [
        "../a.png",
        "..",
        "images/../../a.png",
        "..\\..\\a.png",
        "/etc/passwd",
        "//etc/passwd",
        "/",
        "\\\\server\\share\\a.png",
    ],
)
def test_no_table_leads_out_of_the_root(index: ImageIndex, named: str) -> None:
    with pytest.raises(OutsideError):
        index.find(named)


def test_a_folder_beside_the_root_with_the_same_beginning_is_outside(tmp_path: Path) -> None:
    index = ImageIndex(tmp_path / "nih", touch(tmp_path, "nih/a.png"))
    with pytest.raises(OutsideError):
        index.find(f"{tmp_path}/nih_private/a.png")


@given(st.text(alphabet="./\\ab~\0 :", max_size=12))
def test_whatever_is_named_what_is_found_lies_in_the_root(named: str) -> None:
    index = ImageIndex(Path("/films"), ["/films/a", "/films/b/a", "/films/ab/b"])
    try:
        found = index.find(named)
    except (OutsideError, SeveralError):
        return
    assert found in (None, "/films/a", "/films/b/a", "/films/ab/b")


# --- What is left ----------------------------------------------------------------------------


def rest(index: ImageIndex, root: Path) -> dict[str, Fate]:
    return {os.path.relpath(one.source, root): one.fate for one in index.rest()}


def test_what_no_row_names_is_left(tmp_path: Path, index: ImageIndex) -> None:
    index.find("a.png")
    index.find("top.png")
    index.find("none.png")
    assert rest(index, tmp_path) == {
        "images/sub/b.png": Fate.OUT_OF_SCOPE,
        "other/b.png": Fate.OUT_OF_SCOPE,
    }


@pytest.mark.parametrize("named", ["b.png", "./b.png", ".\\b.png"])
def test_a_name_of_several_images_is_of_none(tmp_path: Path, index: ImageIndex, named: str) -> None:
    with pytest.raises(SeveralError):
        index.find(named)
    assert set(rest(index, tmp_path).values()) == {Fate.OUT_OF_SCOPE}


def test_of_several_images_of_one_name_one_may_be_taken_if_they_are_copies(
    tmp_path: Path,
) -> None:
    index = ImageIndex(tmp_path, touch(tmp_path, "1/a.png", "2/a.png", "1/b.png"), copies=True)
    assert index.find("a.png") == str(tmp_path / "1/a.png")
    assert rest(index, tmp_path) == {"2/a.png": Fate.DUPLICATE, "1/b.png": Fate.OUT_OF_SCOPE}

    write(tmp_path / "2/a.png", b"y")
    with pytest.raises(SeveralError):
        index.find("a.png")
    (tmp_path / "2/a.png").unlink()
    with pytest.raises(SeveralError):
        index.find("a.png")


def test_of_copies_of_one_name_one_is_taken_for_the_name(tmp_path: Path) -> None:
    names = ("images/a.png", "images/sub/b.png", "top.png", "other/b.png")
    index = ImageIndex(tmp_path, sorted(touch(tmp_path, *names)), copies=True)
    index.find("b.png")
    assert rest(index, tmp_path) == {
        "images/a.png": Fate.OUT_OF_SCOPE,
        "other/b.png": Fate.DUPLICATE,
        "top.png": Fate.OUT_OF_SCOPE,
    }


def test_an_image_named_by_its_path_is_not_taken_for_others_of_its_name(
    tmp_path: Path, index: ImageIndex
) -> None:
    index.find("other/b.png")
    assert rest(index, tmp_path)["images/sub/b.png"] == Fate.OUT_OF_SCOPE


def test_every_image_is_found_or_left(tmp_path: Path, index: ImageIndex) -> None:
    found = {index.find(named) for named in ("a.png", "other/b.png", "a.png", "x.png")} - {None}
    assert len(found) + len(index.rest()) == len(index) == 4


def test_many_images_of_one_name_take_no_longer_than_others() -> None:
    paths = [f"/films/{number:05d}/1-1.dcm" for number in range(20_000)]
    start = time.perf_counter()
    index = ImageIndex(Path("/films"), paths)
    assert index.find("00007/1-1.dcm") == paths[7]
    assert len(index.rest()) == len(paths) - 1
    # About a quarter of a second; a scan of all for each took minutes.
    assert time.perf_counter() - start < 10
