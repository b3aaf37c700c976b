"""Small films of two classes that differ to the eye, and a small backbone to embed them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from components.example_gen import record
from components.trainer import settings
from components.trainer.explaining import Explanation, freeze_classifier
from components.trainer.serving_module import Answers, ServingModule
from tests import examples

SIDE = 64
# The first layer of each block of the small network.
SMALL_BLOCKS = ("convolution", "convolution_2")


def draw_film(number: int, label: int) -> bytes:
    """A PNG of noise; with pneumonia, a white disk in it."""
    rng = np.random.default_rng(number)
    film = rng.integers(40, 120, (80, 96), dtype=np.uint8)
    if label:
        centre = (int(rng.integers(30, 66)), int(rng.integers(30, 50)))
        cv2.circle(film, centre, 22, 230, -1)
    return cv2.imencode(".png", film)[1].tobytes()


def draw_chest(number: int) -> np.ndarray:
    """A coarse frontal film, uint8: bright spine and belly, dark lungs; no two alike."""
    rng = np.random.default_rng(number)
    film = np.full((96, 88), 130.0, np.float32)
    tone = rng.uniform(0.8, 1.2)
    for side in (-1, 1):
        centre = (int(44 + side * 20 + rng.integers(-3, 4)), int(42 + rng.integers(-4, 5)))
        axes = (int(12 + rng.integers(0, 4)), int(26 + rng.integers(-3, 4)))
        cv2.ellipse(film, centre, axes, 0.0, 0, 360, 45.0, -1)
    cv2.rectangle(film, (40, 0), (48, 95), 200.0, -1)
    film[76:] += 50
    film = cv2.GaussianBlur(film, (0, 0), 2.0) * tone + rng.normal(0, 6, film.shape)
    return np.clip(film, 0, 255).astype(np.uint8)


def encode(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    """As a file of this kind."""
    return cv2.imencode(suffix, pixels)[1].tobytes()


def make_example(number: int, label: int) -> tf.train.Example:
    return examples.make_example(draw_film(number, label), str(number), label)


def write_records(folder: Path, examples: Sequence[tf.train.Example], shards: int = 2) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for shard in range(shards):
        files.append(str(folder / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"))
        with tf.io.TFRecordWriter(files[-1], "GZIP") as writer:
            for one in examples[shard::shards]:
                writer.write(one.SerializeToString())
    return files


def sha256_of(one: tf.train.Example) -> str:
    return one.features.feature[record.SHA256].bytes_list.value[0].decode()


def image_of(one: tf.train.Example) -> bytes:
    return one.features.feature[record.IMAGE].bytes_list.value[0]


def small_network(
    include_top: bool, weights: str | None, input_shape: tuple[int, int, int]
) -> keras.Model:
    """Built as those of `keras.applications` are, of two blocks (see `SMALL_BLOCKS`).

    There is no network to fetch weights from.
    """
    if weights is not None:
        raise Exception("URL fetch failure")
    image = keras.Input(input_shape)
    x = keras.layers.Conv2D(8, 5, strides=4, name="convolution")(image)
    x = keras.layers.BatchNormalization(name="normalisation")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Conv2D(8, 3, padding="same", name="convolution_2")(x)
    x = keras.layers.BatchNormalization(name="normalisation_2")(x)
    x = keras.layers.ReLU(name="relu_2")(x)
    return keras.Model(image, x, name="small")


def serve(
    classifier: keras.Model,
    preprocessing: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    answers: Answers,
    precision: str = "float32",
    *,
    references: Sequence[float] | None = None,
    **how: str | float,
) -> ServingModule:
    """What the Trainer exports, with scales of the maps by hand (1 logit for each output)."""
    network = freeze_classifier(classifier, precision, settings.Explanation.model_validate(how))
    explanation = Explanation(
        network.method,
        network.layer,
        network.grid,
        opacity=0.6,
        references=tuple(references or (1.0,) * len(answers.outputs)),
    )
    return ServingModule(network, preprocessing, answers, explanation)
