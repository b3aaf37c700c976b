"""The figures of a real evaluation of a real, if tiny, SavedModel."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from components.evaluator import results
from components.evaluator.eval_config import SIGNATURE, build_eval_config
from components.evaluator.results import Gate, SliceResult
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.settings import DatasetName

THRESHOLD = 0.55
FLOORS: dict[DatasetName, float] = {"nih": 0.6, "pediatric": 0.9}
SLICES = ("etiology", "dataset*sex")


class Scorer(tf.Module):
    """A model with the two outputs of the real one, whose probability stands in the Example."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {"score": tf.io.FixedLenFeature([], tf.float32)}
        probability = tf.io.parse_example(examples, spec)["score"]
        return {
            "probability": probability,
            "decision": tf.cast(probability >= THRESHOLD, tf.int64),
        }


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


def to_example(row: Mapping[Any, Any]) -> tf.train.Example:
    one = tf.train.Example()
    features = one.features.feature
    features["label"].int64_list.value.append(row["label"])
    features["score"].float_list.value.append(row["score"])
    for name in ("dataset", "etiology", "sex"):
        if row[name]:
            features[name].bytes_list.value.append(row[name].encode())
    return one


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """An evaluation and what went into it."""

    uri: str
    cases: pd.DataFrame

    def cases_of(self, one: SliceResult) -> pd.DataFrame:
        chosen = self.cases
        for name, value in one.slice.items():
            chosen = chosen[chosen[name] == value]
        return chosen


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("evaluation")
    module = Scorer()
    signatures = dict.fromkeys(("serving_default", SIGNATURE), module.serving_examples)
    tf.saved_model.save(module, str(folder / "model"), signatures=signatures)
    cases = draw_cases()
    with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
        for row in cases.to_dict("records"):
            writer.write(to_example(row).SerializeToString())
    config = build_eval_config(EvaluatorSettings(slices=SLICES, min_auc=FLOORS), FLOORS)
    config = tfma.utils.update_eval_config_with_defaults(config)
    tfma.run_model_analysis(
        eval_config=config,
        eval_shared_model=tfma.default_eval_shared_model(str(folder / "model"), eval_config=config),
        data_location=str(folder / "examples.gz"),
        output_path=str(folder / "out"),
        pipeline_options=PipelineOptions(["--direct_running_mode=in_memory"]),
    )
    return Evaluation(str(folder / "out"), cases)


@pytest.fixture(scope="module")
def slices(evaluation: Evaluation) -> list[SliceResult]:
    return results.load_slices(evaluation.uri)


def test_all_images_come_first_then_the_datasets(slices: list[SliceResult]) -> None:
    assert [one.name for one in slices] == [
        "all images",
        "dataset nih",
        "dataset pediatric",
        "dataset nih, sex F",
        "dataset nih, sex M",
        "etiology bacteria",
        "etiology none",
        "etiology virus",
    ]


def test_figures_are_those_that_sklearn_finds(
    slices: list[SliceResult], evaluation: Evaluation
) -> None:
    defined = [one for one in slices if one.auc is not None]
    assert len(defined) == 5
    for one in defined:
        cases = evaluation.cases_of(one)
        decisions = cases.score >= THRESHOLD
        assert (one.n, one.positives) == (len(cases), cases.label.sum())
        # TFMA bins the scores, so two that are close may tie.
        assert one.auc == pytest.approx(roc_auc_score(cases.label, cases.score), abs=2e-3)
        assert one.sensitivity == pytest.approx(recall_score(cases.label, decisions))
        assert one.specificity == pytest.approx(recall_score(cases.label, decisions, pos_label=0))
        assert one.ppv == pytest.approx(precision_score(cases.label, decisions))
        assert one.npv == pytest.approx(precision_score(cases.label, decisions, pos_label=0))


def test_what_a_slice_of_one_class_does_not_define_is_none(
    slices: list[SliceResult], evaluation: Evaluation
) -> None:
    by_name = {one.name: one for one in slices}
    for name in ("etiology bacteria", "etiology virus"):
        one = by_name[name]
        assert one.n == one.positives == len(evaluation.cases_of(one)) > 0
        assert one.auc is one.specificity is one.ppv is one.npv is None
        assert one.sensitivity is not None
    normal = by_name["etiology none"]
    assert normal.positives == 0
    assert normal.auc is normal.sensitivity is None
    assert normal.specificity is not None


def test_a_model_that_meets_its_floors_is_blessed_in_spite_of_undefined_slices(
    evaluation: Evaluation, slices: list[SliceResult]
) -> None:
    assert tfma.load_validation_result(evaluation.uri).validation_ok
    assert all(gate.passed for gate in results.judge(slices, FLOORS))


# --- Gates -----------------------------------------------------------------------------------


def sliced(features: dict[str, str], n: int, positives: int, auc: float | None) -> SliceResult:
    return SliceResult(
        slice=features,
        n=n,
        positives=positives,
        auc=auc,
        sensitivity=0.9,
        specificity=0.8,
        ppv=0.7,
        npv=0.9,
    )


def result(dataset: str, auc: float | None) -> SliceResult:
    return sliced({"dataset": dataset}, 50, 20, auc)


@pytest.mark.parametrize(
    ("auc", "passed", "sentence"),
    [
        (
            0.953,
            True,
            "nih: AUC 0.953 on 50 test images (20 with pneumonia) meets the 0.90 asked for",
        ),
        (
            0.9,
            True,
            "nih: AUC 0.900 on 50 test images (20 with pneumonia) meets the 0.90 asked for",
        ),
        (
            0.899,
            False,
            "nih: AUC 0.899 on 50 test images (20 with pneumonia) is below the 0.90 asked for",
        ),
        (None, False, "nih: no AUC, where at least 0.90 is asked for"),
    ],
)
def test_a_gate_says_what_was_compared(auc: float | None, passed: bool, sentence: str) -> None:
    assert results.judge([result("nih", auc)], {"nih": 0.9}) == [Gate("auc/nih", passed, sentence)]


def test_every_dataset_is_judged_on_its_own_slice() -> None:
    pooled = sliced({}, 100, 40, 0.99)
    women = sliced({"dataset": "nih", "sex": "F"}, 20, 9, 0.99)
    slices = [pooled, result("nih", 0.6), result("pediatric", 0.98), women]
    gates = results.judge(slices, {"pediatric": 0.95, "nih": 0.7})
    assert [(gate.name, gate.passed) for gate in gates] == [
        ("auc/pediatric", True),
        ("auc/nih", False),
    ]


def test_a_dataset_without_test_images_does_not_pass() -> None:
    (gate,) = results.judge([result("pediatric", 0.98)], {"nih": 0.7})
    assert not gate.passed


def test_nothing_asked_nothing_judged() -> None:
    assert results.judge([result("nih", 0.5)], {}) == []


@pytest.mark.parametrize("floors", itertools.permutations(["pediatric", "nih"]))
def test_gates_keep_the_order_of_the_experiment(floors: tuple[DatasetName, ...]) -> None:
    gates = results.judge([], dict.fromkeys(floors, 0.5))
    assert [gate.name for gate in gates] == [f"auc/{name}" for name in floors]
