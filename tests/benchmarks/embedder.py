"""The Embedder: what Beam costs and gains, and what the head then reads.

    python -m tests.benchmarks.embedder [--films 64 320] [--rows 112120] [--epochs 10]

1. DenseNet121 at 224 pixels on the same synthetic films, each way in a process of its own: the
   Trainer's own pass; Beam in the node's process, with one thread and with two; one and two worker
   processes of Beam, with one TensorFlow thread each. The rate is that of the films by which the
   second number exceeds the first, so that it leaves out what starts up. Beside it peak memory, and
   CPU time, which tells more than the rate where others use the machine.
2. The head on so many rows of an artifact: how long the index and the rows take to be read, and
   an epoch to be trained, against reading the files alone (none of them in the page cache), and
   against computing the rows at the Trainer's rate.

Aimed at: Beam in process, 0.9x the Trainer's rate; reading, 3x what the files alone take; and the
head hundreds of times faster than computing. When it was first run, on a busy machine, reading took
8.4x and the head was 50 times faster: neither was met.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from tensorflow_transform import beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from components.example_gen import record
from components.example_gen.synthetic.anatomy import sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from components.trainer.activation_cache import FOLDER
from components.trainer.activation_rows import DATA, INDEX
from components.trainer.embedded import MANIFEST, Embedded, Known, Manifest, Shard, files_digest
from components.trainer.frozen_part import cache_name, frozen_part, read_preprocessing
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.preparation import Preparation, open_preparation
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS
from components.trainer.training import Workplace, train_head
from components.transform.preprocessing_fn import preprocessing_fn
from tests import examples
from tests.components.embedding.runs import embed
from tests.components.trainer.samples import write_records

SIZE = 224
SIDE = 1024
FILES = 8
SHARD = 1024
SETTINGS = {"weights": "none"}
CONFIG = {
    "settings": SETTINGS,
    "labels": "pneumonia",
    "image_size": SIZE,
    "preprocessing": "benchmark",
}
PROCESSES = "--direct_running_mode=multi_processing"
WAYS: dict[str, Sequence[str]] = {
    "the Trainer's own pass": (),
    "Beam, 1 thread": ("--direct_running_mode=in_memory", "--direct_num_workers=1"),
    "Beam, 2 threads": ("--direct_running_mode=multi_threading", "--direct_num_workers=2"),
    "Beam, 1 worker process": (PROCESSES, "--direct_num_workers=1"),
    "Beam, 2 worker processes": (PROCESSES, "--direct_num_workers=2"),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--films", type=int, nargs=2, default=(64, 320))
    parser.add_argument("--rows", type=int, default=112_120)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        _run_way(arguments.way, arguments.folder)
        return
    with tempfile.TemporaryDirectory(prefix="embedder-") as scratch:
        folder = Path(scratch)
        _write_graph(folder / "graph")
        rate = _compare_ways(folder, *arguments.films)
        _read_back(folder, arguments.rows, arguments.epochs, rate)


def _compare_ways(folder: Path, few: int, many: int) -> float:
    films = [_draw(number) for number in range(many)]
    for count in (few, many):
        write_records(folder / str(count) / "Split-train", films[:count], shards=FILES)
    print(f"{many - few} films of {SIDE} pixels, {os.cpu_count()} cores, beyond the first {few}")
    rates: dict[str, float] = {}
    for way in WAYS:
        found = {}
        for count in (few, many):
            command = [sys.executable, "-m", "tests.benchmarks.embedder", "--way", way]
            answer = subprocess.run(
                [*command, "--folder", str(folder / str(count))],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            found[count] = json.loads(answer.stdout.splitlines()[-1])
        rates[way] = (many - few) / (found[many]["seconds"] - found[few]["seconds"])
        start = found[few]["seconds"] - few / rates[way]
        cpu = (found[many]["cpu"] - found[few]["cpu"]) / (many - few)
        print(
            f"  {way:<25} {rates[way]:6.1f} films/s, "
            f"{rates[way] / next(iter(rates.values())):.2f}x the Trainer; "
            f"{1000 * cpu:.0f} ms of CPU a film; "
            f"starts in {start:.0f} s; "
            f"at most {found[many]['own_mb']:,.0f} MB in the node's process"
            + (
                f", {found[many]['worker_mb']:,.0f} MB in a worker"
                if PROCESSES in WAYS[way]
                else ""
            )
        )
    return rates["the Trainer's own pass"]


def _run_way(way: str, folder: Path) -> None:
    graph = folder.parent / "graph"
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        start = time.perf_counter()
        if WAYS[way]:
            out = Path(scratch, "made")
            embed(out, folder, graph, CONFIG, splits=["train"], beam=WAYS[way])
        else:
            settings = TrainerSettings(weights="none", cache={"folder": scratch})  # type: ignore[arg-type]
            network = build_network(settings, SIZE)
            preparation = open_preparation(network, settings, CONFIG, str(graph), Path(scratch))
            preparation.split("train", [str(folder / "Split-train" / "*")])
        seconds = time.perf_counter() - start
    own, workers = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    found = {
        "seconds": seconds,
        "cpu": sum(one.ru_utime + one.ru_stime for one in (own, workers)),
        "own_mb": own.ru_maxrss / 1024,
        "worker_mb": workers.ru_maxrss / 1024,
    }
    print(json.dumps(found))


def _read_back(folder: Path, rows: int, epochs: int, rate: float) -> None:
    settings = TrainerSettings(
        weights="none",
        cache={"folder": str(folder / "cache")},  # type: ignore[arg-type]
        epochs=epochs,
        patience=epochs,
    )
    network = build_network(settings, SIZE)
    part = frozen_part(
        network.frozen, read_preprocessing(str(folder / "graph")), settings, "benchmark"
    )
    artifact = folder / "artifact"
    splits = {"train": rows * 8 // 10, "val": rows - rows * 8 // 10}
    originals = {
        split: write_records(folder / "examples" / f"Split-{split}", [], shards=1)
        for split in splits
    }
    _write_artifact(artifact, cache_name(part.key, settings), part.shape, splits, originals)
    files = [path for path in artifact.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)

    _forget(files)
    alone = _seconds(lambda: [path.read_bytes() for path in files])
    _forget(files)
    start = time.perf_counter()
    preparation = Preparation(
        network,
        read_preprocessing(str(folder / "graph")),
        settings,
        task=TASKS["pneumonia"],
        preprocess_digest="benchmark",
        cache_root=folder / "cache",
        embedded=Embedded(artifact),
    )
    train, val = (preparation.split(name, originals[name]) for name in splits)
    reading = time.perf_counter() - start
    imbalance = balance(train.index.labels, ["pneumonia"], settings)
    workplace = Workplace(folder / "unfinished", folder / "logs")
    workplace.unfinished.mkdir()
    training = _seconds(
        lambda: train_head(train.embeddings, val.embeddings, imbalance, settings, workplace)
    )
    computing = rows / rate
    print(
        f"{rows:,} rows in {len(files)} files of {size / 1e6:,.0f} MB\n"
        f"  the files alone           {alone:6.1f} s ({size / 1e6 / alone:,.0f} MB/s)\n"
        f"  index and rows            {reading:6.1f} s, {reading / alone:.1f}x the files alone\n"
        f"  head, {epochs} epochs          {training:6.1f} s, {training / epochs:.1f} s an epoch\n"
        f"  computed, at {rate:.1f} films/s {computing:8,.0f} s, "
        f"{computing / (reading + training):,.0f}x reading and training\n"
        f"  at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB"
    )


def _write_artifact(
    folder: Path,
    part: str,
    shape: tuple[int, ...],
    splits: dict[str, int],
    originals: dict[str, list[str]],
) -> None:
    """Rows of noise, by made-up names; Examples without images that have them."""
    rng = np.random.default_rng(1)
    shards: list[Shard] = []
    (folder / FOLDER / part).mkdir(parents=True)
    like = examples.make_example(cv2.imencode(".png", np.full((64, 64), 99, np.uint8))[1].tobytes())
    del like.features.feature[record.IMAGE]
    for split, count in splits.items():
        names = [rng.bytes(32).hex() for _ in range(count)]
        stripped = []
        for number, name in enumerate(names):
            like.features.feature[record.SHA256].bytes_list.value[0] = name.encode()
            like.features.feature[record.LABEL].int64_list.value[0] = number % 2
            stripped.append(tf.train.Example.FromString(like.SerializeToString()))
        write_records(folder / f"Split-{split}", stripped, shards=FILES)
        for start in range(0, count, SHARD):
            own = names[start : start + SHARD]
            path = folder / FOLDER / part / uuid.uuid4().hex
            np.save(path.with_suffix(DATA), rng.random((len(own), *shape), np.float32))
            path.with_suffix(INDEX).write_text(json.dumps(own))
            sizes = {one: path.with_suffix(one).stat().st_size for one in (DATA, INDEX)}
            shards.append(Shard(part=part, name=path.name, rows=len(own), sizes=sizes))
    known = {
        split: Known(files=files_digest(originals[split]), images=count)
        for split, count in splits.items()
    }
    manifest = Manifest(shards=tuple(shards), splits=known)
    (folder / MANIFEST).write_text(manifest.model_dump_json())


def _write_graph(folder: Path) -> None:
    spec = {record.IMAGE: tf.io.FixedLenFeature([1], tf.string)}
    raw = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        transform = ([], raw) | tft_beam.AnalyzeDataset(
            lambda inputs: preprocessing_fn(inputs, {"image_size": SIZE})
        )
        transform | tft_beam.WriteTransformFn(str(folder))


def _draw(number: int) -> tf.train.Example:
    rng = np.random.default_rng(number)
    film = draw_film(sample_anatomy("nih", rng), rng, side_length=SIDE)
    data = cv2.imencode(".jpeg", film.pixels)[1].tobytes()
    return examples.make_example(data, str(number), number % 2)


def _forget(files: Sequence[Path]) -> None:
    """Have the page cache let go of them."""
    os.sync()
    for path in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
