"""Pushes that are cut short in every way, and what labels do."""

import contextlib
import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from serving import durable, model_config, versions
from serving.labels import VersionError
from serving.model_config import CANARY, STABLE, ModelConfigError
from serving.version_folders import incomplete, version_folders
from serving.versions import ModelFolder, Version

MANY = 12


def make_model(folder: Path, content: str = "graph", size: int = 0) -> Path:
    """Files as a SavedModel has them, none of which is loaded here."""
    (folder / "variables").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables/variables.index").write_text("index")
    (folder / "variables/variables.data-00000-of-00001").write_bytes(b"v" * size)
    contract = {"backbone": "DenseNet121", "name": content}
    (folder / "assets.extra/model_contract.json").write_text(json.dumps(contract))
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "exported")


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    return ModelFolder(tmp_path / "serving" / "cxr")


def labels(folder: ModelFolder) -> dict[str, int]:
    """As a server reads them."""
    config = model_config.parse(folder.config_file.read_text(), "the file")
    return model_config.labels_of(config, "cxr")


def loaded(folder: ModelFolder) -> list[int]:
    """The versions that a server loads."""
    config = model_config.parse(folder.config_file.read_text(), "the file")
    (entry,) = config.model_config_list.config
    return list(entry.model_version_policy.specific.versions)


def hidden(folder: ModelFolder) -> list[str]:
    return [child.name for child in folder.path.iterdir() if child.name.startswith(".")]


class TestPublish:
    def test_a_push_that_nobody_noted_is_not_pushed_again(
        self, folder: ModelFolder, model: Path
    ) -> None:
        first = folder.publish(model, again=False).number
        assert folder.publish(model, again=False).number == first
        # Killed between the version and its label.
        folder.config_file.unlink()
        assert folder.publish(model, again=False).labels == (STABLE,)
        (model / "saved_model.pb").write_bytes(b"another")
        second = folder.publish(model, again=False, promote=False)
        assert second.number > first
        assert second.labels == (CANARY,)
        assert folder.publish(model, again=False).labels == (STABLE,)
        assert [version.number for version in folder.versions()] == [second.number, first]

    def test_a_version_holds_what_the_model_held(self, folder: ModelFolder, model: Path) -> None:
        version = folder.publish(model)
        assert {
            str(file.relative_to(version.path)): file.read_bytes()
            for file in version.path.rglob("*")
            if file.is_file()
        } == {
            str(file.relative_to(model)): file.read_bytes()
            for file in model.rglob("*")
            if file.is_file()
        }
        assert version.labels == (STABLE,)
        assert not version.problem
        assert version.contract["backbone"] == "DenseNet121"

    def test_numbers_rise_when_the_clock_does_not(
        self, folder: ModelFolder, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "time", lambda: 1_700_000_000.0)
        first = folder.publish(model).number
        monkeypatch.setattr(time, "time", lambda: 1_600_000_000.0)
        assert [first, folder.publish(model).number, folder.publish(model).number] == [
            1_700_000_000,
            1_700_000_001,
            1_700_000_002,
        ]

    def test_a_later_one_is_stable_and_the_first_is_kept_for_a_rollback(
        self, folder: ModelFolder, model: Path
    ) -> None:
        first, second = (folder.publish(model).number for _ in range(2))
        assert labels(folder) == {STABLE: second}
        assert loaded(folder) == [second]
        assert folder.previous() == first

    def test_a_later_one_is_a_canary_where_that_is_asked_for(
        self, folder: ModelFolder, model: Path
    ) -> None:
        first = folder.publish(model, promote=False).number
        assert labels(folder) == {STABLE: first}
        second = folder.publish(model, promote=False).number
        assert labels(folder) == {STABLE: first, CANARY: second}
        assert loaded(folder) == [first, second]

    def test_an_incomplete_model_is_refused(self, folder: ModelFolder, model: Path) -> None:
        (model / "variables/variables.index").unlink()
        with pytest.raises(VersionError, match=r"variables\.index is missing"):
            folder.publish(model)
        assert not folder.path.exists()

    def test_the_servers_path_is_the_folder_or_what_was_said(
        self, folder: ModelFolder, model: Path
    ) -> None:
        folder.publish(model)
        assert f'base_path: "{folder.path}"' in folder.config_file.read_text()
        number = folder.publish(model, served_from="/models/cxr").number
        folder.promote(number)
        assert 'base_path: "/models/cxr"' in folder.config_file.read_text()

    def test_other_models_in_the_file_stay(self, folder: ModelFolder, model: Path) -> None:
        folder.config_file.parent.mkdir(parents=True)
        folder.config_file.write_text(
            'model_config_list { config { name: "other" base_path: "/models/other" '
            'model_platform: "tensorflow" } }'
        )
        number = folder.publish(model).number
        config = model_config.parse(folder.config_file.read_text(), "the file")
        assert [one.name for one in config.model_config_list.config] == ["other", "cxr"]
        assert model_config.labels_of(config, "cxr") == {STABLE: number}

    def test_a_damaged_config_stops_the_push_before_anything_is_visible(
        self, folder: ModelFolder, model: Path
    ) -> None:
        folder.config_file.parent.mkdir(parents=True)
        folder.config_file.write_text("model_config_list { nonsense")
        with pytest.raises(ModelConfigError, match=r"models\.config"):
            folder.publish(model)
        assert list(folder.path.iterdir()) == []

    def test_only_the_last_versions_stay(self, folder: ModelFolder, model: Path) -> None:
        first = folder.publish(model, keep=2).number
        numbers = [folder.publish(model, promote=False, keep=2).number for _ in range(4)]
        # The first is stable.
        assert [one.number for one in folder.versions()] == [*numbers[:1:-1], first]


