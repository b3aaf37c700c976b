"""What an explanation costs: `python -m tests.benchmarks.explain`.

The baseline is `serving_default` of the same SavedModel, asked with the same films; the two take
turns. Both are loaded into one session, as TensorFlow Serving does, with all of a process' cores.
Films are synthetic and weights random. For a run on a busy machine the ratio counts, by round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from components.example_gen import record
from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from components.explanation.layers import finer_layer
from components.trainer.classifier import BACKBONE
from tests.benchmarks.serving_latency import STANDARDISED_ON, build, draw, export, interleaved

Ask = Callable[[Sequence[bytes]], object]

BASELINE = "serving_default"
EXPLAINED = "explain"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="DenseNet121")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--layer", choices=("last", "finer"), default="last")
    parser.add_argument("--findings", action="store_true", help="14 outputs instead of one")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    outputs = record.PATHOLOGIES if arguments.findings else record.CLASS_NAMES[1:]
    classifier = build(
        arguments.backbone, [draw(number) for number in range(STANDARDISED_ON)], len(outputs)
    )
    finer = arguments.layer == "finer"
    layer = finer_layer(classifier.get_layer(BACKBONE)) if finer else ""
    with tempfile.TemporaryDirectory() as folder:
        export(classifier, arguments.precision, Path(folder), layer=layer, outputs=outputs)
        sides = _load(Path(folder))
    print(f"{arguments.backbone}, {arguments.layer} layer, {len(outputs)} outputs; milliseconds")
    for kind, films in _films(max(arguments.batches)).items():
        for count in arguments.batches:
            _report(sides, kind, films[:count], arguments.rounds)


def _report(sides: dict[str, Ask], kind: str, films: Sequence[bytes], rounds: int) -> None:
    for ask in sides.values():
        ask(films)
    times = interleaved(sides, films, rounds)
    base, explained = (statistics.median(times[name]) for name in (BASELINE, EXPLAINED))
    ratios = [a / b for a, b in zip(times[EXPLAINED], times[BASELINE], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"  {len(films)} x {kind}: {explained:.1f} / {base:.1f} = {explained / base:.3f} "
        f"(by round {middle:.3f}, quartiles {low:.3f} to {high:.3f})",
        flush=True,
    )


def _films(count: int) -> dict[str, list[bytes]]:
    """As large as NIH's PNGs and as the pediatric JPEGs."""
    pixels = []
    for number in range(count):
        rng = np.random.default_rng(number)
        film = draw_film(sample_anatomy("nih", rng), rng, side_length=1024).pixels
        pixels.append(cv2.resize(film, (1024, 1024)))
    wide = [cv2.resize(film, (1300, 1000)) for film in pixels]
    return {
        "PNG of 1024 x 1024": [cv2.imencode(".png", film)[1].tobytes() for film in pixels],
        "JPEG of 1300 x 1000": [cv2.imencode(".jpeg", film)[1].tobytes() for film in wide],
    }


def _load(folder: Path) -> dict[str, Ask]:
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        meta = tf.compat.v1.saved_model.loader.load(session, ["serve"], str(folder))

    def asking(name: str) -> Ask:
        signature = meta.signature_def[name]
        fetched = [info.name for info in signature.outputs.values()]
        run = session.make_callable(fetched, [signature.inputs["image_bytes"].name])
        return lambda films: run(np.array(films, object))

    return {name: asking(name) for name in (BASELINE, EXPLAINED)}


if __name__ == "__main__":
    main()
