"""A small network that really learnt to tell drawn pneumonia, and films to measure it on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import Film, draw_film
from components.trainer.classifier import build_classifier, build_head
from components.transform.preprocessing import preprocess
from tests import examples

SIDE = 96
TRAINING = range(300)
TEST = range(1000, 1080)


def label_of(number: int) -> int:
    """Every other film shows pneumonia."""
    return number % 2


def draw(number: int) -> Film:
    rng = np.random.default_rng([7, number])
    anatomy = sample_anatomy("nih", rng, sex="F" if number % 4 < 2 else "M")
    pneumonia = "consolidation" if label_of(number) else None
    return draw_film(anatomy, rng, pneumonia=pneumonia, side_length=160)


def to_example(number: int, film: Film, *, with_boxes: bool = True) -> tf.train.Example:
    """The film as the ingest writes it."""
    height, width = film.pixels.shape
    boxes = tuple(
        (one.x / width, one.y / height, one.width / width, one.height / height)
        for one in film.boxes
        if with_boxes
    )
    return examples.make_example(
        cv2.imencode(".png", film.pixels)[1].tobytes(),
        str(number),
        label_of(number),
        dataset="nih",
        boxes=boxes,
        box_findings=("Pneumonia",) * len(boxes),
    )


def draw_all(numbers: Sequence[int]) -> list[Film]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(draw, numbers))


def train(films: list[Film], labels: np.ndarray) -> keras.Model:
    """Nine epochs of five convolutions: maps of 12 by 12."""
    encoded = [cv2.imencode(".png", film.pixels)[1].tobytes() for film in films]
    keras.utils.set_random_seed(1)
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(2.0, offset=-1.0)(image)
    for channels, stride in ((16, 2), (32, 2), (32, 1), (64, 2), (64, 1)):
        x = keras.layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9)(x)
        x = keras.layers.ReLU()(x)
    head = build_head(64, units=16, dropout=0.0, l2=0.0)
    classifier = build_classifier(keras.Model(image, x, name="backbone"), head)
    classifier.compile(keras.optimizers.Adam(3e-3), "binary_crossentropy", jit_compile=False)
    pixels = preprocess(tf.constant(encoded), SIDE)
    classifier.fit(pixels, labels, batch_size=32, epochs=9, verbose=0)
    return classifier


def save_model(root: Path, classifier: keras.Model) -> standard_artifacts.Model:
    """As the Trainer leaves it, without the SavedModel."""
    (root / "saved_models").mkdir(parents=True)
    classifier.save(root / "saved_models" / "small.keras")
    extra = root / "Format-Serving" / "assets.extra"
    extra.mkdir(parents=True)
    (extra / "model_contract.json").write_text(json.dumps(contract()))
    artifact = standard_artifacts.Model()
    artifact.uri = str(root)
    return artifact


def contract() -> dict[str, object]:
    return {
        "class_names": ["normal", "pneumonia"],
        "outputs": [
            {
                "name": "pneumonia",
                "operating_point": {"threshold": 0.5},
                "calibration": {"method": "none"},
            }
        ],
        "image_size": SIDE,
        "backbone": "small",
        "precision": "float32",
    }


def save_examples(
    root: Path, splits: dict[str, list[tf.train.Example]]
) -> standard_artifacts.Examples:
    """As ExampleGen writes them; a split that is not named is empty."""
    for split in ("train", "val", "test"):
        folder = root / f"Split-{split}"
        folder.mkdir(parents=True)
        records = splits.get(split, [])
        for shard in range(2):
            with tf.io.TFRecordWriter(str(folder / f"data-{shard}.gz"), "GZIP") as writer:
                for one in records[shard::2]:
                    writer.write(one.SerializeToString())
    artifact = standard_artifacts.Examples()
    artifact.uri = str(root)
    artifact.split_names = artifact_utils.encode_split_names(["train", "val", "test"])
    return artifact
