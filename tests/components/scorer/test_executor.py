"""Real artifacts in, scores out, and read again."""

import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components import progress
from components.errors import InputError
from components.example_gen import record
from components.scorer import executor
from components.scorer.scores import Scores, read_scores
from components.scorer.settings import ScorerSettings
from tests import examples
from tests.components.scorer.models import THRESHOLD, model_artifact

LEVELS = {
    "train": [1],
    "val": [40, 90, 160, 220],
    "test": [30, 120, 200, 250, 140],
    "test_unsampled": [60, 140, 30, 120, 70, 200, 250],
}


def to_example(level: int, labels: str = "pneumonia") -> tf.train.Example:
    encoded = cv2.imencode(".png", np.full((24, 32), level, np.uint8))[1].tobytes()
    findings = ("Pneumonia", "Edema") if level > 100 else ("No Finding",)
    nih = level % 20 == 0
    return examples.make_example(
        encoded,
        str(level // 100),
        int(level > 100),
        dataset="nih" if nih else "pediatric",
        filename=f"{level} & ü.png",
        findings=findings,
        finding_labels=record.finding_labels(findings, labels),
        age_years=level // 2 if nih else None,
        sex="F" if nih else None,
        etiology=None if nih else "virus",
    )


def examples_artifact(root: Path, labels: str = "pneumonia") -> standard_artifacts.Examples:
    for split, levels in LEVELS.items():
        folder = root / f"Split-{split}"
        folder.mkdir(parents=True)
        for shard in range(2):
            path = str(folder / f"data_tfrecord-{shard:05d}-of-00002.gz")
            with tf.io.TFRecordWriter(path, "GZIP") as writer:
                for level in levels[shard::2]:
                    writer.write(to_example(level, labels).SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(list(LEVELS))
    return artifact


def run(root: Path, model, last_model=None, labels="pneumonia") -> standard_artifacts.Examples:
    scores = standard_artifacts.Examples()
    scores.uri = str(root / "scores")
    inputs = {"examples": [examples_artifact(root / "examples", labels)], "model": [model]}
    if last_model is not None:
        inputs["last_model"] = [last_model]
    executor.Executor().Do(
        inputs,
        {"scores": [scores]},
        {"settings": ScorerSettings(batch_size=3).model_dump_json(), "code": ""},
    )
    return scores


@pytest.fixture
def told():
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda entry: messages.append(entry.getMessage())
    progress.LOGGER.addHandler(handler)
    yield messages
    progress.LOGGER.removeHandler(handler)


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    root = tmp_path_factory.mktemp("binary")
    return run(root, model_artifact(root / "model"))


@pytest.fixture(scope="module")
def of_test(scored) -> Scores:
    return read_scores(scored.uri, "test")


def by_level(scores: Scores) -> np.ndarray:
    return np.array([int(name.split()[0]) for name in scores.filenames])


def test_what_the_model_was_trained_on_is_not_scored(scored) -> None:
    assert artifact_utils.decode_split_names(scored.split_names) == [
        "val",
        "test",
        "test_unsampled",
    ]
    with pytest.raises(FileNotFoundError, match="'train'"):
        read_scores(scored.uri, "train")


@pytest.mark.parametrize("split", ["val", "test", "test_unsampled"])
def test_every_image_of_a_split_is_there_with_its_answer(scored, split: str) -> None:
    scores = read_scores(scored.uri, split)
    levels = by_level(scores)
    assert sorted(levels) == sorted(LEVELS[split])
    assert scores.outputs == ("pneumonia",)
    assert scores.probabilities.shape == scores.decisions.shape == (len(levels), 1)
    assert scores.probabilities.dtype == np.float64
    np.testing.assert_allclose(scores.probabilities[:, 0], levels / 255, atol=1e-6)
    np.testing.assert_array_equal(scores.decisions, scores.probabilities >= THRESHOLD)
    np.testing.assert_array_equal(scores.labels[:, 0], levels > 100)
    assert scores.last_probabilities is None


def test_counts_add_up(of_test: Scores) -> None:
    slices = [of_test.where(of_test.datasets == name) for name in ("nih", "pediatric")]
    assert [len(one) for one in slices] == [3, 2]
    assert sum(one.labels.sum() for one in slices) == of_test.labels.sum() == 4


def test_features_divide_images_and_are_empty_where_unknown(of_test: Scores) -> None:
    of_level = dict(zip(by_level(of_test), of_test.features["age_group"], strict=True))
    assert of_level == {30: "", 120: "60-80", 200: "80+", 250: "", 140: "60-80"}
    assert set(of_test.features["sex"]) == {"F", ""}
    assert set(of_test.features["view_position"]) == {""}
    assert list(of_test.features["dataset"]) == list(of_test.datasets)


def test_some_of_the_images_keep_their_rows_together(of_test: Scores) -> None:
    chosen = of_test.where(by_level(of_test) > 130)
    assert len(chosen) == 3
    np.testing.assert_allclose(chosen.probabilities[:, 0], by_level(chosen) / 255, atol=1e-6)
    assert set(chosen.patients) <= {"nih:1", "nih:2", "pediatric:2"}
    assert [len(values) for values in chosen.features.values()] == [3] * len(chosen.features)


def test_all_findings(tmp_path: Path) -> None:
    model = model_artifact(tmp_path / "model", record.PATHOLOGIES)
    scores = read_scores(run(tmp_path, model, labels="findings").uri, "test")
    assert scores.outputs == record.PATHOLOGIES
    levels = by_level(scores)
    shares = 1 / np.arange(1, 15)
    np.testing.assert_allclose(scores.probabilities, levels[:, None] / 255 * shares, atol=1e-6)
    for name in ("Edema", "Pneumonia"):
        column = scores.labels[:, record.PATHOLOGIES.index(name)]
        np.testing.assert_array_equal(column, levels > 100)
    assert scores.labels.sum() == 2 * (levels > 100).sum()


def test_beside_the_last_blessed_model(tmp_path: Path, told: list[str]) -> None:
    last = model_artifact(tmp_path / "last", factor=0.5)
    scores = read_scores(run(tmp_path, model_artifact(tmp_path / "model"), last).uri, "val")
    assert scores.last_probabilities is not None
    np.testing.assert_allclose(scores.last_probabilities, scores.probabilities / 2, atol=1e-6)
    assert told == [
        "4 of 4 val images scored",
        "5 of 5 test images scored",
        "7 of 7 test_unsampled images scored",
    ]


def test_a_last_model_of_other_findings_is_left_out_and_named(
    tmp_path: Path, told: list[str]
) -> None:
    last = model_artifact(tmp_path / "last", ("Edema", "Mass"))
    scores = read_scores(run(tmp_path, model_artifact(tmp_path / "model"), last).uri, "val")
    assert scores.last_probabilities is None
    assert "it tells Edema, Mass, and this one pneumonia" in told[0]


def test_a_last_model_that_is_gone_is_left_out(tmp_path: Path, told: list[str]) -> None:
    last = standard_artifacts.Model()
    last.uri = str(tmp_path / "removed")
    scores = read_scores(run(tmp_path, model_artifact(tmp_path / "model"), last).uri, "val")
    assert scores.last_probabilities is None
    assert "no comparison with the last blessed model" in told[0]


def test_a_model_without_a_contract_cannot_be_scored(tmp_path: Path) -> None:
    model = model_artifact(tmp_path / "model")
    (tmp_path / "model/Format-Serving/assets.extra/model_contract.json").unlink()
    with pytest.raises(InputError, match=r"no contract.*train the model again"):
        run(tmp_path, model)


def test_the_index_says_what_there_is(scored) -> None:
    index = json.loads(Path(scored.uri, "scores.json").read_text())
    assert index == {"outputs": ["pneumonia"], "last_model": False}
