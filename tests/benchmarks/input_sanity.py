"""What input sanity costs: the exported model with it against the same without.

    python -m tests.benchmarks.input_sanity

The baseline is the export without `quality`. Both are loaded into sessions of their own, as
TensorFlow Serving does, and their requests take turns. Films are synthetic, at their datasets' own
sizes, stored in grey and in colours (which are decoded once more); weights are random.
"""

from __future__ import annotations

import argparse
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
from components.trainer import input_sanity, settings
from components.trainer.backbones import build_backbone
from components.trainer.calibration import Calibration
from components.trainer.classifier import POOL, build_classifier, build_head
from components.trainer.explaining import Explanation, freeze_classifier
from components.trainer.film_sample import FilmSample
from components.trainer.input_sanity import InputSanity
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.sanity_fitting import fit_sanity
from components.trainer.serving_module import Answers, ServingModule
from components.trainer.tasks import BINARY
from components.transform import preprocessing

SIZE = 224
FILMS = 64

Ask = Callable[[Sequence[bytes]], object]


class Preprocessing(tf.Module):
    """What the Transform node's layer does, without a pipeline."""

    def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Raw features to what the network sees."""
        return {"image": preprocessing.preprocess(features[record.IMAGE][:, 0], SIZE)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="DenseNet121")
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    drawn = [_draw(number) for number in range(FILMS)]
    films = {
        "grey JPEG": [cv2.imencode(".jpeg", one)[1].tobytes() for one in drawn],
        "colour JPEG": [
            cv2.imencode(".jpeg", cv2.cvtColor(one, cv2.COLOR_GRAY2BGR))[1].tobytes()
            for one in drawn
        ],
    }
    backbone = build_backbone(arguments.backbone, image_size=SIZE, weights="none", seed=1)
    classifier = build_classifier(
        backbone, build_head(backbone.output_shape[-1], units=128, dropout=0.0, l2=0.0)
    )
    with tempfile.TemporaryDirectory() as scratch:
        sides = {}
        for name, sanity in (("without", None), ("with", _fit(classifier, films["grey JPEG"]))):
            folder = Path(scratch, name)
            _export(classifier, sanity, folder)
            size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            print(f"{name}: {size / 2**20:.1f} MiB on disk")
            sides[name] = _load(folder)
        for kind, encoded in films.items():
            for count in (1, 8):
                _report(sides, encoded[:count], arguments.rounds, f"{kind}, batch of {count}")


def _fit(classifier: keras.Model, films: Sequence[bytes]) -> InputSanity:
    images = preprocessing.preprocess(tf.constant(films), SIZE)
    pooled = keras.Model(classifier.input, classifier.get_layer(POOL).output)
    scalars = input_sanity.image_scalars(images[..., :1])
    sample = FilmSample(
        rows=np.arange(len(films)),
        embeddings=pooled.predict(images, verbose=0),
        layouts=input_sanity.layout(images[..., :1]).numpy(),
        colours=np.zeros(len(films), np.float32),
        scalars={name: values.numpy() for name, values in scalars.items()},
    )
    reference, account = fit_sanity(sample, sample, seed=1)
    return InputSanity(reference, account.limits)


def _export(classifier: keras.Model, sanity: InputSanity | None, folder: Path) -> None:
    point = OperatingPoint(0.5, "by hand", None, None, 0, 0)
    output = Output(record.CLASS_NAMES[1], Calibration("none"), point)
    answers = Answers(BINARY, record.CLASS_NAMES, (output,))
    network = freeze_classifier(classifier, "float32", settings.Explanation())
    explanation = Explanation(network.method, network.layer, network.grid, 0.6, (1.0,))
    module = ServingModule(network, Preprocessing(), answers, explanation, sanity)
    tf.saved_model.save(module, str(folder), signatures=module.signatures)


def _load(folder: Path) -> Ask:
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))
    signature = meta.signature_def["serving_default"]
    outputs = [one.name for one in signature.outputs.values()]
    run = session.make_callable(outputs, [signature.inputs["image_bytes"].name])
    return lambda films: run(np.array(films, object))


def _report(sides: dict[str, Ask], films: Sequence[bytes], rounds: int, what: str) -> None:
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 2):
        for name in list(sides)[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            sides[name](films)
            times[name].append(1000 * (time.perf_counter() - start))
    base, other = (statistics.median(times[name][2:]) for name in ("without", "with"))
    ratios = [a / b for a, b in zip(times["with"][2:], times["without"][2:], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{what}: {other:.1f} / {base:.1f} ms = {other / base:.2f} (of the same round "
        f"{middle:.2f}, quartiles {low:.2f} to {high:.2f})",
        flush=True,
    )


def _draw(number: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    return draw_film(sample_anatomy("pediatric", rng), rng).pixels


if __name__ == "__main__":
    main()
