"""ExampleGen and the embedding pass: speed, use of the cores, and memory as N grows.

    python -m tests.benchmarks.ingest [--images 1000 5000] [--embed]

Each measurement is a process of its own, so that its peak memory is its own. The images are
synthetic NIH films of 1024 pixels, as published; a few are drawn, and every copy differs in its
last bytes, after the end of the PNG. The baseline for speed is a plain read and decode of the same
files in one thread, in the same run.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from components.example_gen import nih
from components.example_gen.synthetic import layouts

DRAWN = 60
SIDE = 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--embed", action="store_true", help="the embedding pass, too")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as scratch:
        for images in arguments.images:
            root = _dataset(images, Path(scratch) / str(images))
            baseline = _alone(plain_read, root)
            print(f"\n{images} images of {SIDE} px; plain read: {images / baseline['wall']:.0f}/s")
            for workers in sorted({1, cores}):
                measured = _alone(example_gen, root, workers)
                ratio = baseline["wall"] / measured["wall"]
                _print(f"ExampleGen, {workers} workers", measured, images, f"{ratio:.2f}x plain")
            if arguments.embed:
                _print("embedding pass", _alone(embedding, root), images, "")


def plain_read(root: Path) -> None:
    """Read and decode every file."""
    for file in nih.list_files(root).files:
        cv2.imread(file.path, cv2.IMREAD_GRAYSCALE)


def example_gen(root: Path, workers: int) -> None:
    """The whole ExampleGen, to Examples on disk."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.example_gen import executor
    from components.example_gen.artifacts import IngestReport
    from pipeline.pipeline import beam_args

    examples, report = standard_artifacts.Examples(), IngestReport()
    examples.uri, report.uri = str(root / f"examples-{workers}"), str(root / f"report-{workers}")
    Path(report.uri).mkdir()
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=beam_args(workers), tmp_dir=str(root / "tmp"), unique_id=str(workers)
    )
    split = {"fractions": {"train": 0.7, "val": 0.15, "test": 0.15}, "salt": "cxr"}
    executor.Executor(context).Do(
        {},
        {"examples": [examples], "report": [report]},
        {"sources": json.dumps({"nih": str(root)}), "split": json.dumps(split)},
    )


def embedding(root: Path) -> None:
    """Every training image through the backbone; needs what `example_gen` wrote."""
    import tensorflow as tf

    from components.trainer.backbones import build_backbone
    from components.trainer.embedding import Embedder, embed, read_index, resolve_precision
    from components.trainer.embedding_cache import EmbeddingCache
    from components.transform import preprocessing

    backbone = build_backbone("DenseNet121", image_size=224, weights="none", seed=1)
    embedder = Embedder(
        backbone,
        lambda encoded: preprocessing.preprocess(encoded, 224),
        preprocess_digest="benchmark",
        precision=resolve_precision("auto"),
    )
    files = tf.io.gfile.glob(str(root / "examples-1" / "Split-*" / "*.gz"))
    sha256, _ = read_index(files)
    embed(files, sha256, embedder, EmbeddingCache(root, embedder.key, embedder.features))


def _dataset(images: int, root: Path) -> Path:
    """`images` rows, every one with a file of its own content and a patient for every two."""
    drawn = layouts.synthesize("nih", images=DRAWN, out=root / "drawn", seed=1).root
    films = [
        cv2.imencode(".png", cv2.resize(cv2.imread(str(path), 0), (SIDE, SIDE)))[1].tobytes()
        for path in sorted((drawn / "images").iterdir())
    ]
    (root / "images").mkdir(parents=True)
    header = (drawn / "Data_Entry_2017_v2020.csv").read_text().splitlines()[0]
    rows = [header]
    for number in range(images):
        name = f"{number // 2:08d}_{number % 2:03d}.png"
        (root / "images" / name).write_bytes(films[number % DRAWN] + name.encode())
        finding = "Pneumonia" if number % 7 == 0 else "No Finding"
        rows.append(f"{name},{finding},{number % 2},{number // 2},57,M,PA,1024,1024,0.14,0.14")
    (root / "Data_Entry_2017_v2020.csv").write_text("\n".join(rows) + "\n")
    return root


def _alone(work: Callable[..., None], *arguments: Any) -> dict[str, float]:
    """Run in a process of its own: wall seconds, processor seconds, peak MiB above the imports."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, work, arguments))
    process.start()
    measured = receiver.recv()
    process.join()
    return measured


def _measure(sender: Any, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    # What everybody pays once is not what is measured.
    import tfx.v1  # noqa: F401

    logging.disable(logging.WARNING)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    work(*arguments)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    sender.send(
        {
            "wall": wall,
            "cores": processor / wall,
            "peak": after.ru_maxrss / 1024,
            "imports": before.ru_maxrss / 1024,
        }
    )


def _print(what: str, measured: dict[str, float], images: int, ratio: str) -> None:
    print(
        f"  {what:<24} {images / measured['wall']:6.1f}/s {ratio:<12} "
        f"{measured['cores']:.2f} cores, peak {measured['peak']:,.0f} MiB "
        f"({measured['peak'] - measured['imports']:+,.0f} over imports)"
    )


if __name__ == "__main__":
    main()
