"""The figures of a real evaluation of made-up scores."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from components.evaluator import results
from components.evaluator.results import SliceResult
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.settings import DatasetName
from components.trainer.calibration_error import expected_calibration_error
from tests.components.evaluator.evaluations import Evaluation, evaluate, scored_example

THRESHOLD = 0.55
FLOORS: dict[DatasetName, float] = {"nih": 0.6, "pediatric": 0.9}
SLICES = ("etiology", "dataset*sex")
# Children of one etiology are all ill or all well.
MAX_GAP: dict[DatasetName, dict[str, float]] = {"nih": {"sex": 0.5}, "pediatric": {"etiology": 0}}


def draw_cases(pneumonia: int = 40, normal: int = 60) -> pd.DataFrame:
    """Images of both datasets, scored well for children and fairly for adults."""
    rng = np.random.default_rng(5)
    rows = []
    for dataset, lift in (("pediatric", 0.5), ("nih", 0.15)):
        for label in [1] * pneumonia + [0] * normal:
            etiology = rng.choice(["bacteria", "virus"]) if label else "none"
            rows.append(
                {
                    "dataset": dataset,
                    "label": label,
                    "score": np.float32(np.clip(rng.normal(0.35 + lift * label, 0.18), 0, 1)),
                    "etiology": etiology if dataset == "pediatric" else None,
                    "sex": rng.choice(["F", "M"]) if dataset == "nih" else None,
                }
            )
    return pd.DataFrame(rows)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """An evaluation and what went into it."""

    evaluation: Evaluation
    cases: pd.DataFrame

    def cases_of(self, one: SliceResult) -> pd.DataFrame:
        chosen = self.cases
        for name, value in one.slice.items():
            chosen = chosen[chosen[name] == value]
        return chosen


def to_example(row: Mapping[Any, Any]) -> tf.train.Example:
    features = {name: row[name] for name in ("dataset", "etiology", "sex")}
    return scored_example(row["label"], row["score"], int(row["score"] >= THRESHOLD), features)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    cases = draw_cases()
    settings = EvaluatorSettings(slices=SLICES, min_auc=FLOORS, max_gap=MAX_GAP, min_gap_images=10)
    folder = tmp_path_factory.mktemp("evaluation")
    examples = map(to_example, cases.to_dict("records"))
    return Evaluated(evaluate(folder, examples, settings, FLOORS), cases)


@pytest.fixture(scope="module")
def slices(evaluated: Evaluated) -> list[SliceResult]:
    return results.load_slices(evaluated.evaluation.uri)


def test_all_images_come_first_then_the_datasets(slices: list[SliceResult]) -> None:
    assert [one.name for one in slices] == [
        "all images",
        "dataset nih",
        "dataset pediatric",
        "dataset nih, sex F",
        "dataset nih, sex M",
        "dataset pediatric, etiology bacteria",
        "dataset pediatric, etiology none",
        "dataset pediatric, etiology virus",
        "etiology bacteria",
        "etiology none",
        "etiology virus",
    ]


def test_figures_are_those_that_sklearn_finds(
    slices: list[SliceResult], evaluated: Evaluated
) -> None:
    defined = [one for one in slices if one.auc is not None]
    assert len(defined) == 5
    for one in defined:
        cases = evaluated.cases_of(one)
        decisions = cases.score >= THRESHOLD
        assert (one.n, one.positives) == (len(cases), cases.label.sum())
        # TFMA bins the scores, so two that are close may tie.
        assert one.auc == pytest.approx(roc_auc_score(cases.label, cases.score), abs=2e-3)
        assert one.sensitivity == pytest.approx(recall_score(cases.label, decisions))
        assert one.specificity == pytest.approx(recall_score(cases.label, decisions, pos_label=0))
        assert one.ppv == pytest.approx(precision_score(cases.label, decisions))
        assert one.npv == pytest.approx(precision_score(cases.label, decisions, pos_label=0))
        precision = average_precision_score(cases.label, cases.score)
        assert one.average_precision == pytest.approx(precision, abs=2e-3)
        assert one.f1 == pytest.approx(f1_score(cases.label, decisions))
        balanced = balanced_accuracy_score(cases.label, decisions)
        assert one.balanced_accuracy == pytest.approx(balanced)


def test_calibration_is_that_of_the_trainer_on_every_slice(
    slices: list[SliceResult], evaluated: Evaluated
) -> None:
    for one in slices:
        cases = evaluated.cases_of(one)
        ece = expected_calibration_error(cases.score.to_numpy(), cases.label.to_numpy())
        assert one.ece == pytest.approx(ece, abs=1e-6)
        brier = brier_score_loss(cases.label, cases.score)
        assert one.brier == pytest.approx(brier, abs=1e-6)


def test_what_a_slice_of_one_class_does_not_define_is_none(
    slices: list[SliceResult], evaluated: Evaluated
) -> None:
    by_name = {one.name: one for one in slices}
    for name in ("etiology bacteria", "etiology virus"):
        one = by_name[name]
        assert one.n == one.positives == len(evaluated.cases_of(one)) > 0
        assert one.auc is one.average_precision is one.specificity is None
        assert one.ppv is one.npv is one.f1 is one.balanced_accuracy is None
        assert one.sensitivity is not None
    normal = by_name["etiology none"]
    assert normal.positives == 0
    assert normal.auc is normal.sensitivity is None
    assert normal.specificity is not None


def test_floors_are_met_in_spite_of_undefined_slices(
    evaluated: Evaluated, slices: list[SliceResult]
) -> None:
    verdict = tfma.load_validation_result(evaluated.evaluation.uri)
    assert not verdict.metric_validations_per_slice
    assert not verdict.missing_slices


# --- Gaps between subgroups ------------------------------------------------------------------


def test_subgroups_of_a_dataset_are_compared_pair_by_pair(
    slices: list[SliceResult], evaluated: Evaluated
) -> None:
    aucs = {tuple(one.slice.items()): one.auc for one in slices}
    gap, *others = results.load_gaps(evaluated.evaluation.uri)
    women, men = (aucs[(("dataset", "nih"), ("sex", sex))] for sex in "FM")
    assert women is not None
    assert men is not None
    assert (gap.dataset, gap.feature, gap.values) == ("nih", "sex", ("F", "M"))
    assert gap.aucs == (women, men)
    assert gap.gap == pytest.approx(abs(women - men))
    assert not gap.refused
    assert [(one.dataset, one.values) for one in others] == [
        ("pediatric", ("bacteria", "none")),
        ("pediatric", ("bacteria", "virus")),
        ("pediatric", ("none", "virus")),
    ]


def test_where_nothing_can_be_compared_there_is_no_gap_to_refuse(evaluated: Evaluated) -> None:
    undefined = [one for one in results.load_gaps(evaluated.evaluation.uri) if one.gap is None]
    assert {one.feature for one in undefined} == {"etiology"}
    assert {one.aucs for one in undefined} == {(None, None)}
    assert not any(one.refused for one in undefined)


def figures_of(one: SliceResult) -> dict[str, float]:
    figures = dataclasses.asdict(one)
    del figures["slice"]
    return figures


@pytest.mark.slow
def test_confidence_intervals_of_tfma_change_no_figure(
    evaluated: Evaluated, slices: list[SliceResult], tmp_path: Path
) -> None:
    settings = EvaluatorSettings(
        slices=(),
        min_auc=FLOORS,
        max_gap={"nih": MAX_GAP["nih"]},
        min_gap_images=10,
        confidence_intervals="jackknife",
    )
    examples = map(to_example, evaluated.cases.to_dict("records"))

    uri = evaluate(tmp_path, examples, settings, FLOORS).uri

    assert "boundedValue" in str(tfma.load_eval_result(uri).slicing_metrics)
    without = {one.name: figures_of(one) for one in slices}
    found = results.load_slices(uri)
    assert len(found) == 5
    for one in found:
        assert figures_of(one) == pytest.approx(without[one.name])
    (gap,) = results.load_gaps(uri)
    assert gap.gap == pytest.approx(results.load_gaps(evaluated.evaluation.uri)[0].gap)


def unfair_cases(women: int) -> pd.DataFrame:
    """Scores that tell men well and women not at all."""
    rng = np.random.default_rng(1)
    cases = draw_cases().query("dataset == 'nih'").reset_index(drop=True)
    cases["sex"] = np.where(cases.groupby("label").cumcount() < women, "F", "M")
    lift = np.where(cases.sex == "M", 0.5, 0) * cases.label
    cases["score"] = np.clip(rng.normal(0.3 + lift, 0.1), 0, 1).astype(np.float32)
    return cases


@pytest.mark.parametrize(("women", "refused"), [(15, True), (9, False)])
def test_a_model_that_is_poor_for_one_sex_is_refused_where_that_can_be_told(
    women: int, refused: bool, tmp_path: Path
) -> None:
    settings = EvaluatorSettings(
        slices=(), min_auc={"nih": 0.5}, max_gap={"nih": {"sex": 0.1}}, min_gap_images=10
    )
    examples = map(to_example, unfair_cases(women).to_dict("records"))

    evaluation = evaluate(tmp_path, examples, settings, ["nih"])

    (gap,) = results.load_gaps(evaluation.uri)
    assert gap.refused is refused
    assert (gap.gap is not None) is refused


def test_subgroups_that_are_not_there_cannot_be_compared(tmp_path: Path) -> None:
    settings = EvaluatorSettings(min_auc={"nih": 0.5}, max_gap={"nih": {"view_position": 0.1}})
    examples = map(to_example, draw_cases().to_dict("records"))
    assert results.load_gaps(evaluate(tmp_path, examples, settings, ["nih"]).uri) == []


def test_a_model_of_which_no_gaps_are_asked_is_blessed_by_tfma(tmp_path: Path) -> None:
    examples = map(to_example, draw_cases().to_dict("records"))
    evaluation = evaluate(tmp_path, examples, EvaluatorSettings(min_auc={"nih": 0.5}), ["nih"])
    assert evaluation.blessed
    assert results.load_gaps(evaluation.uri) == []
