"""Models tried on a real server, in a process of its own."""

from pathlib import Path
from typing import Any

import pytest
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from components.infra_canary.executor import SETTINGS, Executor, read_trial
from components.infra_canary.settings import InfraCanarySettings
from components.infra_canary.trial import Trial
from components.trainer.warmup import WARMUP
from tests.components.infra_canary import models


class Canary:
    """The node, on one model after another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.blessing: Any = None

    def try_model(self, **settings: Any) -> Trial:
        """Run the node on the model that was exported to `serving`."""
        model = standard_artifacts.Model()
        model.uri = str(self._folder)
        self.blessing = standard_artifacts.InfraBlessing()
        self.blessing.uri = str(self._folder / "blessing")
        asked = InfraCanarySettings(server="embedded", tries=1, load_seconds=120, **settings)
        executor = Executor(BaseExecutor.Context(tmp_dir=str(self._folder / "tmp"), unique_id="1"))
        executor.Do(
            {"model": [model]}, {"blessing": [self.blessing]}, {SETTINGS: asked.model_dump_json()}
        )
        return read_trial(self.blessing.uri)

    @property
    def serving(self) -> Path:
        return Path(path_utils.serving_model_path(str(self._folder)))


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path)


def test_a_sound_model_is_blessed_and_left_as_it_was(canary: Canary, tmp_path: Path) -> None:
    models.export_model(canary.serving)
    before = (canary.serving / WARMUP).read_bytes()
    trial = canary.try_model()

    assert [(check.name, check.verdict) for check in trial.checks] == [
        ("loads", "passed"),
        ("signatures", "passed"),
        ("numbers", "passed"),
        ("agreement", "passed"),
        ("golden", "passed"),
        ("latency", "passed"),
    ]
    assert trial.server == "the embedded server"
    assert canary.blessing.get_int_custom_property("blessed") == 1
    assert canary.blessing.get_string_custom_property("refused_because") == ""
    # InfraValidator's own way would put patients' films there, and push that model instead.
    assert (canary.serving / WARMUP).read_bytes() == before
    assert not canary.blessing.has_custom_property("has_model")
    assert {file.name for file in Path(canary.blessing.uri).iterdir()} == {
        "canary.json",
        "INFRA_BLESSED",
    }
    # The copy that was served is gone.
    assert not list((tmp_path / "tmp").rglob("saved_model.pb"))


def test_a_model_that_crashes_takes_only_its_server_along(canary: Canary) -> None:
    models.export_model(canary.serving, embed_crashes=True)
    trial = canary.try_model(batch_sizes=(1,))
    assert not trial.blessed
    sentences = " ".join(check.sentence for check in trial.refused_by)
    assert "embed in a batch of 1: UNAVAILABLE" in sentences
    assert "the server ended while it was asked: signal 6" in sentences
    assert (Path(canary.blessing.uri) / "INFRA_NOT_BLESSED").exists()
    assert "UNAVAILABLE" in canary.blessing.get_string_custom_property("refused_because")
