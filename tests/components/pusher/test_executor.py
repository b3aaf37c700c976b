"""The node on real artifacts, into a folder and into a store without renaming."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.dsl.io import fileio
from tfx.proto import pusher_pb2
from tfx.types import standard_artifacts
from tfx.utils import path_utils, proto_utils

from components.pusher import remote
from components.pusher.component import Pusher
from components.pusher.executor import Executor
from components.pusher.settings import PusherSettings
from serving import model_config
from serving.labels import VersionError
from serving.versions import ModelFolder
from tests.serving.test_versions import hidden, labels, make_model


class Push:
    """Pushes one model again and again."""

    def __init__(self, folder: Path) -> None:
        self._root = folder
        self.model = standard_artifacts.Model()
        self.model.uri = str(folder / "model")
        make_model(Path(path_utils.serving_model_path(self.model.uri)))
        self.served = ModelFolder(folder / "serving" / "cxr")

    def __call__(self, *, blessed: int = 1, infra: int = 1, **settings: Any) -> Any:
        """Run the node; its artifact."""
        model_blessing = standard_artifacts.ModelBlessing()
        model_blessing.set_int_custom_property("blessed", blessed)
        infra_blessing = standard_artifacts.InfraBlessing()
        infra_blessing.set_int_custom_property("blessed", infra)
        pushed = standard_artifacts.PushedModel()
        pushed.uri = str(self._root / "pushed")
        node = Pusher(
            tfx.dsl.Channel(type=standard_artifacts.Model),
            folder=str(self.served.path),
            settings=PusherSettings(**settings),
        )
        Executor().Do(
            {
                "model": [self.model],
                "model_blessing": [model_blessing],
                "infra_blessing": [infra_blessing],
            },
            {"pushed_model": [pushed]},
            node.exec_properties,
        )
        return pushed

    def another(self, **settings: Any) -> Any:
        """Run the node on a model that was trained anew; its artifact."""
        graph = Path(path_utils.serving_model_path(self.model.uri), "saved_model.pb")
        graph.write_text(f"{graph.read_text()}, trained again")
        return self(**settings)


@pytest.fixture
def push(tmp_path: Path) -> Push:
    return Push(tmp_path)


def test_a_blessed_model_is_pushed_as_by_tfx(push: Push) -> None:
    pushed = push()
    (version,) = push.served.versions()
    assert pushed.get_int_custom_property("pushed") == 1
    assert pushed.get_string_custom_property("pushed_destination") == str(version.path)
    assert pushed.get_string_custom_property("pushed_version") == str(version.number)
    assert pushed.get_string_custom_property("label") == "stable"
    assert (Path(pushed.uri) / "saved_model.pb").read_text() == "graph"


@pytest.mark.parametrize("refused", [{"blessed": 0}, {"infra": 0}])
def test_either_refusal_keeps_it_from_being_pushed(push: Push, refused: dict[str, int]) -> None:
    pushed = push(**refused)
    assert pushed.get_int_custom_property("pushed") == 0
    assert not push.served.path.exists()


def test_settings_decide_the_label_and_how_many_stay(push: Push) -> None:
    first, _, last = [push.another(promote=False, keep=1) for _ in range(3)]
    assert last.get_string_custom_property("label") == "canary"
    versions = [str(version.number) for version in push.served.versions()]
    assert versions == [
        last.get_string_custom_property("pushed_version"),
        first.get_string_custom_property("pushed_version"),
    ]


def test_a_model_that_is_there_already_is_not_pushed_again(push: Push) -> None:
    first, again = (push().get_string_custom_property("pushed_version") for _ in range(2))
    assert first == again
    assert len(push.served.versions()) == 1


def test_an_export_that_lacks_files_is_not_pushed(push: Push) -> None:
    push()
    Path(path_utils.serving_model_path(push.model.uri), "saved_model.pb").unlink()
    with pytest.raises(VersionError, match=r"no saved_model\.pb"):
        push()
    assert len(push.served.versions()) == 1


@pytest.mark.parametrize("served_from", ["models", "C:\\models"])
def test_a_path_that_no_server_takes_is_refused_at_once(served_from: str) -> None:
    with pytest.raises(ValueError, match="served_from"):
        PusherSettings(served_from=served_from)


def test_the_node_keeps_the_name_that_others_look_for() -> None:
    node = Pusher(tfx.dsl.Channel(type=standard_artifacts.Model), folder="/served/cxr", code="abc")
    assert node.id == "Pusher"
    destination = pusher_pb2.PushDestination()
    proto_utils.json_to_proto(node.exec_properties["push_destination"], destination)
    assert destination.filesystem.base_directory == "/served/cxr"
    assert json.loads(node.exec_properties["custom_config"])["code"] == "abc"


class TestRemote:
    """Through fileio, as gs:// and s3:// are reached; the files are local here."""

    @pytest.fixture
    def model(self, tmp_path: Path) -> str:
        return str(make_model(tmp_path / "exported"))

    @staticmethod
    def trained_again(model: str) -> str:
        """The same model with other weights."""
        weights = Path(model, "variables", "variables.data-00000-of-00001")
        weights.write_text(f"{weights.read_text()}, trained again")
        return model

    @pytest.fixture
    def folder(self, tmp_path: Path) -> ModelFolder:
        return ModelFolder(tmp_path / "serving" / "cxr")

    def test_labels_history_and_pruning_are_those_of_a_folder(
        self, model: str, folder: ModelFolder
    ) -> None:
        settings = PusherSettings(keep=2)
        numbers = [
            remote.publish(self.trained_again(model), str(folder.path), settings)[0]
            for _ in range(4)
        ]
        assert numbers == sorted(set(numbers))
        assert [one.number for one in folder.versions()] == numbers[:1:-1]
        assert labels(folder) == {"stable": numbers[-1]}
        assert folder.rollback().number == numbers[-2]
        number, label = remote.publish(
            self.trained_again(model), str(folder.path), PusherSettings(promote=False)
        )
        assert label == "canary"
        assert labels(folder) == {"stable": numbers[-2], "canary": number}

    def test_the_file_that_makes_it_visible_comes_last(
        self, model: str, folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        copied: list[str] = []
        copy = fileio.copy

        def recorded(source: str, target: str, overwrite: bool = False) -> None:
            copied.append(Path(target).name)
            copy(source, target, overwrite)

        monkeypatch.setattr(fileio, "copy", recorded)
        remote.publish(model, str(folder.path), PusherSettings())
        assert len(copied) == 4
        assert copied[-1] == "saved_model.pb"

    def test_a_push_that_was_killed_is_cleaned_up_by_the_next(
        self, model: str, folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, _ = remote.publish(model, str(folder.path), PusherSettings())
        (folder.path / "7").write_text("no version")
        copy = fileio.copy

        def cut_short(source: str, target: str, overwrite: bool = False) -> None:
            if target.endswith("saved_model.pb"):
                raise ConnectionError
            copy(source, target, overwrite)

        with monkeypatch.context() as patch:
            patch.setattr(fileio, "copy", cut_short)
            with pytest.raises(ConnectionError):
                remote.publish(self.trained_again(model), str(folder.path), PusherSettings())
        assert [bool(version.problem) for version in folder.versions()] == [True, False]
        number, _ = remote.publish(model, str(folder.path), PusherSettings())
        assert labels(folder) == {"stable": number}
        assert number > first
        assert all(not version.problem for version in folder.versions())
        assert hidden(folder) == []

    @pytest.mark.parametrize("before", ["cxr.history.json", "models.config", "ML Metadata"])
    def test_a_push_that_was_killed_after_the_copy_is_not_pushed_again(
        self, model: str, folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, before: str
    ) -> None:
        first, _ = remote.publish(model, str(folder.path), PusherSettings())
        self.trained_again(model)
        write = remote._write

        def cut_short(file: str, text: str) -> None:
            if file.endswith(before):
                raise ConnectionError
            write(file, text)

        with monkeypatch.context() as patch, contextlib.suppress(ConnectionError):
            patch.setattr(remote, "_write", cut_short)
            remote.publish(model, str(folder.path), PusherSettings())
        pushed = folder.versions()[0].number
        assert pushed > first
        assert labels(folder) == {"stable": pushed if before == "ML Metadata" else first}

        assert remote.publish(model, str(folder.path), PusherSettings()) == (pushed, "stable")
        assert [one.number for one in folder.versions()] == [pushed, first]
        assert labels(folder) == {"stable": pushed}
        assert folder.previous() == first

    @pytest.mark.parametrize("path", ["gs://bucket/serving/cxr", "s3://bucket/serving/cxr"])
    def test_a_uri_is_the_servers_path(self, path: str) -> None:
        text = model_config.with_labels(model_config.parse("", ""), "cxr", path, {"stable": 3})
        assert f'base_path: "{path}"' in text
