"""`cxr results`, on the data of a finished run."""

from __future__ import annotations

import json

import pytest

from pipeline.results import Figures
from tests.e2e.conftest import SMALL, Finished, Workspace

pytestmark = pytest.mark.slow


def test_recipes_are_measured_and_written(first_run: Finished, workspace: Workspace) -> None:
    assert first_run.code == 0
    quick = (*SMALL, "--set=trainer.fine_tuning.epochs=1", "--seed=1", "--seed=2")
    finished = workspace.cxr("results", "demo", *quick, "--out=measured")
    assert finished.code == 0, finished.text
    figures = [
        Figures.model_validate(one)
        for one in json.loads((workspace.folder / "measured/training.json").read_text())
    ]
    assert {(one.dataset, one.trainable, one.seed) for one in figures} == {
        (dataset, trainable, seed)
        for dataset in ("nih", "pediatric")
        for trainable in ("head", "last_block")
        for seed in (1, 2)
    }
    test = workspace.summary()["data"]["splits"]["test"]
    for one in figures:
        assert one.auc.lower <= one.auc.estimate <= one.auc.upper
        for rate in (one.sensitivity, one.specificity):
            assert rate.lower < rate.upper
        assert one.images == test[one.dataset]["images"]
        assert 0 < one.positives < one.images
    page = (workspace.folder / "measured/training.md").read_text()
    (gate, *_) = workspace.summary()["gates"]
    assert gate["sentence"] in page
    assert page.count("| demo: nih |") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nih_multilabel"], "nih_multilabel: its model tells findings"),
        (["demo", "--trainable=blocks"], "trainer.trainable"),
    ],
)
def test_what_cannot_be_measured_is_told_at_once(
    workspace: Workspace, arguments: list[str], said: str
) -> None:
    finished = workspace.cxr("results", *arguments, "--out=measured")
    assert finished.code == 2
    assert said in finished.text
    assert "Traceback" not in finished.text


def test_an_experiment_that_was_not_run(workspace: Workspace) -> None:
    finished = workspace.cxr("results", "dicom", "--out=measured")
    assert finished.code == 2
    assert "no finished run of dicom in runs/dicom: cxr run dicom" in finished.text
