"""A small exported model that explains, and films with their scores, for the tests of the node.

The probability is a sigmoid of the grey level of a film's quarters, and the map is what each
quarter adds, so that tests know the answers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from tfx.types import Artifact, artifact_utils, standard_artifacts

from components.example_gen import record
from components.scorer import features
from tests import examples

CELLS = 4
STEEPNESS = 2.0
# Of mean grey level on [0, 1]: at this one the logit is 0.
MIDDLE = 0.35
THRESHOLD = 0.5
REFERENCE = 0.1
OPACITY = 0.6
PNG = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
SHAPES = [(60, 80), (80, 60), (64, 64), (600, 900)]


def draw_film(number: int, label: int) -> np.ndarray:
    """Dark noise; where there is something to find, a bright disc in the lower left."""
    rng = np.random.default_rng(number)
    film = rng.integers(60, 90, SHAPES[number % len(SHAPES)], dtype=np.uint8)
    if label:
        height, width = film.shape
        cv2.circle(film, (width // 6, 7 * height // 8), height // 3, 250, -1)
    return film


def make_film(number: int, label: int, dataset: str = "pediatric") -> tf.train.Example:
    encoded = cv2.imencode(".png", draw_film(number, label))[1].tobytes()
    nih = dataset == "nih"
    return examples.make_example(
        encoded,
        str(number),
        label,
        dataset=dataset,
        filename=f"film <{number}> & ü.png",
        findings=("Pneumonia", "Effusion") if label else ("No Finding",),
        etiology=None if nih else ("bacteria" if label else "none"),
        age_years=40 + number if nih else None,
        sex="FM"[number % 2] if nih else None,
        boxes=((0.1, 0.6, 0.3, 0.3), (0.5, 0.1, 0.4, 0.4), (0.6, 0.6, 0.2, 0.2))
        if nih and label
        else (),
        box_findings=("Pneumonia", "Effusion", "Pneumonia") if nih and label else (),
    )


def examples_artifact(root: Path, films: Sequence[tf.train.Example], shards: int = 3) -> Artifact:
    split = root / "Split-test"
    split.mkdir(parents=True)
    for shard in range(shards):
        _write(split / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz", films[shard::shards])
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["train", "test"])
    return artifact


def scores_artifact(root: Path, films: Sequence[tf.train.Example], outputs: int = 1) -> Artifact:
    """What the Scorer would write of these films and `model_artifact`."""
    rows = [_scored(film, outputs) for film in films]
    (root / "Split-test").mkdir(parents=True)
    _write(root / "Split-test" / "data_tfrecord-00000-of-00001.gz", rows)
    names = ["pneumonia"] if outputs == 1 else list(record.PATHOLOGIES)
    (root / "scores.json").write_text(json.dumps({"outputs": names, "last_model": False}))
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["test"])
    return artifact


def model_artifact(root: Path, outputs: int = 1, output: int = 0) -> Artifact:
    """An exported model whose output `output` sees brightness; the others see darkness."""
    model = _Model(outputs, output)
    folder = root / "Format-Serving"
    signatures = dict.fromkeys(("serving_default", "explain"), model.explain)
    tf.saved_model.save(model, str(folder), signatures=signatures)
    (folder / "assets.extra").mkdir()
    contract = tiny_contract(outputs, output)
    (folder / "assets.extra" / "model_contract.json").write_text(json.dumps(contract))
    artifact = standard_artifacts.Model()
    artifact.uri = str(root)
    return artifact


def tiny_contract(outputs: int = 1, output: int = 0) -> dict[str, Any]:
    names = record.PATHOLOGIES if outputs > 1 else record.CLASS_NAMES
    # Of another output than the right one, everything would be far below the operating point.
    return {
        "task": "multilabel" if outputs > 1 else "binary",
        "class_names": list(names),
        "outputs": [
            {"name": name, "operating_point": {"threshold": THRESHOLD if n == output else 0.999}}
            for n, name in enumerate(names[-outputs:])
        ],
        "explanation": {
            "method": "grad_cam",
            "layer": "",
            "grid": [CELLS, CELLS],
            "unit": "logit",
            "opacity": OPACITY,
            "references": [REFERENCE] * outputs,
        },
    }


def expected_probability(film: tf.train.Example) -> float:
    encoded = film.features.feature[record.IMAGE].bytes_list.value[0]
    grey = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_GRAYSCALE)
    return 1 / (1 + math.exp(-STEEPNESS * CELLS**2 * (float(grey.mean()) / 255 - MIDDLE)))


class _Model(tf.Module):
    def __init__(self, outputs: int, output: int):
        super().__init__()
        # A variable, because losing it is what a careless loader does.
        sign = np.where(np.arange(outputs) == output, 1.0, -1.0)
        self.steepness = tf.Variable(STEEPNESS * sign, dtype=tf.float32)
        self._outputs = outputs

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
    def explain(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec([CELLS, CELLS], tf.float32)
        grey = tf.map_fn(_cells, image_bytes, fn_output_signature=spec)
        evidence = (grey - MIDDLE)[:, tf.newaxis] * self.steepness[:, tf.newaxis, tf.newaxis]
        maps = tf.nn.relu(evidence)
        probability = tf.sigmoid(tf.reduce_sum(evidence, axis=[2, 3]))
        decision = tf.cast(probability >= THRESHOLD, tf.int64)
        answers = {"overlay_png_bytes": tf.fill(tf.shape(image_bytes), PNG)}
        if self._outputs == 1:
            label = tf.gather(tf.constant(record.CLASS_NAMES), decision[:, 0])
            return answers | {
                "probability": probability[:, 0],
                "decision": decision[:, 0],
                "label": label,
                "heatmap": maps[:, 0],
            }
        names = tf.tile(tf.constant([record.PATHOLOGIES]), [tf.shape(image_bytes)[0], 1])
        return answers | {
            "probability": probability,
            "decision": decision,
            "label": names,
            "heatmap": maps,
            "explained": names[:, 0],
        }


def _cells(encoded: tf.Tensor) -> tf.Tensor:
    film = tf.io.decode_image(encoded, channels=1, expand_animations=False)
    film.set_shape([None, None, 1])
    level = tf.cast(film, tf.float32) / 255
    return tf.image.resize(level, [CELLS, CELLS], method="area")[..., 0]


def _scored(film: tf.train.Example, outputs: int) -> tf.train.Example:
    row = tf.train.Example()
    for name in features.KEPT:
        if name in film.features.feature:
            row.features.feature[name].CopyFrom(film.features.feature[name])
    years = film.features.feature["age_years"].int64_list.value
    if years:
        group = features.age_group(years[0]).encode()
        row.features.feature[features.AGE_GROUP].bytes_list.value[:] = [group]
    probability = expected_probability(film)
    decision = int(probability >= THRESHOLD)
    row.features.feature[features.PROBABILITY].float_list.value[:] = [probability] * outputs
    row.features.feature[features.DECISION].int64_list.value[:] = [decision] * outputs
    return row


def _write(path: Path, rows: Sequence[tf.train.Example]) -> None:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for one in rows:
            writer.write(one.SerializeToString())
