"""Figures of slices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn import metrics

from components.evaluator.judgement import SlicePerformance
from components.evaluator.performance import measure, measure_slices
from components.scorer.scores import Scores
from components.trainer.calibration_error import expected_calibration_error
from tests.components.evaluator.made_scores import made_scores


def by_slice(found: tuple[SlicePerformance, ...]) -> dict[tuple, SlicePerformance]:
    return {tuple(one.slice.items()): one for one in found}


def two_sexes(images: int = 300) -> Scores:
    sex = np.where(np.arange(images) % 3 == 0, "F", "M")
    sex[:20] = ""
    return made_scores(images, features={"sex": sex, "view_position": np.full(images, "PA")})


def test_figures_are_those_of_scikit_learn() -> None:
    scores = made_scores(500, separation=1.5, share=0.3)
    truth, probability, decision = (
        scores.labels[:, 0],
        scores.probabilities[:, 0],
        scores.decisions[:, 0],
    )
    (found,) = measure(scores, {}, {}).findings

    assert (found.n, found.positives, found.patients) == (500, truth.sum(), 500)
    assert found.confusion.true_positives == metrics.confusion_matrix(truth, decision)[1, 1]
    assert found.confusion.false_positives == metrics.confusion_matrix(truth, decision)[0, 1]
    for figure, expected in {
        "auc": metrics.roc_auc_score(truth, probability),
        "auc_by_patient": metrics.roc_auc_score(truth, probability),
        "average_precision": metrics.average_precision_score(truth, probability),
        "sensitivity": metrics.recall_score(truth, decision),
        "specificity": metrics.recall_score(truth, decision, pos_label=0),
        "ppv": metrics.precision_score(truth, decision),
        "npv": metrics.precision_score(truth, decision, pos_label=0),
        "brier": metrics.brier_score_loss(truth, probability),
        "ece": expected_calibration_error(probability, truth),
    }.items():
        interval = getattr(found, figure)
        assert interval.estimate == pytest.approx(expected), figure
        assert interval.lower < interval.estimate < interval.upper, figure
    assert found.f1 == pytest.approx(metrics.f1_score(truth, decision))
    assert found.balanced_accuracy == pytest.approx(
        metrics.balanced_accuracy_score(truth, decision)
    )


@pytest.mark.parametrize(
    ("label", "defined", "undefined"),
    [(1, "sensitivity", "specificity"), (0, "specificity", "sensitivity")],
)
def test_one_class_has_one_of_the_two_figures(label: int, defined: str, undefined: str) -> None:
    scores = made_scores(100)
    one_class = scores.where(scores.labels[:, 0] == label)
    (found,) = measure(one_class, {}, {"nih": 0.1}).findings

    assert getattr(found, defined) is not None
    for figure in (
        undefined, "auc", "auc_by_patient", "average_precision", "ppv", "npv", "f1",
        "ppv_at_prevalence", "balanced_accuracy",
    ):  # fmt: skip
        assert getattr(found, figure) is None, figure
    assert found.brier is not None


def test_a_stated_prevalence_has_its_own_ppv() -> None:
    scores = made_scores(1000)
    (found,) = measure(scores, {}, {"nih": 0.01}).findings

    assert found.ppv is not None
    assert found.ppv_at_prevalence is not None
    sensitivity, specificity = found.sensitivity, found.specificity
    assert sensitivity is not None
    assert specificity is not None
    true, false = sensitivity.estimate * 0.01, (1 - specificity.estimate) * 0.99
    assert found.ppv_at_prevalence.estimate == pytest.approx(true / (true + false))
    assert found.ppv_at_prevalence.estimate < 0.3 < found.ppv.estimate


def test_slices_divide_the_images_that_have_the_feature() -> None:
    scores = two_sexes()
    found, too_small = measure_slices(
        scores, ["sex", "sex*view_position"], min_size=1, prevalence={}
    )
    slices = by_slice(found)

    assert too_small == 0
    assert slices[()].n == slices[("dataset", "nih"),].n == 300
    assert slices[("sex", "F"),].n + slices[("sex", "M"),].n == 280
    crossed = slices[("sex", "F"), ("view_position", "PA")]
    assert dataclasses.astuple(Plain.of(crossed)) == dataclasses.astuple(
        Plain.of(slices[("sex", "F"),])
    )


@dataclasses.dataclass
class Plain:
    """What a slice holds, but for its name."""

    n: int
    findings: tuple

    @classmethod
    def of(cls, one: SlicePerformance) -> Plain:
        return cls(one.n, one.findings)


def test_small_slices_are_counted_and_left_out() -> None:
    scores = two_sexes()
    found, too_small = measure_slices(scores, ["sex"], min_size=150, prevalence={})

    assert too_small == 1
    assert set(by_slice(found)) == {(), (("dataset", "nih"),), (("sex", "M"),)}


def test_one_patient_has_no_interval_over_patients() -> None:
    scores = made_scores(30, images_of_a_patient=30)
    (found,) = measure(scores, {}, {}).findings

    assert found.auc is not None
    assert found.auc_by_patient is None
    assert found.patients == 1


def test_a_perfect_area_of_few_images_is_no_certainty() -> None:
    scores = made_scores(12, separation=50.0)
    (found,) = measure(scores, {}, {}).findings

    # Every resample of patients would have an area of 1, too.
    assert found.auc is not None
    assert found.auc.estimate == 1
    assert found.auc.lower < 0.95
    assert found.auc_by_patient is None


def test_images_of_one_patient_make_the_figure_less_sure() -> None:
    rng = np.random.default_rng(0)
    single = made_scores(150, separation=1.0, seed=3)
    eight = single.where(np.repeat(np.arange(150), 8))
    jitter = rng.normal(scale=1e-6, size=eight.probabilities.shape)
    eight = dataclasses.replace(eight, probabilities=eight.probabilities + jitter)

    (found,) = measure(eight, {}, {}).findings

    assert found.auc is not None
    assert found.auc_by_patient is not None
    width = found.auc.upper - found.auc.lower
    by_patient = found.auc_by_patient.upper - found.auc_by_patient.lower
    assert by_patient > 2 * width


def test_a_multi_label_model_has_a_macro_auc_over_what_can_be_measured() -> None:
    scores = made_scores(300, outputs=("Edema", "Mass", "Hernia"), separation=1.0)
    labels = scores.labels.copy()
    labels[:, 2] = 0
    scores = dataclasses.replace(scores, labels=labels)
    found = measure(scores, {}, {})

    areas = [one.auc.estimate for one in found.findings if one.auc is not None]
    assert len(areas) == 2
    assert found.macro_auc is not None
    assert found.macro_auc.estimate == pytest.approx(np.mean(areas))
    assert [one.finding for one in found.findings] == ["Edema", "Mass", "Hernia"]
