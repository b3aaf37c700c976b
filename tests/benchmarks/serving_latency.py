"""The exported model against the plain Keras export, asked as TensorFlow Serving asks.

    python -m tests.benchmarks.serving_latency

The baseline is what `keras.export.ExportArchive` writes of the same classifier, with the same
preprocessing before it and the same input: encoded images. It keeps its variables, and computes in
float32. Both are loaded into sessions of their own, as TensorFlow Serving does, within one process
and with all its cores; their requests take turns, so that whatever else the machine does hits both.
Films are synthetic and weights random, those of batch normalisation too: as they are initialised
they do nothing, and constants that do nothing are optimised away.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from components.example_gen import record
from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from components.trainer.backbones import build_backbone
from components.trainer.calibration import Calibration
from components.trainer.classifier import POOL, STANDARDISE, build_classifier, build_head
from components.trainer.explaining import Explanation, FrozenClassifier
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.serving_module import Answers, ServingModule
from components.trainer.tasks import BINARY, MULTILABEL
from components.transform import preprocessing

SIZE = 224
SEED = 1
# With few films their embeddings' deviations are small, and rounding looks large.
STANDARDISED_ON = 32
BASELINE = "Keras export"

Ask = Callable[[Sequence[bytes]], np.ndarray]


class Preprocessing(tf.Module):
    """What the Transform node's layer does, without a pipeline."""

    def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Raw features to what the network sees."""
        return {"image": preprocessing.preprocess(features[record.IMAGE][:, 0], SIZE)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="DenseNet121")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    films = [draw(number) for number in range(max(*arguments.batches, STANDARDISED_ON))]
    classifier = build(arguments.backbone, films)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {BASELINE: Path(scratch, "keras")}
        _export_keras(classifier, folders[BASELINE])
        for precision in ("float32", "bfloat16"):
            folders[precision] = Path(scratch, precision)
            export(classifier, precision, folders[precision])
        sides = {name: _load(folder) for name, folder in folders.items()}
        spread = np.std(_logit(np.concatenate([sides[BASELINE]([film]) for film in films])))
        print(f"{arguments.backbone}, {SIZE} px, {arguments.rounds} rounds; median milliseconds")
        print(f"  the logits' standard deviation over {len(films)} films is {spread:.2f}")
        for name, folder in folders.items():
            print(f"  {name:<12}: {_mebibytes(folder):.1f} MiB on disk")
        for count in arguments.batches:
            _report(sides, films[:count], arguments.rounds)


def _report(sides: dict[str, Ask], films: Sequence[bytes], rounds: int) -> None:
    answers = {name: ask(films) for name, ask in sides.items()}
    times = interleaved(sides, films, rounds)
    base = statistics.median(times[BASELINE])
    print(f"a batch of {len(films)}: {BASELINE} {base:.1f}")
    for name in (side for side in sides if side != BASELINE):
        median = statistics.median(times[name])
        # Of the same round, so that what hits both does not count.
        ratios = [a / b for a, b in zip(times[name], times[BASELINE], strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        error = np.abs(_logit(answers[name]) - _logit(answers[BASELINE])).max()
        print(
            f"  {name:<8}: {median:6.1f} / {base:.1f} = {median / base:.2f} (quartiles "
            f"{low:.2f} to {high:.2f}); logits off by at most {error:.1e}",
            flush=True,
        )


def interleaved(
    sides: dict[str, Ask], films: Sequence[bytes], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds of each request; the sides take turns, and turns in going first."""
    orders = itertools.cycle(itertools.permutations(sides))
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _, order in zip(range(rounds), orders, strict=False):
        for name in order:
            start = time.perf_counter()
            sides[name](films)
            times[name].append(1000 * (time.perf_counter() - start))
    return times


def build(backbone_name: str, films: Sequence[bytes], outputs: int = 1) -> keras.Model:
    """A classifier of random weights that tells the films apart."""
    backbone = build_backbone(backbone_name, image_size=SIZE, weights="none", seed=SEED)
    _trouble_normalisation(backbone)
    head = build_head(backbone.output_shape[-1], units=128, dropout=0.5, l2=0.0, outputs=outputs)
    classifier = build_classifier(backbone, head)
    pooled = keras.Model(classifier.input, classifier.get_layer(POOL).output)
    embeddings = pooled.predict(preprocessing.preprocess(tf.constant(films), SIZE), verbose=0)
    head.get_layer(STANDARDISE).adapt(embeddings)
    return classifier


def _trouble_normalisation(network: keras.Model) -> None:
    rng = np.random.default_rng(SEED)
    for layer in network._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            count = layer.gamma.shape[0]
            layer.gamma.assign(rng.uniform(0.8, 1.2, count))
            layer.beta.assign(rng.normal(0, 0.1, count))
            layer.moving_mean.assign(rng.normal(0, 0.1, count))
            layer.moving_variance.assign(rng.uniform(0.8, 1.2, count))


def _export_keras(classifier: keras.Model, folder: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(classifier)
    archive.add_endpoint(
        "serving_default",
        lambda image_bytes: {
            "probability": classifier(preprocessing.preprocess(image_bytes, SIZE))[:, 0]
        },
        input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")],
    )
    archive.write_out(folder, verbose=False)


def export(
    classifier: keras.Model,
    precision: str,
    folder: Path,
    *,
    layer: str = "",
    outputs: Sequence[str] = record.CLASS_NAMES[1:],
) -> None:
    """As the Trainer does, but for calibration and scales of the maps, which are by hand."""
    point = OperatingPoint(0.5, "by hand", None, None, 0, 0)
    fitted = tuple(Output(name, Calibration("none"), point) for name in outputs)
    binary = len(outputs) == 1
    names = record.CLASS_NAMES if binary else tuple(outputs)
    answers = Answers(BINARY if binary else MULTILABEL, names, fitted)
    network = FrozenClassifier(classifier, precision, "grad_cam", layer)
    explanation = Explanation("grad_cam", layer, network.grid, 0.6, (0.1,) * len(outputs))
    module = ServingModule(network, Preprocessing(), answers, explanation)
    module.save(str(folder))


def _load(folder: Path) -> Ask:
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
    signature = meta.signature_def["serving_default"]
    run = session.make_callable(
        signature.outputs["probability"].name, [signature.inputs["image_bytes"].name]
    )
    return lambda films: run(np.array(films, object))


def draw(number: int) -> bytes:
    """A synthetic film, as JPEG."""
    rng = np.random.default_rng(number)
    film = draw_film(sample_anatomy("pediatric", rng), rng)
    return cv2.imencode(".jpeg", film.pixels)[1].tobytes()


def _mebibytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def _logit(probabilities: np.ndarray) -> np.ndarray:
    exact = probabilities.astype(np.float64)
    return np.log(exact) - np.log1p(-exact)


if __name__ == "__main__":
    main()
