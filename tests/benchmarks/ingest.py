"""ExampleGen and the embedding pass: speed, use of the cores, and memory as N grows.

    python -m tests.benchmarks.ingest [--images 2000 20000] [--workers 1 2] [--nih DIR] [--embed]

Each measurement is a process of its own, so that its peak memory is its own. The images are
distinct films of 1024 pixels, as NIH publishes them, below a table of 112,120 rows: a few phantoms
are drawn, and every image is a mixture of two of them, turned and shifted a little, with shadows.
The baseline for speed is a plain read and decode of the same files in one thread, in the same run.
With `--nih`, a folder with the real set is measured instead.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from components.example_gen.datasets import nih
from components.example_gen.datasets.registry import ANYWHERE
from components.example_gen.datasets.source import Source
from components.example_gen.settings import Quality, Split
from components.example_gen.synthetic import layouts
from tests.benchmarks.processes import alone

ROWS = 112_120
PATIENTS = 30_805
DRAWN = 60
SIDE = 1024

_FILMS: list[np.ndarray] = []


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[2000, 20_000])
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--nih", type=Path, help="measure this folder, which holds the real set")
    parser.add_argument("--embed", action="store_true", help="the embedding pass, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.nih:
            measure(arguments.nih, Path(scratch), arguments.workers, embed=arguments.embed)
            return
        for images in arguments.images:
            root = draw_dataset(images, Path(scratch) / str(images))
            measure(root, root / "out", arguments.workers, embed=arguments.embed)


def measure(root: Path, out: Path, workers: list[int], *, embed: bool) -> None:
    """Measure everything on one set, and print it."""
    images = len(nih.list_files(root, ANYWHERE).files)
    baseline = alone(plain_read, root, prepare=_imports)
    print(f"\n{images:,} images; plain read: {images / baseline['wall']:.0f}/s", flush=True)
    for number in workers:
        measured = alone(example_gen, root, out / str(number), number, prepare=_imports)
        ratio = baseline["wall"] / measured["wall"]
        _print(f"ExampleGen, {number} workers", measured, images, f"{ratio:.2f}x plain")
    if embed:
        _print(
            "embedding pass", alone(embedding, out / str(workers[0]), prepare=_imports), images, ""
        )


def plain_read(root: Path) -> None:
    """Read and decode every file."""
    for file in nih.list_files(root, ANYWHERE).files:
        cv2.imread(file.path, cv2.IMREAD_GRAYSCALE)


def example_gen(root: Path, out: Path, workers: int) -> None:
    """The whole ExampleGen, to Examples on disk."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.example_gen import executor
    from components.example_gen.artifacts import IngestReport
    from components.example_gen.component import XrayExampleGen
    from pipeline.beam import BeamSettings, beam_args

    node = XrayExampleGen(
        sources={"nih": Source(folder=str(root))},
        split=Split(),
        quality=Quality(),
        fingerprint="",
        code="",
    )
    examples, report = standard_artifacts.Examples(), IngestReport()
    examples.uri, report.uri = str(out / "examples"), str(out / "report")
    Path(report.uri).mkdir(parents=True)
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=beam_args(BeamSettings(workers=workers), node=node.id),
        tmp_dir=str(out / "tmp"),
        unique_id=str(workers),
    )
    executor.Executor(context).Do(
        {}, {"examples": [examples], "report": [report]}, dict(node.exec_properties)
    )


def embedding(out: Path) -> None:
    """Every training image through the backbone; needs what `example_gen` wrote."""
    import tensorflow as tf

    from components.trainer.activation_cache import ActivationCache
    from components.trainer.activations import compute
    from components.trainer.frozen import resolve_precision
    from components.trainer.frozen_part import FrozenPart
    from components.trainer.index import read_index
    from components.trainer.network import build_network
    from components.trainer.settings import TrainerSettings
    from components.transform import preprocessing

    part = FrozenPart(
        build_network(TrainerSettings(weights="none"), 224).frozen,
        lambda encoded: preprocessing.preprocess(encoded, 224),
        preprocess_digest="benchmark",
        precision=resolve_precision("auto"),
    )
    index = read_index(tf.io.gfile.glob(str(out / "examples" / "Split-*" / "*.gz")))
    compute(index, part, ActivationCache(out, part.key, part.shape), "images embedded")


def draw_dataset(images: int, root: Path) -> Path:
    """The whole table, and the images of its first rows."""
    drawn = layouts.synthesize("nih", images=DRAWN, out=root / "drawn", seed=1).root
    (root / "images").mkdir(parents=True)
    with multiprocessing.Pool(initializer=_read_films, initargs=(drawn / "images",)) as pool:
        names = [str(root / "images" / _name(row)) for row in range(images)]
        for _ in pool.imap_unordered(_write_film, enumerate(names), chunksize=64):
            pass
    table = "Data_Entry_2017_v2020.csv"
    header = (drawn / table).read_text().splitlines()[0]
    rows = [
        f"{_name(row)},{'Pneumonia' if row % 7 == 0 else 'No Finding'},{row // PATIENTS},"
        f"{row % PATIENTS},57,M,PA,1024,1024,0.14,0.14"
        for row in range(ROWS)
    ]
    (root / table).write_text("\n".join([header, *rows]) + "\n")
    return root


def _name(row: int) -> str:
    return f"{row % PATIENTS:08d}_{row // PATIENTS:03d}.png"


def _read_films(folder: Path) -> None:
    _FILMS.extend(
        cv2.resize(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), (SIDE, SIDE))
        for path in sorted(folder.iterdir())
    )


def _write_film(numbered: tuple[int, str]) -> None:
    number, path = numbered
    rng = np.random.default_rng(number)
    one, other = (_FILMS[i] for i in rng.choice(DRAWN, 2, replace=False))
    share = rng.uniform(0.2, 0.8)
    film = cv2.addWeighted(one, share, other, 1 - share, 0)
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), rng.uniform(-5, 5), rng.uniform(0.9, 1.1))
    turn[:, 2] += rng.uniform(-40, 40, 2)
    film = cv2.warpAffine(film, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    # Shadows of its own, or mixtures of so few phantoms would be near-duplicates by the thousand.
    shadows = cv2.resize(rng.uniform(-60, 60, (9, 9)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    film = np.clip(film + shadows, 0, 255).astype(np.uint8)
    cv2.imwrite(path, film, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def _imports() -> None:
    """What everybody pays once is not what is measured."""
    import tfx.v1  # noqa: F401

    logging.disable(logging.WARNING)


def _print(what: str, measured: dict[str, float], images: int, ratio: str) -> None:
    print(
        f"  {what:<24} {images / measured['wall']:6.1f}/s {ratio:<12} "
        f"{measured['cores']:.2f} cores, peak {measured['peak']:,.0f} MiB "
        f"({measured['peak'] - measured['imports']:+,.0f} over imports)"
    )


if __name__ == "__main__":
    main()
