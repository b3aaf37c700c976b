"""Models that are bad on purpose: each is refused, by the gate that is there for it.

What comes after the Trainer runs as it does in a pipeline. The models are exported ones that read
their score from a field of the Example which no other node looks at.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from tfx import v1 as tfx
from tfx.types import standard_artifacts

from components.baseline_probe.component import BaselineProbe
from components.evaluator.component import ModelGate
from components.evaluator.eval_config import build_eval_config
from components.evaluator.judgement import Judgement, read_judgement
from components.evaluator.settings import EvaluatorSettings
from components.example_gen import record
from components.example_gen.split import TEST
from components.scorer.component import Scorer
from components.trainer.contract_file import CONTRACT
from pipeline.last_blessed import last_other_blessed_model
from pipeline.run_folder import RunFolder
from pipeline.run_record import histories
from tests import examples
from tests.components.trainer.samples import write_records

pytestmark = pytest.mark.slow

DATASETS = ("nih", "pediatric")
ASKED = EvaluatorSettings(
    slices=("sex",),
    min_auc=dict.fromkeys(DATASETS, 0.85),
    max_ece=dict.fromkeys(DATASETS, 0.05),
    min_lift=dict.fromkeys(DATASETS, 0.05),
    max_gap={"nih": {"sex": 0.1}},
)
SEPARATION = 2.5

Score = Callable[[dict[str, tf.Tensor]], tf.Tensor]
_SPEC = {
    "follow_up": tf.io.FixedLenFeature([], tf.int64),
    "age_years": tf.io.FixedLenFeature([], tf.int64),
    record.LABEL: tf.io.FixedLenFeature([], tf.int64),
    record.DATASET: tf.io.FixedLenFeature([], tf.string),
    "sex": tf.io.FixedLenFeature([], tf.string),
}


# --- The models, by their log-odds -----------------------------------------------------------


def good(features: dict[str, tf.Tensor]) -> tf.Tensor:
    """Calibrated, and of an AUC of 0.96."""
    return tf.cast(features["follow_up"], tf.float32) / 100 - 50


def noise(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return (tf.cast(features["age_years"], tf.float32) - 50) / 10


def of_noisy_labels(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return 0.1 * good(features) + 0.5 * noise(features)


def of_the_dataset_alone(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return tf.where(features[record.DATASET] == "nih", -2.0, 2.0)


def too_sure(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return 6 * good(features)


def better(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return good(features) + 4 * tf.cast(features[record.LABEL], tf.float32) - 2


def poor_for_women(features: dict[str, tf.Tensor]) -> tf.Tensor:
    for_women = 0.3 * good(features) + noise(features)
    return tf.where(features["sex"] == "F", for_women, 0.75 * better(features))


# --- A pipeline from there on ----------------------------------------------------------------


def save(score: Score, folder: Path) -> Path:
    """The exported model of a score, as an artifact's folder."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        def serving_examples(self, serialized: tf.Tensor) -> dict[str, tf.Tensor]:
            probability = tf.sigmoid(score(tf.io.parse_example(serialized, _SPEC)))
            return {
                "probability": probability,
                "decision": tf.cast(probability >= 0.5, tf.int64),
            }

    module = Module()
    root = folder / score.__name__
    served = root / "Format-Serving"
    tf.saved_model.save(
        module, str(served), signatures={"serving_examples": module.serving_examples}
    )
    (served / CONTRACT).parent.mkdir(parents=True)
    (served / CONTRACT).write_text(json.dumps({"outputs": [{"name": "pneumonia"}]}))
    return root


