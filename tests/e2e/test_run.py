"""`cxr run`, from files to a pushed model, as a user runs it."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
from pathlib import Path

import pytest

import components
import pipeline
import serving
from tests.e2e.conftest import BAD, IMAGES, SMALL, Finished, Workspace

pytestmark = pytest.mark.slow

# Nodes that every run asks anew: what looks for earlier runs, and what reads of the last accepted
# data.
COMPARED = {
    "LastBaseline", "DataReport", "DataGate", "LastOtherBlessedModel", "EvaluationReport",
}  # fmt: skip


def _films(workspace: Workspace) -> list[Path]:
    folder = workspace.folder / "data/chest_xray/test"
    return sorted(folder.rglob("*.jpeg"))[:3]


def _with_an_edited_trainer(folder: Path) -> Path:
    """The packages, with one line more in a file of the Trainer's."""
    for package in (components, pipeline, serving):
        source = Path(package.__file__).parent
        shutil.copytree(source, folder / source.name)
    with (folder / "components/trainer/operating_point.py").open("a") as file:
        file.write("\n# An edit.\n")
    return folder


@pytest.mark.usefixtures("first_run")
def test_counts_add_up_and_every_dataset_is_judged(workspace: Workspace) -> None:
    summary = workspace.summary()
    data = summary["data"]
    spoilt = {reason: data["left_out"].get(reason) for reason in BAD}
    assert spoilt == BAD
    # Four files came in addition; the row's image is one of those that were made.
    assert data["read"] == sum(IMAGES.values()) + 4
    assert data["read"] == sum(data["fates"].values())
    kept = sum(one["images"] for split in data["splits"].values() for one in split.values())
    assert kept == data["kept"]
    by_slice = {tuple(one["slice"].items()): one for one in summary["metrics"]}
    for dataset in ("pediatric", "nih"):
        figures = by_slice[("dataset", dataset),]
        assert figures["n"] == data["splits"]["test"][dataset]["images"]
        assert figures["positives"] == data["splits"]["test"][dataset]["classes"]["pneumonia"]
        assert 0 <= figures["auc"] <= 1
    parts = [by_slice[("dataset", dataset),]["n"] for dataset in ("pediatric", "nih")]
    assert by_slice[()]["n"] == sum(parts)


@pytest.mark.usefixtures("first_run")
def test_synthetic_data_passes_the_gate(workspace: Workspace) -> None:
    assert workspace.summary()["data_gate"]["problems"] == []


@pytest.mark.usefixtures("first_run")
def test_prevalence_true_figures_are_those_of_the_images_before_balancing(
    workspace: Workspace,
) -> None:
    summary = workspace.summary()
    (counts,) = summary["data"]["unsampled"]["test_unsampled"].values()
    figures = next(one for one in summary["metrics_unsampled"] if not one["slice"])
    balanced = next(one for one in summary["metrics"] if one["slice"] == {"dataset": "nih"})
    assert figures["n"] == counts["images"] > balanced["n"]
    assert figures["positives"] == balanced["positives"]
    assert figures["sensitivity"] == pytest.approx(balanced["sensitivity"])
    assert figures["ppv"] is not None


@pytest.mark.usefixtures("first_run")
def test_pages_of_the_data_are_there(workspace: Workspace) -> None:
    paths = workspace.summary()["paths"]
    assert "facets-overview" in Path(paths["data"]).read_text()
    assert "File is empty" in Path(paths["ingest"]).read_text()


def test_the_user_sees_progress_and_no_noise(first_run: Finished, workspace: Workspace) -> None:
    assert "[22/22] Pusher" in first_run.out
    assert "Blessed" in first_run.out
    for reason, count in BAD.items():
        assert f"{count} {reason}" in first_run.out
    assert "not a diagnostic device" in first_run.out
    assert first_run.err == ""
    for noise in ("WARNING", "tensorflow/", "absl", "Traceback"):
        assert noise not in first_run.out
    log = Path(workspace.summary()["paths"]["log"])
    assert "XrayExampleGen" in log.read_text()


@pytest.mark.usefixtures("first_run")
def test_what_the_summary_names_is_there(workspace: Workspace) -> None:
    summary = workspace.summary()
    for name, path in summary["paths"].items():
        assert Path(path).exists(), name
    assert summary["paths"]["keras"].endswith(".keras")
    pushed = Path(summary["pushed"]["path"])
    assert (pushed / "saved_model.pb").is_file()
    contract = json.loads((pushed / "assets.extra/model_contract.json").read_text())
    assert contract["outputs"] == summary["model"]["outputs"]
    page = Path(summary["paths"]["grad_cam"]).read_text()
    assert page.count('src="heat/') >= 4
    events = list(Path(summary["paths"]["tensorboard"]).rglob("events.out.tfevents*"))
    assert events


@pytest.mark.usefixtures("first_run")
def test_the_reports_say_what_the_summary_says(workspace: Workspace) -> None:
    summary = workspace.summary()
    page = Path(summary["paths"]["report"]).read_text()
    for gate in summary["gates"]:
        assert html.escape(gate["sentence"], quote=False) in page
    by_slice = {tuple(one["slice"].items()): one for one in summary["metrics"]}
    figures = json.loads(Path(summary["paths"]["report"]).with_name("figures.json").read_text())
    for one in figures["judgement"]["splits"]["test"]:
        told = by_slice[tuple(one["slice"].items())]
        (found,) = one["findings"]
        assert (found["n"], found["positives"]) == (told["n"], told["positives"])
        if found["auc"] is not None:
            assert found["auc"]["estimate"] == pytest.approx(told["auc"], abs=0.01)
    assert "tfma-nb-plot" in Path(summary["paths"]["dashboard"]).read_text()
    assert "not a diagnostic device" in Path(summary["paths"]["model_card"]).read_text()


