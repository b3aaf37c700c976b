"""What a real evaluation of a multi-label model's scores says, and whom it blesses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow_model_analysis as tfma
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)
from tensorflow_model_analysis.slicer import slicer_lib

from components.evaluator import eval_config, results
from components.evaluator.results import FindingResult, MultiLabelResult
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.record import PATHOLOGIES
from components.example_gen.settings import DatasetName
from components.trainer.calibration_error import expected_calibration_error
from tests.components.evaluator.evaluations import Evaluation, evaluate, scored_example

IMAGES = 160
THRESHOLDS = np.linspace(0.3, 0.56, len(PATHOLOGIES)).astype(np.float32)
# Rare as it is, the test images have none.
ABSENT = "Hernia"
# Of which only men's images have any.
OF_MEN = "Edema"
FLOORS: dict[DatasetName, float] = {"nih": 0.73, "dicom": 0.7}


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation and what went into it, a row for each image."""

    uri: str
    labels: np.ndarray
    scores: np.ndarray
    datasets: np.ndarray
    sexes: np.ndarray

    def rows_of(self, one: MultiLabelResult) -> np.ndarray:
        rows = np.ones(IMAGES, bool)
        for name, value in one.slice.items():
            rows &= {"dataset": self.datasets, "sex": self.sexes}[name] == value
        return rows


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    rng = np.random.default_rng(3)
    datasets = np.where(np.arange(IMAGES) % 2, "nih", "dicom")
    sexes = rng.choice(["F", "M"], IMAGES)
    labels = (rng.random((IMAGES, len(PATHOLOGIES))) < 0.3).astype(int)
    labels[:, PATHOLOGIES.index(ABSENT)] = 0
    labels[sexes == "F", PATHOLOGIES.index(OF_MEN)] = 0
    scores = np.clip(rng.normal(0.35 + 0.15 * labels, 0.15), 0, 1).astype(np.float32)

    settings = EvaluatorSettings(
        slices=("sex",), min_auc=FLOORS, max_gap={"nih": {"sex": 0.4}}, min_gap_images=3
    )
    found = run(tmp_path_factory.mktemp("evaluation"), settings, labels, scores, datasets, sexes)
    return Evaluated(found.uri, labels, scores, datasets, sexes)


def run(folder: Path, settings: EvaluatorSettings, *columns: np.ndarray) -> Evaluation:
    examples = [
        scored_example(labels, scores, (scores >= THRESHOLDS).astype(int), features)
        for labels, scores, dataset, sex in zip(*columns, strict=True)
        for features in [{"dataset": str(dataset), "sex": str(sex)}]
    ]
    return evaluate(folder, examples, settings, FLOORS, "findings")


@pytest.fixture(scope="module")
def slices(evaluated: Evaluated) -> list[MultiLabelResult]:
    return results.load_multi_label(evaluated.uri)


def by_finding(one: MultiLabelResult) -> dict[str, FindingResult]:
    return {finding.finding: finding for finding in one.findings}


def test_every_slice_has_every_finding_in_order(slices: list[MultiLabelResult]) -> None:
    assert [one.name for one in slices] == [
        "all images",
        "dataset dicom",
        "dataset nih",
        "dataset dicom, sex F",
        "dataset dicom, sex M",
        "dataset nih, sex F",
        "dataset nih, sex M",
        "sex F",
        "sex M",
    ]
    for one in slices:
        assert tuple(finding.finding for finding in one.findings) == PATHOLOGIES


def test_figures_are_those_that_sklearn_finds(
    slices: list[MultiLabelResult], evaluated: Evaluated
) -> None:
    for one in slices:
        rows = evaluated.rows_of(one)
        for class_id, found in enumerate(one.findings):
            labels, scores = evaluated.labels[rows, class_id], evaluated.scores[rows, class_id]
            decisions = scores >= THRESHOLDS[class_id]
            assert (one.n, found.n, found.positives) == (len(labels), len(labels), labels.sum())
            assert found.brier == pytest.approx(brier_score_loss(labels, scores), abs=1e-6)
            ece = expected_calibration_error(scores, labels)
            assert found.ece == pytest.approx(ece, abs=1e-6)
            if found.auc is None:
                continue
            # TFMA bins the scores, so two that are close may tie.
            assert found.auc == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)
            precision = average_precision_score(labels, scores)
            assert found.average_precision == pytest.approx(precision, abs=5e-3)
            assert found.sensitivity == pytest.approx(recall_score(labels, decisions))
            assert found.specificity == pytest.approx(recall_score(labels, decisions, pos_label=0))
            assert found.ppv == pytest.approx(precision_score(labels, decisions))
            assert found.npv == pytest.approx(precision_score(labels, decisions, pos_label=0))