def make_example(number: int, dataset: str, rng: np.random.Generator) -> tf.train.Example:
    label = number % 2
    log_odds = SEPARATION * (rng.normal() + SEPARATION * (label - 0.5))
    film = rng.integers(40, 200, (24, 24), dtype=np.uint8)
    return examples.make_example(
        cv2.imencode(".png", film)[1].tobytes(),
        f"{dataset}{number}",
        label,
        dataset=dataset,
        sex="FM"[number // 2 % 2],
        age_years=int(np.clip(50 + 10 * rng.normal(), 0, 100)),
        follow_up=round(100 * (log_odds + 50)),
    )


@pytest.fixture(scope="module")
def split_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    rng = np.random.default_rng(0)
    for split, images in {"train": 60, "val": 60, "test": 400}.items():
        records = [make_example(number, one, rng) for one in DATASETS for number in range(images)]
        write_records(folder / f"Split-{split}", records)
    return folder


class Line:
    """Models that come one after the other."""

    def __init__(self, folder: Path, split_folder: Path):
        self._folder = folder
        self._examples = split_folder
        self.served = folder / "served"

    def judge(self, score: Score, settings: EvaluatorSettings = ASKED) -> Judgement:
        """Run what comes after the Trainer."""
        found = tfx.dsl.Importer(
            source_uri=str(self._examples),
            artifact_type=standard_artifacts.Examples,
            properties={"split_names": json.dumps(["train", "val", "test"])},
        ).with_id("Examples")
        trained = tfx.dsl.Importer(
            source_uri=str(save(score, self._folder)), artifact_type=standard_artifacts.Model
        ).with_id("Model")
        model = trained.outputs["result"]
        last = last_other_blessed_model(model)
        scorer = Scorer(
            examples=found.outputs["result"], model=model, last_model=last.outputs["model"]
        )
        evaluator = tfx.components.Evaluator(
            examples=scorer.outputs["scores"],
            model=model,
            eval_config=build_eval_config(settings, gated=DATASETS),
            example_splits=[TEST],
        )
        probe = BaselineProbe(examples=found.outputs["result"], image_size=64)
        gate = ModelGate(
            model=model,
            scores=scorer.outputs["scores"],
            evaluation=evaluator.outputs["evaluation"],
            probe=probe.outputs["report"],
            datasets=DATASETS,
            settings=settings.model_dump(mode="json"),
        )
        pusher = tfx.components.Pusher(
            model=model,
            model_blessing=gate.outputs["blessing"],
            push_destination=tfx.proto.PushDestination(
                filesystem=tfx.proto.PushDestination.Filesystem(base_directory=str(self.served))
            ),
        )
        folder = RunFolder(self._folder)
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="line",
                pipeline_root=str(self._folder / "root"),
                components=[found, trained, last, scorer, evaluator, probe, gate, pusher],
                enable_cache=True,
                metadata_connection_config=(
                    tfx.orchestration.metadata.sqlite_metadata_connection_config(
                        str(folder.metadata)
                    )
                ),
                beam_pipeline_args=["--direct_running_mode=in_memory"],
            )
        )
        (history,) = histories(folder)
        judgement = history.output(history.runs[-1], "ModelGate", "judgement")
        assert judgement is not None
        return read_judgement(judgement.uri)

    @property
    def pushed(self) -> int:
        """How many models were."""
        return len(list(self.served.iterdir())) if self.served.is_dir() else 0


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory, split_folder: Path) -> Line:
    """With a good model in service."""
    line = Line(tmp_path_factory.mktemp("line"), split_folder)
    judged = line.judge(good)
    assert judged.blessed, [gate.sentence for gate in judged.refused_by]
    assert line.pushed == 1
    return line


def gates_of(judged: Judgement) -> set[tuple[str, str]]:
    return {(gate.name, gate.dataset) for gate in judged.refused_by}


@pytest.mark.parametrize(
    ("score", "refusing"),
    [
        (of_noisy_labels, {("auc", "nih"), ("auc", "pediatric")}),
        (of_the_dataset_alone, {("auc", "nih"), ("shortcut", "nih"), ("shortcut", "pediatric")}),
        (too_sure, {("calibration", "nih"), ("calibration", "pediatric")}),
        (poor_for_women, {("subgroups", "nih")}),
    ],
)
def test_a_bad_model_is_refused_by_its_gate(
    line: Line, score: Score, refusing: set[tuple[str, str]]
) -> None:
    judged = line.judge(score)

    assert not judged.blessed
    assert refusing <= gates_of(judged)
    if score in (too_sure,):
        assert gates_of(judged) == refusing  # and by nothing else
    assert line.pushed == 1


def test_one_that_is_worse_than_the_blessed_model(tmp_path: Path, split_folder: Path) -> None:
    line = Line(tmp_path, split_folder)
    lenient = ASKED.model_copy(update={"max_ece": {}})
    assert line.judge(better, lenient).blessed

    judged = line.judge(good, lenient)

    assert gates_of(judged) == {("last blessed", "nih"), ("last blessed", "pediatric")}
    assert line.pushed == 1


def test_a_report_alone_refuses_nothing_and_says_what_it_would_have(
    tmp_path: Path, split_folder: Path
) -> None:
    line = Line(tmp_path, split_folder)
    judged = line.judge(of_the_dataset_alone, ASKED.model_copy(update={"report_only": True}))

    assert judged.blessed
    assert judged.report_only
    assert ("auc", "nih") in gates_of(judged)
    assert line.pushed == 1


def test_the_odds_of_the_films_are_right() -> None:
    """Or the good model would not be."""
    rng = np.random.default_rng(1)
    labels = np.arange(4000) % 2
    log_odds = SEPARATION * (rng.normal(size=4000) + SEPARATION * (labels - 0.5))
    for low, high in ((-2, -1), (-0.5, 0.5), (1, 2)):
        inside = (log_odds > low) & (log_odds < high)
        assert labels[inside].mean() == pytest.approx(expit(log_odds[inside]).mean(), abs=0.06)
