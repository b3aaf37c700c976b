"""A whole run whose artifacts are in an S3 store, on a real server, and the commands after it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tfx.dsl.io import fileio

from components import storage
from tests import stores
from tests.e2e.conftest import Finished, Workspace

pytestmark = pytest.mark.slow

STORE = f"{stores.BUCKET}/demo"
SMALLEST = (
    "--set=data.synthesize={images: {pediatric: 140}, seed: 3}",
    "--set=data.datasets={pediatric: {}}",
    "--set=transform.image_size=64",
    "--set=trainer.epochs=3",
    "--set=trainer.weights=none",
    "--set=tuner={enabled: true, trials: 1, units: [16]}",
    "--set=baseline_probe.enabled=false",
    "--set=explanation_probe.enabled=false",
    "--set=grad_cam.cases=2",
    "--set=evaluator.min_auc={pediatric: 0.01}",
    "--set=evaluator.min_images_per_class=1",
)


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    with stores.s3_server():
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def done(place: Workspace) -> Finished:
    finished = place.cxr("run", "demo", f"--pipeline-root={STORE}", *SMALLEST)
    assert finished.code == 0, finished.text
    return finished


def test_artifacts_and_versions_are_in_the_store(done: Finished, place: Workspace) -> None:
    summary = place.summary()
    assert summary["verdict"] == "blessed"
    pushed = summary["pushed"]
    assert pushed["path"] == f"{STORE}/serving/cxr/{pushed['version']}"
    assert (pushed["labels"], pushed["exists"]) == (["stable"], True)
    assert fileio.exists(f"{pushed['path']}/saved_model.pb")
    assert fileio.exists(f"{STORE}/serving/models.config")
    for name in ("model", "evaluation", "scores", "statistics", "tensorboard"):
        assert summary["paths"][name].startswith(f"{STORE}/artifacts/")
        assert fileio.exists(summary["paths"][name])
    assert "aws s3 cp --recursive" in done.out


def test_on_this_machine_are_records_and_pages(done: Finished, place: Workspace) -> None:
    # A URI that was taken for a path would be a folder here.
    assert {path.name for path in place.folder.iterdir()} <= {"runs", "cache"}
    run = place.folder / "runs" / "demo"
    assert {path.name for path in (run / "artifacts").iterdir()} == {
        "XrayExampleGen", "DataReport", "GradCamReport", "EvaluationReport"
    }  # fmt: skip
    for name in ("report", "dashboard", "model_card", "grad_cam", "data", "ingest"):
        assert Path(place.summary()["paths"][name]).is_file()


def test_commands_work_on_it_or_say_how(done: Finished, place: Workspace) -> None:
    assert "demo/" in place.cxr("report", "list").out
    opened = place.cxr("report", "open", "demo")
    assert opened.code == 0, opened.text
    film = place.summary()["paths"]["example_image"]
    explained = place.cxr("explain", "demo", "--case", film, "--out", "where.png")
    assert explained.code == 0, explained.text
    version = place.summary()["pushed"]["path"]
    for arguments in (
        ("predict", film, "--model", version),
        ("serve", "--model-base-path", f"{STORE}/serving/cxr"),
        ("models", "list", f"{STORE}/serving/cxr"),
    ):
        refused = place.cxr(*arguments)
        assert (refused.code, "aws s3 cp --recursive s3://" in refused.text) == (2, True)
    storage.download(version, place.folder / "copied")
    predicted = place.cxr("predict", film, "--model", "copied")
    assert predicted.code == 0, predicted.text


def test_a_root_that_cannot_be_is_told_at_once(done: Finished, place: Workspace) -> None:
    elsewhere = place.cxr("run", "demo", "--pipeline-root=s3://films/other", *SMALLEST)
    assert elsewhere.code == 2
    assert f"whose artifacts are in {STORE}, not in s3://films/other" in elsewhere.text