def test_what_is_not_defined_is_none(slices: list[MultiLabelResult]) -> None:
    for one in slices:
        undefined = {found.finding for found in one.findings if found.auc is None}
        assert undefined == ({ABSENT, OF_MEN} if one.slice.get("sex") == "F" else {ABSENT})
        absent = by_finding(one)[ABSENT]
        assert (absent.positives, absent.sensitivity, absent.ppv, absent.npv) == (0, *[None] * 3)
        assert absent.specificity is not None


def test_the_macro_auc_is_the_mean_of_what_is_defined(slices: list[MultiLabelResult]) -> None:
    for one in slices:
        defined = [found.auc for found in one.findings if found.auc is not None]
        assert one.measured == len(defined) < len(PATHOLOGIES)
        assert one.macro_auc == pytest.approx(np.mean(defined))


def test_every_macro_figure_is_the_mean_of_what_is_defined(evaluated: Evaluated) -> None:
    for key, metrics in tfma.load_eval_result(evaluated.uri).slicing_metrics:
        if slicer_lib.is_cross_slice_key(key):
            continue
        for output, figures in (
            ("probability", ("average_precision", "brier", "ece")),
            ("decision", ("sensitivity", "specificity", "ppv", "f1")),
        ):
            for figure in figures:
                of_findings = [
                    float(metrics[output][f"classId:{k}"][figure]["doubleValue"])
                    for k in range(len(PATHOLOGIES))
                ]
                macro = float(metrics[output][""][f"macro_{figure}"]["doubleValue"])
                assert macro == pytest.approx(np.nanmean(of_findings)), figure


def test_findings_that_cannot_be_measured_cost_no_blessing(
    evaluated: Evaluated, slices: list[MultiLabelResult]
) -> None:
    """TFMA's own macro average would count a 0 for them."""
    for dataset, floor in FLOORS.items():
        (one,) = (one for one in slices if one.slice == {"dataset": dataset})
        assert sum(found.auc or 0 for found in one.findings) / len(PATHOLOGIES) < floor
    verdict = tfma.load_validation_result(evaluated.uri)
    assert not verdict.metric_validations_per_slice


def test_the_gap_is_over_the_findings_that_both_subgroups_have(evaluated: Evaluated) -> None:
    (gap,) = results.load_gaps(evaluated.uri)
    rows = {sex: (evaluated.datasets == "nih") & (evaluated.sexes == sex) for sex in "FM"}
    gaps = []
    for class_id, name in enumerate(PATHOLOGIES):
        counts = [evaluated.labels[one, class_id].sum() for one in rows.values()]
        if name not in (ABSENT, OF_MEN) and min(counts) >= 3:
            women, men = (
                roc_auc_score(evaluated.labels[one, class_id], evaluated.scores[one, class_id])
                for one in rows.values()
            )
            gaps.append(women - men)
    assert (gap.dataset, gap.feature, gap.values) == ("nih", "sex", ("F", "M"))
    assert gap.gap == pytest.approx(abs(np.mean(gaps)), abs=2e-3)
    assert not gap.refused


def test_the_macro_auc_of_a_dataset_is_what_is_refused(
    evaluated: Evaluated, slices: list[MultiLabelResult], tmp_path: Path
) -> None:
    (nih,) = (one for one in slices if one.slice == {"dataset": "nih"})
    assert nih.macro_auc is not None
    floors: dict[DatasetName, float] = {"nih": nih.macro_auc + 0.01, "dicom": 0.7}
    columns = (evaluated.labels, evaluated.scores, evaluated.datasets, evaluated.sexes)

    refused = run(tmp_path, EvaluatorSettings(slices=(), min_auc=floors), *columns)

    assert not refused.blessed
    (failed,) = tfma.load_validation_result(refused.uri).metric_validations_per_slice
    assert [failure.metric_key.name for failure in failed.failures] == [eval_config.MACRO_AUC]


def test_a_dataset_of_which_nothing_can_be_measured_is_refused(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    nothing = np.zeros((6, len(PATHOLOGIES)), int)
    sexes = np.array(["F", "F", "F", "M", "M", "M"])
    settings = EvaluatorSettings(slices=(), min_auc={"nih": 0.0}, max_gap={"nih": {"sex": 0.0}})

    refused = run(tmp_path, settings, nothing, evaluated.scores[:6], np.array(["nih"] * 6), sexes)

    slices = results.load_multi_label(refused.uri)
    assert {(one.macro_auc, one.measured) for one in slices} == {(None, 0)}
    assert not refused.blessed
    (gap,) = results.load_gaps(refused.uri)
    assert (gap.aucs, gap.gap, gap.refused) == ((None, None), None, False)
