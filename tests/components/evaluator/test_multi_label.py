"""What a real evaluation of a real, if tiny, multi-label SavedModel says, and whom it blesses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from components.evaluator import eval_config, results
from components.evaluator.eval_config import SIGNATURE, build_eval_config
from components.evaluator.results import FindingResult, Gate, MultiLabelResult
from components.evaluator.settings import EvaluatorSettings
from components.example_gen.record import PATHOLOGIES
from components.example_gen.settings import DatasetName

IMAGES = 160
THRESHOLDS = np.linspace(0.3, 0.56, len(PATHOLOGIES)).astype(np.float32)
# Rare as it is, the test images have none.
ABSENT = "Hernia"
# Of which only men's images have any.
OF_MEN = "Edema"
FLOORS: dict[DatasetName, float] = {"nih": 0.73, "dicom": 0.7}


class Scorer(tf.Module):
    """The outputs of a multi-label model, whose probabilities stand in the Example."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serving_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = {"scores": tf.io.FixedLenFeature([len(PATHOLOGIES)], tf.float32)}
        probability = tf.io.parse_example(examples, spec)["scores"]
        return {
            "probability": probability,
            "decision": tf.cast(probability >= THRESHOLDS, tf.int64),
            "label": tf.tile(tf.constant([PATHOLOGIES]), [tf.shape(probability)[0], 1]),
        }


@dataclasses.dataclass(frozen=True)
class Evaluation:
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
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    rng = np.random.default_rng(3)
    datasets = np.where(np.arange(IMAGES) % 2, "nih", "dicom")
    sexes = rng.choice(["F", "M"], IMAGES)
    labels = (rng.random((IMAGES, len(PATHOLOGIES))) < 0.3).astype(int)
    labels[:, PATHOLOGIES.index(ABSENT)] = 0
    labels[sexes == "F", PATHOLOGIES.index(OF_MEN)] = 0
    scores = np.clip(rng.normal(0.35 + 0.15 * labels, 0.15), 0, 1).astype(np.float32)

    folder = tmp_path_factory.mktemp("evaluation")
    module = Scorer()
    signatures = dict.fromkeys(("serving_default", SIGNATURE), module.serving_examples)
    tf.saved_model.save(module, str(folder / "model"), signatures=signatures)
    with tf.io.TFRecordWriter(str(folder / "examples.gz"), "GZIP") as writer:
        for row in zip(labels, scores, datasets, sexes, strict=True):
            writer.write(to_example(*row).SerializeToString())
    run(folder / "out", folder, EvaluatorSettings(slices=("sex",), min_auc=FLOORS))
    return Evaluation(str(folder / "out"), labels, scores, datasets, sexes)


def to_example(labels: np.ndarray, scores: np.ndarray, dataset: str, sex: str) -> tf.train.Example:
    one = tf.train.Example()
    features = one.features.feature
    features["finding_labels"].int64_list.value.extend(labels.tolist())
    features["label"].int64_list.value.append(int(labels[PATHOLOGIES.index("Pneumonia")]))
    features["scores"].float_list.value.extend(scores.tolist())
    features["dataset"].bytes_list.value.append(dataset.encode())
    features["sex"].bytes_list.value.append(sex.encode())
    return one


def run(out: Path, folder: Path, settings: EvaluatorSettings) -> None:
    config = build_eval_config(settings, FLOORS, "findings")
    config = tfma.utils.update_eval_config_with_defaults(config)
    tfma.run_model_analysis(
        eval_config=config,
        eval_shared_model=tfma.default_eval_shared_model(str(folder / "model"), eval_config=config),
        data_location=str(folder / "examples.gz"),
        output_path=str(out),
        pipeline_options=PipelineOptions(["--direct_running_mode=in_memory"]),
    )


@pytest.fixture(scope="module")
def slices(evaluation: Evaluation) -> list[MultiLabelResult]:
    return results.load_multi_label(evaluation.uri)


def by_finding(one: MultiLabelResult) -> dict[str, FindingResult]:
    return {finding.finding: finding for finding in one.findings}


def test_every_slice_has_every_finding_in_order(slices: list[MultiLabelResult]) -> None:
    assert [one.name for one in slices] == [
        "all images",
        "dataset dicom",
        "dataset nih",
        "sex F",
        "sex M",
    ]
    for one in slices:
        assert tuple(finding.finding for finding in one.findings) == PATHOLOGIES