class TestAPushThatIsCutShort:
    def test_a_full_disk_leaves_what_was_served(self, folder: ModelFolder, tmp_path: Path) -> None:
        # The limit is the kernel's, and so is the error.
        script = textwrap.dedent(
            """
            import resource, signal, sys
            from pathlib import Path
            from serving.versions import ModelFolder
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
            ModelFolder(Path(sys.argv[1])).publish(Path(sys.argv[2]))
            """
        )
        before = folder.publish(make_model(tmp_path / "small"))
        large = make_model(tmp_path / "large", size=100_000)
        done = subprocess.run(
            [sys.executable, "-c", script, str(folder.path), str(large)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "VersionError" in done.stderr
        assert "was not published: File too large" in done.stderr
        assert folder.versions() == [before]
        assert hidden(folder) == []
        assert labels(folder) == {STABLE: before.number}

    def test_a_disk_that_fills_up_says_so(
        self, folder: ModelFolder, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        before = folder.publish(model)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(VersionError, match=r"No space left on device.*make room"):
            folder.publish(model)
        assert folder.versions() == [before]
        assert hidden(folder) == []

    def test_labels_that_cannot_be_written_take_the_version_back(
        self, folder: ModelFolder, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(file: Path, text: str) -> None:
            if file == folder.config_file:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            durable.replace_file(file, text)

        before = folder.publish(model)
        with monkeypatch.context() as patch:
            patch.setattr(versions, "replace_file", full)
            with pytest.raises(VersionError, match=r"No space left.*What is served is as before"):
                folder.publish(model)
        assert folder.versions() == [before]
        assert hidden(folder) == []
        assert labels(folder) == {STABLE: before.number}
        assert folder.previous() is None

    def test_a_folder_that_cannot_be_locked_is_named(self, tmp_path: Path, model: Path) -> None:
        (tmp_path / "serving").write_text("a file")
        with pytest.raises(VersionError, match=r"serving/cxr: .*was not published: "):
            ModelFolder(tmp_path / "serving" / "cxr").publish(model)

    def test_a_killed_push_is_invisible_and_the_next_one_cleans_up(
        self, folder: ModelFolder, model: Path, tmp_path: Path
    ) -> None:
        before = folder.publish(model)
        large = make_model(tmp_path / "large", size=1_000_000)
        process = multiprocessing.get_context("fork").Process(
            target=_publish_slowly, args=(folder.path, large)
        )
        process.start()
        _wait_until(lambda: any((folder.path / name).exists() for name in hidden(folder)))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert len(hidden(folder)) == 1
        assert folder.versions() == [before]

        after = folder.publish(model)
        assert hidden(folder) == []
        assert [one.number for one in folder.versions()] == [after.number, before.number]

    def test_a_push_killed_before_its_labels_are_written_changes_none(
        self, folder: ModelFolder, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = folder.publish(model).number
        second = folder.publish(model).number
        history = folder.path.parent / "cxr.history.json"
        text = folder.config_file.read_text()
        third = folder.publish(model).number
        # The history was written, and the labels were not.
        folder.config_file.write_text(text)
        assert [entry["version"] for entry in json.loads(history.read_text())] == [
            first,
            second,
            third,
        ]
        assert folder.rollback().number == first

    def test_who_polls_meanwhile_sees_complete_versions_alone(
        self, folder: ModelFolder, tmp_path: Path
    ) -> None:
        model = make_model(tmp_path / "large", size=200_000)
        context = multiprocessing.get_context("fork")
        pushing = context.Process(target=_publish_many, args=(folder.path, model))
        pushing.start()
        seen: set[str] = set()
        while pushing.is_alive():
            for child in folder.path.glob("*"):
                if child.name.isdecimal():
                    # Between the listing and the look it may have been pruned: whole, too.
                    problem = incomplete(child)
                    assert not problem or not child.exists(), problem
                    with contextlib.suppress(FileNotFoundError):
                        size = (child / "variables/variables.data-00000-of-00001").stat().st_size
                        assert size == 200_000
                    seen.add(child.name)
        pushing.join()
        assert pushing.exitcode == 0
        assert len(seen) > 2

    def test_two_at_once_take_turns(self, folder: ModelFolder, model: Path) -> None:
        context = multiprocessing.get_context("fork")
        pushes = [
            context.Process(target=_publish_many, args=(folder.path, model, 50)) for _ in range(2)
        ]
        for push in pushes:
            push.start()
        for push in pushes:
            push.join()
        assert [push.exitcode for push in pushes] == [0, 0]
        assert len(folder.versions()) == 2 * MANY
        assert labels(folder) == {STABLE: folder.versions()[0].number}


class TestLabels:
    @pytest.fixture
    def three(self, folder: ModelFolder, model: Path) -> list[Version]:
        return [folder.publish(model) for _ in range(3)]

    def test_rollback_goes_back_step_by_step_and_then_refuses(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        assert folder.rollback().number == three[1].number
        # Unlabelled clients get the highest version that is loaded: the bad one is not.
        assert loaded(folder) == [three[1].number]
        assert folder.rollback().number == three[0].number
        with pytest.raises(VersionError, match="no version that was stable before"):
            folder.rollback()
        assert labels(folder) == {STABLE: three[0].number}

    def test_a_rolled_back_version_is_not_where_the_next_rollback_goes(
        self, folder: ModelFolder, three: list[Version], model: Path
    ) -> None:
        folder.rollback()
        folder.publish(model)
        assert folder.rollback().number == three[1].number

    def test_rollback_passes_over_what_is_gone(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        (three[1].path / "saved_model.pb").unlink()
        assert folder.rollback().number == three[0].number

    def test_promoting_the_canary_ends_its_trial(
        self, folder: ModelFolder, three: list[Version], model: Path
    ) -> None:
        canary = folder.publish(model, promote=False)
        assert canary.labels == (CANARY,)
        assert folder.promote(canary.number).labels == (STABLE,)
        assert labels(folder) == {STABLE: canary.number}
        assert folder.rollback().number == three[-1].number

    def test_a_trial_can_be_given_up(self, folder: ModelFolder, three: list[Version]) -> None:
        folder.promote(three[0].number, CANARY)
        assert loaded(folder) == [three[0].number, three[2].number]
        folder.end_trial()
        assert labels(folder) == {STABLE: three[2].number}
        with pytest.raises(VersionError, match="there is no canary"):
            folder.end_trial()

    def test_what_is_stable_is_no_canary(self, folder: ModelFolder, three: list[Version]) -> None:
        with pytest.raises(VersionError, match="cannot be its own canary"):
            folder.promote(three[2].number, CANARY)

    def test_what_does_not_pass_its_check_is_not_promoted(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        def refuse(path: Path) -> None:
            raise VersionError(f"{path} is bad")

        with pytest.raises(VersionError, match="is bad"):
            folder.promote(three[0].number, check=refuse)
        with pytest.raises(VersionError, match="is bad"):
            folder.rollback(check=refuse)
        assert labels(folder) == {STABLE: three[2].number}

    def test_missing_and_incomplete_versions_are_named(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        with pytest.raises(VersionError, match=rf"no version 7; there are {three[2].number}"):
            folder.promote(7)
        (three[0].path / "variables/variables.data-00000-of-00001").rename(
            three[0].path / "variables/variables.data-00000-of-00002"
        )
        with pytest.raises(VersionError, match="incomplete: 1 of 2 files"):
            folder.promote(three[0].number)

    def test_prune_keeps_labels_and_the_way_back(
        self, folder: ModelFolder, three: list[Version], model: Path
    ) -> None:
        latest = folder.publish(model, keep=10).number
        canary = folder.promote(three[0].number, CANARY).number
        assert folder.prune(1) == [three[1].number]
        assert [one.number for one in folder.versions()] == [latest, three[2].number, canary]

    def test_half_a_file_is_never_read(
        self, folder: ModelFolder, three: list[Version], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = folder.config_file.read_text()

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(durable.os, "fsync", full)
        for change in (lambda: folder.promote(three[0].number), folder.rollback):
            with pytest.raises(VersionError, match=r"No space left.*What is served is as before"):
                change()
        assert folder.config_file.read_text() == before
        assert not list(folder.path.parent.glob(".*.new"))

    def test_a_label_that_is_written_is_not_denied(
        self, folder: ModelFolder, three: list[Version], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Path) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        monkeypatch.setattr(durable, "flush_folder", fail)
        assert folder.promote(three[0].number).labels == (STABLE,)

    def test_a_rollback_to_the_canary_ends_its_trial(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        folder.promote(three[1].number, CANARY)
        assert folder.rollback().number == three[1].number
        assert labels(folder) == {STABLE: three[1].number}

    def test_what_is_damaged_is_not_the_way_back(
        self, folder: ModelFolder, three: list[Version]
    ) -> None:
        (three[1].path / "saved_model.pb").unlink()
        assert folder.previous() == three[0].number
        assert folder.prune(1) == [three[1].number]
        assert folder.rollback().number == three[0].number

    def test_old_versions_that_cannot_be_removed_are_told_of(
        self, folder: ModelFolder, three: list[Version], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Path) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", fail)
            with pytest.raises(VersionError, match="not all old versions were removed: Read-only"):
                folder.prune(1)
        assert len(folder.versions()) == len(three)


def test_versions_are_what_a_server_takes_for_them(folder: ModelFolder, model: Path) -> None:
    number = folder.publish(model).number
    (folder.path / "1").write_text("a file")
    for name in ("notes", "-3", "²", str(2**63)):
        (folder.path / name).mkdir()
    make_model(folder.path / "0002")
    assert version_folders(folder.path) == {
        2: folder.path / "0002",
        number: folder.path / str(number),
    }
    assert folder.promote(2, CANARY).path.name == "0002"
    folder.end_trial()
    assert folder.prune(1) == [2]
    assert folder.prune(1) == []


def _publish_slowly(folder: Path, model: Path) -> None:
    flush, os.fsync = os.fsync, lambda _: time.sleep(60)  # type: ignore[assignment]
    assert flush
    ModelFolder(folder).publish(model)


def _publish_many(folder: Path, model: Path, keep: int = 3) -> None:
    for _ in range(MANY):
        ModelFolder(folder).publish(model, keep=keep)


def _wait_until(happened: object, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