@pytest.mark.usefixtures("first_run")
def test_the_pushed_model_predicts(workspace: Workspace) -> None:
    films = _films(workspace)
    finished = workspace.cxr("predict", *map(str, films), "--model", "runs/demo", "--json")
    assert finished.code == 0, finished.text
    answer = json.loads(finished.out)
    (output,) = workspace.summary()["model"]["outputs"]
    threshold = output["operating_point"]["threshold"]
    assert len(answer["predictions"]) == len(films)
    for one in answer["predictions"]:
        assert one["decision"] == (one["probability"] >= threshold)
        assert one["label"] == ("pneumonia" if one["decision"] else "normal")


@pytest.mark.usefixtures("first_run")
def test_a_second_run_comes_from_the_cache_until_code_or_a_setting_changes(
    workspace: Workspace, tmp_path: Path
) -> None:
    before = workspace.summary()
    finished = workspace.cxr("run", "demo", "--data-root=data", *SMALL, "--json")
    assert finished.code == 0, finished.text
    again = json.loads(finished.out)
    assert again == workspace.summary()
    # The data is compared with the first run's, which is a new question; its answer is the same.
    assert {name for name, node in again["nodes"].items() if not node["cached"]} == COMPARED
    assert again["data_gate"]["problems"] == []
    assert again["metrics"] == before["metrics"]
    assert again["pushed"] == before["pushed"]

    finished = workspace.cxr(
        "run", "demo", "--data-root=data", *SMALL,
        "--set=evaluator.min_auc={pediatric: 0.01, nih: 1.0}",
        PYTHONPATH=str(_with_an_edited_trainer(tmp_path)),
    )  # fmt: skip
    changed = workspace.summary()
    rerun = {name for name, node in changed["nodes"].items() if not node["cached"]}
    assert rerun == COMPARED | {
        "Trainer", "Scorer", "Evaluator", "ValidationEvaluator", "UnsampledEvaluator",
        "BaselineProbe", "ExplanationProbe", "ModelGate", "CrossDatasetMatrix", "GradCamReport",
        "InfraCanary",
        "Pusher",
    }  # fmt: skip
    # And a model that does not meet what is asked is neither blessed nor pushed.
    assert finished.code == 3, finished.text
    assert changed["verdict"] == "refused"
    assert changed["pushed"] is None
    assert "✗ auc: nih: the lower bound" in finished.out
    assert "is below the 1.000 asked for" in finished.out
    # Both models scored the same images.
    assert {one["name"] for one in changed["baselines"]} >= {"last blessed", "thumbnail"}
    assert len(list((workspace.folder / "runs/demo/serving/cxr").iterdir())) == 1


@pytest.mark.usefixtures("first_run")
def test_data_with_problems_stops_the_run_unless_they_are_accepted(workspace: Workspace) -> None:
    before = workspace.summary()
    strict = (*SMALL, "--data-root=data", "--set=data_gate.max_quarantined=0")
    refused = workspace.cxr("run", "demo", *strict)
    assert refused.code == 2, refused.text
    assert "pediatric: 3 of 143 images on disk (2.1 %) are quarantined" in refused.text
    assert "--set data_gate.on_failure=warn" in refused.text
    assert "Traceback" not in refused.text
    page = re.search(r"\S+/data\.html", refused.text)
    assert page is not None
    assert "are quarantined" in Path(page[0]).read_text()
    assert "Trainer" not in refused.out
    assert workspace.summary() == before

    accepted = workspace.cxr("run", "demo", *strict, "--set=data_gate.on_failure=warn")
    assert accepted.code == 0, accepted.text
    assert accepted.out.count("pediatric: 3 of 143 images on disk") == 2  # at once, and at the end
    (problem,) = workspace.summary()["data_gate"]["problems"]
    assert problem["check"] == "quarantine"


def test_random_weights_are_announced_and_missing_weights_stop_the_others(
    workspace: Workspace, first_run: Finished
) -> None:
    assert "RANDOM" in first_run.out
    nowhere = "http://127.0.0.1:9"
    finished = workspace.cxr(
        "run", "demo", *SMALL, "--set=trainer.weights=imagenet",
        "--set=trainer.allow_random_weights=false", "--pipeline-root=runs/imagenet",
        **dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), nowhere),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
        KERAS_HOME=str(workspace.folder / "keras"),
    )  # fmt: skip
    assert finished.code == 2, finished.text
    # Before any work was done, but for the films that it drew.
    assert "CuratedSchema" not in finished.out
    assert "trainer.weights" in finished.text
    assert "Traceback" not in finished.text


@pytest.mark.skipif("CXR_DATA" not in os.environ, reason="CXR_DATA names no folder of real X-rays")
def test_the_pediatric_set_is_learnt_without_downloaded_weights(tmp_path: Path) -> None:
    finished = Workspace(tmp_path).cxr(
        "run", "pediatric", "--data-root", os.environ["CXR_DATA"], "--set=trainer.weights=none"
    )
    # A thumbnail tells almost as much on these films, and the gate asks for more.
    assert finished.code == 3, finished.text
    summary = Workspace(tmp_path).summary("pediatric")
    assert {gate["name"] for gate in summary["gates"] if gate["verdict"] == "refused"} == {
        "shortcut"
    }
    metrics = summary["metrics"]
    assert next(one for one in metrics if not one["slice"])["auc"] >= 0.97
