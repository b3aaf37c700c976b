"""The frozen pass: images a second, against two ways of plain Keras.

    python -m tests.benchmarks.embedding [--images 256] [--rounds 5]

On the same images and the same DenseNet121 with its pooling, in turns, medians over the rounds:

- `model.predict` on an array of pixels, batches of 32, as the tutorials do;
- the Keras model in a bare `tf.function`, batches of 32, on tensors;
- the frozen network, the same batches, in float32 and in what `auto` is here;
- the whole pass from encoded images, decoding included, for comparison with neither.

Aimed at: 2x `predict`; and 1.4x the bare function where the processor computes in bfloat16.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import cv2
import keras
import numpy as np
import tensorflow as tf

from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from components.trainer.frozen import freeze, resolve_precision
from components.trainer.frozen_part import FrozenPart
from components.trainer.index import BATCH
from components.trainer.network import build_network
from components.trainer.settings import TrainerSettings
from components.transform import preprocessing

SIZE = 224
SIDE = 1024
SEED = 1


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    encoded = [_draw(number) for number in range(min(arguments.images, BATCH))]
    encoded = [encoded[number % len(encoded)] for number in range(arguments.images)]
    pixels = np.concatenate(
        [preprocessing.preprocess(tf.constant(part), SIZE).numpy() for part in _parts(encoded)]
    )
    network = build_network(TrainerSettings(weights="none", seed=SEED), SIZE).frozen
    ways = _ways(network, pixels, encoded)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():  # traces the graphs
        way()
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    print(f"{arguments.images} images of {SIZE} px, medians of {arguments.rounds} rounds")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, median in medians.items():
        spread = f"{min(seconds[name]):.2f} to {max(seconds[name]):.2f} s"
        print(
            f"  {name:<24} {arguments.images / median:6.1f} images/s ({spread}), "
            f"{medians['model.predict'] / median:.2f}x predict, "
            f"{medians['bare tf.function'] / median:.2f}x the bare function"
        )


def _ways(
    network: keras.Model, pixels: np.ndarray, encoded: list[bytes]
) -> dict[str, Callable[[], object]]:
    batches = [tf.constant(part) for part in _parts(pixels)]
    bare = tf.function(
        lambda images: network(images, training=False),
        input_signature=[tf.TensorSpec([None, *network.input_shape[1:]], tf.float32)],
    )
    ways: dict[str, Callable[[], object]] = {
        "model.predict": lambda: network.predict(pixels, batch_size=BATCH, verbose=0),
        "bare tf.function": lambda: [bare(batch).numpy() for batch in batches],
    }
    for precision in dict.fromkeys(("float32", resolve_precision("auto"))):
        ways[f"frozen, {precision}"] = _frozen(network, precision, batches)
        part = FrozenPart(
            network,
            lambda images: preprocessing.preprocess(images, SIZE),
            preprocess_digest="benchmark",
            precision=precision,
        )
        ways[f"whole pass, {precision}"] = _whole(part, encoded)
    return ways


def _frozen(network: keras.Model, precision: str, batches: list[tf.Tensor]) -> Callable[[], object]:
    frozen = freeze(network, precision)
    run = tf.function(
        lambda images: frozen(images),
        input_signature=[tf.TensorSpec([None, *network.input_shape[1:]], tf.float32)],
    )
    return lambda: [run(batch).numpy() for batch in batches]


def _whole(part: FrozenPart, encoded: list[bytes]) -> Callable[[], object]:
    return lambda: [part(images) for images in _parts(encoded)]


def _parts(rows: Any) -> list[Any]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _draw(number: int) -> bytes:
    rng = np.random.default_rng(number)
    film = draw_film(sample_anatomy("nih", rng), rng, side_length=SIDE)
    return cv2.imencode(".jpeg", film.pixels)[1].tobytes()


if __name__ == "__main__":
    main()
