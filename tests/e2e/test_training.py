"""The Trainer's other ways, in whole runs."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import SMALL, Finished, Workspace

pytestmark = pytest.mark.slow

RECIPE = (
    "--pipeline-root=runs/tuned",
    "--set=trainer.trainable=last_block",
    "--set=trainer.fine_tuning={epochs: 2, learning_rate: 0.0001}",
    "--set=trainer.augmentation.views=1",
    "--set=tuner={enabled: true, trials: 2, units: [16]}",
    "--set=trainer.warm_start=true",
    "--set=cross_dataset.enabled=false",
    "--set=robustness={enabled: true, severities: 1, max_images: 10}",
)


@pytest.fixture(scope="module")
def tuned_run(workspace: Workspace) -> Finished:
    finished = workspace.cxr("run", "demo", "--data-root=data", *SMALL, *RECIPE)
    assert finished.code == 0, finished.text
    return finished


@pytest.mark.usefixtures("tuned_run")
def test_tuned_and_fine_tuned(workspace: Workspace) -> None:
    training = workspace.summary("tuned")["model"]["training"]
    assert training["trainable"] == "last_block"
    assert set(training["epochs"]) == {"head", "fine-tuning"}
    assert not training["warm_start"]
    runs = workspace.folder / "runs/tuned/artifacts"
    (trials,) = runs.glob("Tuner/tuner_results/*/*")
    assert len(json.loads(trials.read_text())) == 2
    (worse_films,) = runs.glob("Robustness/report/*/robustness.json")
    assert {one["n"] for one in json.loads(worse_films.read_text())["figures"]} == {10}
    (curves,) = runs.glob("Trainer/model_run/*/curves.png")
    assert curves.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("tuned_run")
def test_the_next_training_begins_with_the_blessed_model(workspace: Workspace) -> None:
    finished = workspace.cxr(
        "run", "demo", "--data-root=data", *SMALL, *RECIPE, "--set=trainer.batch_size=16",
        "--set=robustness.enabled=false",
    )  # fmt: skip
    assert finished.code == 0, finished.text
    assert workspace.summary("tuned")["model"]["training"]["warm_start"]
