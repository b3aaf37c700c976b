"""Fetching, by kagglehub's real client from a server on loopback."""

import dataclasses
import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import InputError
from components.example_gen.datasets import registry
from components.example_gen.datasets.listing import DatasetError
from components.example_gen.public.checksums import FILE
from components.example_gen.public.fetch import STAGING, fetch
from components.example_gen.public.published import NIH, PEDIATRIC, FetchError, PublicDataset
from tests.components.example_gen.public.kaggle_stub import (
    API,
    TINY_NIH,
    TINY_PEDIATRIC,
    KaggleStub,
    nih_files,
    pediatric_archive,
    pediatric_files,
    point_kagglehub_at,
    write_all,
    zip_of,
)

MEBIBYTE = 1 << 20  # kagglehub writes in pieces of that size
CUT = 2 * MEBIBYTE + 1000


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KaggleStub]:
    """A Kaggle that has the tiny pediatric set."""
    with KaggleStub() as stub:
        stub.archive = pediatric_archive(pediatric_files())
        point_kagglehub_at(stub.url, tmp_path / "home", monkeypatch)
        yield stub


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "data"


def held(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def sums_agree(root: Path) -> bool:
    """What coreutils thinks of it."""
    ended = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", FILE], cwd=root, check=False)
    return ended.returncode == 0


class TestDownload:
    def test_brings_every_image_once_and_nothing_else(self, kaggle: KaggleStub, out: Path) -> None:
        fetched = fetch(TINY_PEDIATRIC, out)

        assert fetched.root == out / "chest_xray"
        assert (fetched.images, fetched.found, fetched.recorded) == (9, False, True)
        files = held(fetched.root)
        assert files.pop(FILE)
        assert files == pediatric_files()
        assert sums_agree(fetched.root)
        assert names(out) == {"chest_xray"}
        assert len(registry.list_files("pediatric", out).files) == 9

    def test_an_interrupted_download_goes_on_where_it_stopped(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        kaggle.breaks_at = CUT
        fetch(TINY_PEDIATRIC, out)

        assert kaggle.asked == [API, "whole", API, "whole", f"bytes={2 * MEBIBYTE}-"]
        assert sums_agree(out / "chest_xray")

    def test_the_next_command_goes_on_too(self, kaggle: KaggleStub, out: Path) -> None:
        kaggle.breaks_at, kaggle.stays_broken = CUT, True
        with pytest.raises(FetchError, match=r"0\.0 GB of .* goes on from there"):
            fetch(TINY_PEDIATRIC, out)
        assert names(out) == {STAGING}

        kaggle.breaks_at = None
        kaggle.asked.clear()
        fetch(TINY_PEDIATRIC, out)
        assert kaggle.asked == [API, "whole", f"bytes={2 * MEBIBYTE}-"]
        assert names(out) == {"chest_xray"}
        assert sums_agree(out / "chest_xray")

    def test_a_wrong_checksum_is_told_and_the_archive_not_used(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        kaggle.md5 = "AAAAAAAAAAAAAAAAAAAAAA=="
        with pytest.raises(FetchError, match="MD5"):
            fetch(TINY_PEDIATRIC, out)
        assert names(out) == set()

        kaggle.md5 = None
        assert fetch(TINY_PEDIATRIC, out).images == 9

    def test_without_an_announced_checksum_the_zip_archive_has_its_own(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        whole = kaggle.archive
        middle = len(whole) // 2
        kaggle.archive = whole[:middle] + bytes(16) + whole[middle + 16 :]
        kaggle.md5 = ""
        with pytest.raises(FetchError, match="not a whole archive"):
            fetch(TINY_PEDIATRIC, out)

        kaggle.archive = whole
        assert fetch(TINY_PEDIATRIC, out).images == 9

    def test_a_page_instead_of_an_archive_is_told(self, kaggle: KaggleStub, out: Path) -> None:
        kaggle.archive = b"<html>Please log in to the network of this hotel</html>"
        with pytest.raises(FetchError, match="not a whole archive"):
            fetch(TINY_PEDIATRIC, out)
        assert not list(out.rglob("*.archive"))

    def test_another_layout_is_told(self, kaggle: KaggleStub, out: Path) -> None:
        kaggle.archive = zip_of({"cats/1.jpeg": b"cat"})
        with pytest.raises(DatasetError, match="val/NORMAL has 0 images, not 1"):
            fetch(TINY_PEDIATRIC, out)
        assert names(out) == {STAGING}

    def test_a_missing_image_is_told_and_nothing_looks_whole(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        files = pediatric_files()
        del files["train/NORMAL/IM-0001.jpeg"]
        kaggle.archive = pediatric_archive(files)
        with pytest.raises(DatasetError, match="train/NORMAL has 1 images, not 2"):
            fetch(TINY_PEDIATRIC, out)
        assert names(out) == {STAGING}
        with pytest.raises(DatasetError):
            registry.find_root("pediatric", out)

    def test_what_was_unpacked_before_an_interruption_is_not_asked_for_again(
        self, kaggle: KaggleStub, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", _interrupted)
            with pytest.raises(KeyboardInterrupt):
                fetch(TINY_PEDIATRIC, out)
        assert names(out) == {STAGING}

        kaggle.asked.clear()
        assert fetch(TINY_PEDIATRIC, out).images == 9
        assert kaggle.asked == []

    def test_the_users_own_kagglehub_settings_stay(
        self, kaggle: KaggleStub, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "mine"))
        fetch(TINY_PEDIATRIC, out)
        assert os.environ["KAGGLEHUB_CACHE"] == str(tmp_path / "mine")
        assert not (tmp_path / "mine").exists()


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class TestWhatIsThere:
    def test_a_second_fetch_verifies_and_does_nothing_else(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        root = fetch(TINY_PEDIATRIC, out).root
        kaggle.asked.clear()
        times = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
        steps: set[str] = set()

        fetched = fetch(TINY_PEDIATRIC, out, progress=lambda what, done, total: steps.add(what))

        assert (fetched.images, fetched.found, fetched.recorded) == (9, True, False)
        assert kaggle.asked == []
        assert steps == {"comparing checksums"}
        assert times == {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}

    def test_changed_missing_and_extra_files_are_named(self, kaggle: KaggleStub, out: Path) -> None:
        root = fetch(TINY_PEDIATRIC, out).root
        (root / "train/NORMAL/IM-0000.jpeg").write_bytes(b"other")
        (root / "test/NORMAL/IM-0000.jpeg").unlink()
        (root / "train/PNEUMONIA/mine.png").write_bytes(b"mine")
        before = held(root)

        with pytest.raises(DatasetError) as caught:
            fetch(TINY_PEDIATRIC, out)

        assert "changed: train/NORMAL/IM-0000.jpeg\n" in str(caught.value)
        assert "missing: test/NORMAL/IM-0000.jpeg\n" in str(caught.value)
        assert "extra: train/PNEUMONIA/mine.png\n" in str(caught.value)
        assert held(root) == before

    def test_other_files_beside_the_dataset_stay(self, kaggle: KaggleStub, out: Path) -> None:
        others = write_all(out, {"notes.txt": b"mine", "nih/Data_Entry_2017.csv": b"mine too"})
        before = held(others)
        fetch(TINY_PEDIATRIC, out)
        assert before.items() <= held(out).items()

    def test_other_files_in_its_place_are_never_touched(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        write_all(out, {"chest_xray/notes.txt": b"mine"})
        with pytest.raises(FetchError, match="holds other files"):
            fetch(TINY_PEDIATRIC, out)
        assert held(out) == {"chest_xray/notes.txt": b"mine"}
        assert kaggle.asked == []

    def test_an_empty_folder_in_its_place_is_used(self, kaggle: KaggleStub, out: Path) -> None:
        (out / "chest_xray").mkdir(parents=True)
        assert fetch(TINY_PEDIATRIC, out).images == 9

    def test_what_was_unpacked_by_hand_gets_checksums_and_loses_nothing(
        self, kaggle: KaggleStub, out: Path
    ) -> None:
        root = write_all(out / "chest_xray", pediatric_files())
        write_all(root / "chest_xray", pediatric_files())
        before = held(root)

        fetched = fetch(TINY_PEDIATRIC, out)

        assert (fetched.images, fetched.found, fetched.recorded) == (9, True, True)
        assert len(fetched.others) == 9
        assert fetched.others[0].startswith("chest_xray/test/")
        assert held(root).keys() - before.keys() == {FILE}
        assert sums_agree(root)
        assert kaggle.asked == []
        assert not fetch(TINY_PEDIATRIC, out).recorded

    def test_a_part_is_told_and_stays(self, kaggle: KaggleStub, out: Path) -> None:
        files = pediatric_files()
        del files["val/NORMAL/IM-0000.jpeg"]
        write_all(out / "chest_xray", files)
        with pytest.raises(DatasetError, match="val/NORMAL has 0 images, not 1"):
            fetch(TINY_PEDIATRIC, out)
        assert held(out / "chest_xray") == files

    def test_a_damaged_list_of_checksums_is_told(self, kaggle: KaggleStub, out: Path) -> None:
        root = fetch(TINY_PEDIATRIC, out).root
        (root / FILE).write_text("nonsense\n")
        with pytest.raises(DatasetError, match="line 1"):
            fetch(TINY_PEDIATRIC, out)

    def test_only_one_fetch_at_a_time(self, kaggle: KaggleStub, out: Path) -> None:
        staging = out / STAGING / "pediatric"
        staging.mkdir(parents=True)
        with (staging / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(FetchError, match="another"):
                fetch(TINY_PEDIATRIC, out)
        assert kaggle.asked == []


class TestNoDownload:
    def assert_told(self, error: InputError, out: Path, *words: str) -> None:
        for word in (*words, "By hand", "archive.zip", f"cxr data inspect {out}"):
            assert word in str(error)

    def test_no_network(self, kaggle: KaggleStub, out: Path) -> None:
        kaggle.down = True
        with pytest.raises(FetchError) as caught:
            fetch(TINY_PEDIATRIC, out)
        self.assert_told(caught.value, out, "no network")
        assert names(out) == set()

    def test_a_proxy_that_refuses(
        self, kaggle: KaggleStub, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        with pytest.raises(FetchError) as caught:
            fetch(TINY_PEDIATRIC, out)
        self.assert_told(caught.value, out, "proxy")

    @pytest.mark.parametrize(
        ("status", "words"),
        [
            (401, ("credentials", "KAGGLE_API_TOKEN")),
            (403, ("credentials", "KAGGLE_API_TOKEN")),
            (404, ("no longer has", "HTTP 404")),
            (503, ("Try again later", "HTTP 503")),
        ],
    )
    def test_kaggle_refuses(
        self, kaggle: KaggleStub, out: Path, status: int, words: tuple[str, ...]
    ) -> None:
        kaggle.status = status
        with pytest.raises(FetchError) as caught:
            fetch(TINY_PEDIATRIC, out)
        self.assert_told(caught.value, out, *words)

    def test_unreadable_credentials(
        self, kaggle: KaggleStub, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_all(tmp_path / "home" / ".kaggle", {"kaggle.json": b"{"})
        with pytest.raises(FetchError, match=r"kaggle\.json.*KAGGLE_API_TOKEN"):
            fetch(TINY_PEDIATRIC, out)

    def test_too_little_room_names_need_and_have(
        self, kaggle: KaggleStub, out: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usage = shutil.disk_usage(out.parent)._replace(free=1_500_000_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(FetchError, match=r"needs 5\.0 GB more .* 1\.5 GB are free"):
            fetch(PEDIATRIC, out)
        assert kaggle.asked == []
        assert not out.exists()


class TestArchiveThatIsHere:
    def test_is_unpacked_once_without_a_network(
        self, kaggle: KaggleStub, out: Path, tmp_path: Path
    ) -> None:
        archive = tmp_path / "archive.zip"
        archive.write_bytes(kaggle.archive)

        fetched = fetch(TINY_PEDIATRIC, out, source=archive)

        assert {name for name in held(out / "chest_xray") if name != FILE} == set(pediatric_files())
        assert fetched.recorded
        assert archive.exists()
        assert kaggle.asked == []

    def test_an_incomplete_one_leaves_nothing_to_a_better_one(
        self, out: Path, tmp_path: Path
    ) -> None:
        files = pediatric_files()
        renamed = {name.replace("IM-0001", "IM-9999"): data for name, data in files.items()}
        del renamed["val/NORMAL/IM-0000.jpeg"]
        worse, better = tmp_path / "worse.zip", tmp_path / "better.zip"
        worse.write_bytes(pediatric_archive(renamed))
        better.write_bytes(pediatric_archive(files))

        with pytest.raises(DatasetError, match="val/NORMAL has 0 images"):
            fetch(TINY_PEDIATRIC, out, source=worse)
        fetch(TINY_PEDIATRIC, out, source=better)
        assert held(out / "chest_xray").keys() == {*files, FILE}
        assert names(out) == {"chest_xray"}

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda data: data[:-1000], "not a whole zip archive"),
            (lambda data: data[:5000] + bytes(9) + data[5009:], "not a whole zip archive"),
            (lambda data: zip_of({"cats/1.jpeg": b"cat"}), "holds no file"),
        ],
    )
    def test_a_useless_one_is_told(
        self, out: Path, tmp_path: Path, damage: Callable[[bytes], bytes], words: str
    ) -> None:
        archive = tmp_path / "archive.zip"
        archive.write_bytes(damage(zip_of(dict(pediatric_files()))))
        with pytest.raises(DatasetError, match=words):
            fetch(TINY_PEDIATRIC, out, source=archive)
        assert not (out / "chest_xray").exists()


class TestNih:
    def test_brings_images_and_tables(self, kaggle: KaggleStub, out: Path) -> None:
        kaggle.archive = zip_of({**nih_files(), "__MACOSX/._a.png": b"fork"})
        fetched = fetch(TINY_NIH, out)
        assert {name for name in held(out / "nih") if name != FILE} == set(nih_files())
        assert fetched.images == 3
        assert sums_agree(out / "nih")
        assert len(registry.list_files("nih", out).files) == 2

    def test_images_in_one_folder_are_as_good(self, out: Path) -> None:
        files = {
            f"images/{Path(name).name}" if name.endswith(".png") else name: data
            for name, data in nih_files("Data_Entry_2017_v2020.csv").items()
        }
        write_all(out / "nih", files)
        assert fetch(TINY_NIH, out).images == 3

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"images_002/images/c.png": None}, "images_002/images has 0 images, not 1"),
            (
                {"images_002/images/c.png": None, "images_002/images/x.png": b"x"},
                "rows of Data_Entry_2017.csv without their image: c.png",
            ),
            (
                {"images_002/images/c.png": None, "images_002/images/x.png": b"x"},
                "images that Data_Entry_2017.csv does not name: x.png",
            ),
            (
                {"Data_Entry_2017.csv": b"Image Index\na.png\nb.png\n"},
                "Data_Entry_2017.csv has 2 rows, not 3",
            ),
            ({"Data_Entry_2017.csv": b"\xff\xfe"}, "cannot be read"),
            ({"BBox_List_2017.csv": None}, "BBox_List_2017.csv is missing"),
        ],
    )
    def test_what_is_wrong_is_named(
        self, out: Path, change: dict[str, bytes | None], problem: str
    ) -> None:
        changed = nih_files() | change
        write_all(out / "nih", {name: data for name, data in changed.items() if data is not None})
        with pytest.raises(DatasetError) as caught:
            fetch(TINY_NIH, out)
        assert problem in str(caught.value)


class TestPublishedNumbers:
    def test_pediatric(self) -> None:
        splits = {"train": 0, "val": 0, "test": 0}
        for folder, count in PEDIATRIC.counts.items():
            splits[folder.split("/")[0]] += count
        assert splits == {"train": 5_216, "val": 16, "test": 624}

    def test_nih(self) -> None:
        assert sum(NIH.counts.values()) == 112_120
        assert len(NIH.counts) == 12

    @pytest.mark.parametrize("dataset", [PEDIATRIC, NIH])
    def test_the_folder_is_one_that_runs_look_in(self, dataset: PublicDataset) -> None:
        assert dataset.folder in registry.DATASETS[dataset.name].FOLDERS

    def test_a_long_list_of_names_is_cut_and_counted(self, out: Path) -> None:
        many = dataclasses.replace(TINY_NIH, counts={"images_001/images": 30})
        rows = "\n".join(f"{number:02d}.png" for number in range(30))
        write_all(out / "nih", {"Data_Entry_2017.csv": f"Image Index\n{rows}".encode()})
        with pytest.raises(DatasetError, match=r"00\.png, .*, 09\.png and 20 more"):
            fetch(many, out)
