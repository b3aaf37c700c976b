"""The Trainer against the notebooks' recipe, on the same images in one run.

    make benchmark                                  on synthetic images
    python -m tests.benchmarks.training DIR         on a folder in the pediatric layout

The recipe of the published notebooks: `image_dataset_from_directory`, a frozen DenseNet121 inside
the model, class weights, `fit` for E epochs. It runs the backbone over every training and
validation image in every epoch. The Trainer runs it once for each image, and trains on what it
gave.

Both sides read the same files in the same split, and include everything from encoded images to a
trained model: reading, decoding, embedding, training, validation. Neither exports.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.example_gen import example
from components.example_gen.datasets import pediatric
from components.example_gen.datasets.source import Source
from components.example_gen.images import imaging
from components.example_gen.record import CLASS_NAMES, XrayFile
from components.example_gen.synthetic import layouts
from components.trainer.backbones import build_backbone
from components.trainer.classifier import build_classifier, build_head
from components.trainer.frozen import resolve_precision
from components.trainer.imbalance import balance
from components.trainer.network import build_network
from components.trainer.preparation import Preparation
from components.trainer.settings import TrainerSettings
from components.trainer.tasks import TASKS
from components.trainer.training import Workplace, train
from components.transform import preprocessing

SIZE = 224
SEED = 1
TASK = TASKS["pneumonia"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="[default: synthetic images]")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or synthetic(arguments.images, Path(scratch))
        train, validation = split(pediatric.list_files(folder, Source()).files, arguments.images)
        print(f"{len(train)} training and {len(validation)} validation images, {SIZE} px")
        _report(train, validation, Path(scratch), arguments.epochs)


def _report(
    train: Sequence[XrayFile],
    validation: Sequence[XrayFile],
    scratch: Path,
    epoch_counts: Sequence[int],
) -> None:
    folders = [_as_folders(train, scratch / "train"), _as_folders(validation, scratch / "val")]
    records = [
        as_records(train, scratch / "train.gz"),
        as_records(validation, scratch / "val.gz"),
    ]
    precisions = list(dict.fromkeys(["float32", resolve_precision("auto")]))
    print("E epochs: the recipe's seconds of wall time / the Trainer's = ratio")
    for epochs in epoch_counts:
        recipe = seconds(notebook_recipe, folders, train, epochs)
        for precision in precisions:
            ours = seconds(trainer, records, scratch, epochs, precision)
            ratio = f"{recipe:6.1f} / {ours:5.1f} = {recipe / ours:.2f}x"
            print(f"  E = {epochs:>2}, {precision:<8}: {ratio}", flush=True)


def notebook_recipe(folders: Sequence[Path], train: Sequence[XrayFile], epochs: int) -> None:
    """What the notebooks do."""
    sets = [
        keras.utils.image_dataset_from_directory(
            folder,
            labels="inferred",
            label_mode="binary",
            class_names=list(CLASS_NAMES),
            image_size=(SIZE, SIZE),
            batch_size=32,
            seed=SEED,
        ).map(lambda images, labels: (images / 255.0, labels))
        for folder in folders
    ]
    backbone = build_backbone("DenseNet121", image_size=SIZE, weights="none", seed=SEED)
    backbone.trainable = False
    head = build_head(backbone.output_shape[-1], units=128, dropout=0.5, l2=0.0)
    model = build_classifier(backbone, head)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    labels = np.array([[file.label] for file in train])
    weights = balance(labels, TASK.outputs, TrainerSettings()).weights[:, 0]
    model.fit(
        sets[0],
        validation_data=sets[1],
        epochs=epochs,
        class_weight=dict(enumerate(weights.tolist())),
        verbose=0,
    )


def trainer(records: Sequence[str], scratch: Path, epochs: int, precision: str) -> None:
    """What the Trainer does, with an empty cache."""
    settings = TrainerSettings.model_validate(
        {
            "weights": "none",
            "precision": precision,
            "epochs": epochs,
            "patience": epochs,
            "seed": SEED,
        }
    )
    shutil.rmtree(scratch / "cache", ignore_errors=True)
    network = build_network(settings, SIZE)
    preparation = Preparation(
        network,
        lambda encoded: preprocessing.preprocess(encoded, SIZE),
        settings,
        task=TASK,
        preprocess_digest="benchmark",
        cache_root=scratch / "cache",
    )
    train_split, validation = (
        preparation.split(name, [file])
        for name, file in zip(("train", "val"), records, strict=True)
    )
    workplace = Workplace(scratch / "cache" / "unfinished", scratch / "logs")
    train(network, train_split, validation, TASK.outputs, settings, workplace)


def synthetic(images: int, scratch: Path) -> Path:
    return layouts.synthesize("pediatric", images=images, out=scratch, seed=SEED).root


def split(files: Sequence[XrayFile], images: int) -> tuple[Sequence[XrayFile], Sequence[XrayFile]]:
    chosen = random.Random(SEED).sample(list(files), min(images, len(files)))
    return chosen[len(chosen) // 5 :], chosen[: len(chosen) // 5]


def _as_folders(files: Sequence[XrayFile], folder: Path) -> Path:
    for file in files:
        target = folder / CLASS_NAMES[file.label] / file.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file.path, target)
    return folder


def as_records(files: Sequence[XrayFile], path: Path) -> str:
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for file in files:
            data = Path(file.path).read_bytes()
            _, facts = imaging.read_image(data)
            writer.write(example.to_example(file, facts, data).SerializeToString())
    return str(path)


def seconds(work: Callable[..., None], *arguments: Any) -> float:
    keras.backend.clear_session()
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
