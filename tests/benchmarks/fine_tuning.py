"""Fine-tuning of the last block from kept activations, against the plain way of it.

    python -m tests.benchmarks.fine_tuning [DIR] [--images 400] [--epochs 1 10]

The plain way: the whole DenseNet121 in `fit`, from encoded images through `tf.data` in every
epoch, the blocks before the last one not trainable, batch normalisation in inference mode. The
Trainer runs the frozen blocks once for each image and keeps what they give. Both fine-tune E
epochs, validate after each, and begin with the same head, which is not trained before.

Aimed at: 4x at 10 epochs.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf

from components.example_gen import record
from components.example_gen.datasets import pediatric
from components.example_gen.datasets.source import Source
from components.trainer.backbones import BACKBONES, build_backbone
from components.trainer.classifier import build_head
from components.trainer.imbalance import Imbalance, balance, loss
from components.trainer.network import build_network
from components.trainer.preparation import Preparation
from components.trainer.settings import TrainerSettings
from components.trainer.training import Workplace, fine_tune
from components.transform import preprocessing
from tests.benchmarks.training import SEED, SIZE, TASK, as_records, seconds, split, synthetic

BATCH = 32


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="[default: synthetic images]")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, nargs="+", default=[1, 10])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        folder = arguments.folder or synthetic(arguments.images, scratch)
        train, validation = split(pediatric.list_files(folder, Source()).files, arguments.images)
        print(f"{len(train)} training and {len(validation)} validation images, {SIZE} px")
        records = [as_records(train, scratch / "t.gz"), as_records(validation, scratch / "v.gz")]
        print("E epochs: the plain way's seconds of wall time / the Trainer's = ratio")
        for epochs in arguments.epochs:
            plain = seconds(plain_way, records, epochs)
            ours = seconds(from_activations, records, scratch, epochs)
            print(
                f"  E = {epochs:>2}: {plain:6.1f} / {ours:5.1f} = {plain / ours:.2f}x", flush=True
            )


def _settings(epochs: int) -> TrainerSettings:
    return TrainerSettings.model_validate(
        {
            "weights": "none",
            "trainable": "last_block",
            "fine_tuning": {"epochs": epochs, "patience": epochs},
            "imbalance": "none",
            "batch_size": BATCH,
            "seed": SEED,
        }
    )


def _head(features: int) -> keras.Model:
    return build_head(features, units=128, dropout=0.5, l2=0.0)


def from_activations(records: Sequence[str], scratch: Path, epochs: int) -> None:
    """What the Trainer does, with an empty cache."""
    settings = _settings(epochs)
    root = scratch / "cache"
    shutil.rmtree(root, ignore_errors=True)
    network = build_network(settings, SIZE)
    preparation = Preparation(
        network,
        lambda encoded: preprocessing.preprocess(encoded, SIZE),
        settings,
        task=TASK,
        preprocess_digest="benchmark",
        cache_root=root,
    )
    train = preparation.split("train", [records[0]])
    validation = preparation.split("val", [records[1]])
    assert network.suffix is not None
    assert train.activations is not None
    assert validation.activations is not None
    workplace = Workplace(root / "unfinished", scratch / "logs")
    workplace.unfinished.mkdir()
    fine_tune(
        network.suffix,
        _head(network.suffix.output_shape[-1]),
        train.activations,
        validation.activations,
        balance(train.index.labels, TASK.outputs, settings),
        settings,
        workplace,
    )


def plain_way(records: Sequence[str], epochs: int) -> None:
    """Plain Keras."""
    settings = _settings(epochs)
    backbone = build_backbone("DenseNet121", image_size=SIZE, weights="none", seed=SEED)
    (network,) = (layer for layer in backbone.layers if isinstance(layer, keras.Model))
    names = [layer.name for layer in network.layers]
    for layer in network.layers[: names.index(BACKBONES["DenseNet121"].blocks[-1])]:
        layer.trainable = False
    model = _Plain(backbone, _head(backbone.output_shape[-1]))
    sets = [_examples(file) for file in records]
    labels = tf.concat([batch for _, batch in sets[0]], axis=0).numpy()
    imbalance: Imbalance = balance(labels, TASK.outputs, settings)
    model.compile(
        keras.optimizers.Adam(settings.fine_tuning.learning_rate),
        loss(imbalance, settings),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    shuffled = sets[0].unbatch().shuffle(8192, seed=SEED).batch(BATCH).map(_decoded, -1).prefetch(2)
    model.fit(
        shuffled, validation_data=sets[1].map(_decoded, -1).prefetch(2), epochs=epochs, verbose=0
    )


class _Plain(keras.Model):
    """Batch normalisation in inference mode, the rest as `fit` says."""

    def __init__(self, backbone: keras.Model, head: keras.Model):
        super().__init__(name="plain")
        self.backbone = backbone
        self.pool = keras.layers.GlobalAveragePooling2D()
        self.head = head

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.head(self.pool(self.backbone(images, training=False)), training=training)


def _examples(file: str) -> tf.data.Dataset:
    """Batches of encoded images and labels."""
    spec = {
        record.IMAGE: tf.io.FixedLenFeature([], tf.string),
        record.LABEL: tf.io.FixedLenFeature([1], tf.int64),
    }

    def parse(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_example(batch, spec)
        return parsed[record.IMAGE], tf.cast(parsed[record.LABEL], tf.float32)

    return tf.data.TFRecordDataset(file, compression_type="GZIP").batch(BATCH).map(parse)


def _decoded(encoded: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return preprocessing.preprocess(encoded, SIZE), labels


if __name__ == "__main__":
    main()