def test_figures_are_those_that_sklearn_finds(
    slices: list[MultiLabelResult], evaluation: Evaluation
) -> None:
    for one in slices:
        rows = evaluation.rows_of(one)
        for class_id, found in enumerate(one.findings):
            labels, scores = evaluation.labels[rows, class_id], evaluation.scores[rows, class_id]
            decisions = scores >= THRESHOLDS[class_id]
            assert (one.n, found.n, found.positives) == (len(labels), len(labels), labels.sum())
            if found.auc is None:
                continue
            # TFMA bins the scores, so two that are close may tie.
            assert found.auc == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)
            assert found.sensitivity == pytest.approx(recall_score(labels, decisions))
            assert found.specificity == pytest.approx(recall_score(labels, decisions, pos_label=0))
            assert found.ppv == pytest.approx(precision_score(labels, decisions))
            assert found.npv == pytest.approx(precision_score(labels, decisions, pos_label=0))


def test_what_is_not_defined_is_none(slices: list[MultiLabelResult]) -> None:
    for one in slices:
        undefined = {found.finding for found in one.findings if found.auc is None}
        assert undefined == ({ABSENT, OF_MEN} if one.slice == {"sex": "F"} else {ABSENT})
        absent = by_finding(one)[ABSENT]
        assert (absent.positives, absent.sensitivity, absent.ppv, absent.npv) == (0, *[None] * 3)
        assert absent.specificity is not None


def test_the_macro_auc_is_the_mean_of_what_is_defined(slices: list[MultiLabelResult]) -> None:
    for one in slices:
        defined = [found.auc for found in one.findings if found.auc is not None]
        assert one.measured == len(defined) < len(PATHOLOGIES)
        assert one.macro_auc == pytest.approx(np.mean(defined))


def test_findings_that_cannot_be_measured_cost_no_blessing(
    evaluation: Evaluation, slices: list[MultiLabelResult]
) -> None:
    """TFMA's own macro average would count a 0 for them."""
    for dataset, floor in FLOORS.items():
        (one,) = (one for one in slices if one.slice == {"dataset": dataset})
        assert sum(found.auc or 0 for found in one.findings) / len(PATHOLOGIES) < floor
    assert tfma.load_validation_result(evaluation.uri).validation_ok
    assert all(gate.passed for gate in results.judge(slices, FLOORS))


def test_the_macro_auc_of_a_dataset_is_what_is_refused(
    evaluation: Evaluation, slices: list[MultiLabelResult], tmp_path: Path
) -> None:
    (nih,) = (one for one in slices if one.slice == {"dataset": "nih"})
    assert nih.macro_auc is not None
    floors: dict[DatasetName, float] = {"nih": nih.macro_auc + 0.01, "dicom": 0.7}
    run(tmp_path / "out", Path(evaluation.uri).parent, EvaluatorSettings(min_auc=floors))

    verdict = tfma.load_validation_result(str(tmp_path / "out"))

    assert not verdict.validation_ok
    (failed,) = verdict.metric_validations_per_slice
    assert [failure.metric_key.name for failure in failed.failures] == [eval_config.MACRO_AUC]
    assert [gate.passed for gate in results.judge(slices, floors)] == [False, True]


def test_a_dataset_of_which_nothing_can_be_measured_is_refused(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    folder = Path(evaluation.uri).parent
    (tmp_path / "model").symlink_to(folder / "model")
    nothing = np.zeros(len(PATHOLOGIES), int)
    with tf.io.TFRecordWriter(str(tmp_path / "examples.gz"), "GZIP") as writer:
        for scores in evaluation.scores[:6]:
            writer.write(to_example(nothing, scores, "nih", "F").SerializeToString())
    floors: dict[DatasetName, float] = {"nih": 0.0}
    run(tmp_path / "out", tmp_path, EvaluatorSettings(slices=(), min_auc=floors))

    slices = results.load_multi_label(str(tmp_path / "out"))

    assert {(one.macro_auc, one.measured) for one in slices} == {(None, 0)}
    assert not tfma.load_validation_result(str(tmp_path / "out")).validation_ok
    assert results.judge(slices, floors) == [
        Gate("auc/nih", False, "nih: no AUC, where at least 0.00 is asked for")
    ]


def test_a_gate_says_over_how_many_findings(slices: list[MultiLabelResult]) -> None:
    (nih,) = (one for one in slices if one.slice == {"dataset": "nih"})
    (gate,) = results.judge(slices, {"nih": 0.5})
    assert gate.sentence == (
        f"nih: macro AUC {nih.macro_auc:.3f} over 13 of 14 findings on {nih.n} test images meets "
        "the 0.50 asked for"
    )
