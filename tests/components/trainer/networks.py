"""Splits that went through the frozen part of a network, without records or a cache."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.trainer.batches import Split, in_memory
from components.trainer.index import Index
from components.trainer.network import Network, build_network
from components.trainer.preparation import Prepared
from components.trainer.settings import TrainerSettings
from components.trainer.training import Trained, Workplace, train
from components.trainer.workers import Workers
from components.transform.preprocessing import preprocess
from tests.components.trainer.samples import SIDE, draw_film

TRAINING = range(40)
VALIDATION = range(100, 124)


def make_settings(**changes: Any) -> TrainerSettings:
    defaults: dict[str, Any] = {
        "weights": "none",
        "trainable": "last_block",
        "epochs": 2,
        "head": {"units": 8, "dropout": 0.2},
        "fine_tuning": {"epochs": 3, "learning_rate": 1e-3},
        "batch_size": 8,
    }
    return TrainerSettings.model_validate(defaults | changes)


def pixels(numbers: Sequence[int]) -> np.ndarray:
    """Films, every other one with a disk."""
    films = [draw_film(number, number % 2) for number in numbers]
    return preprocess(tf.constant(films), SIDE).numpy()


def labels_of(numbers: Sequence[int]) -> np.ndarray:
    return np.array([[number % 2] for number in numbers], np.float32)


def prepare(network: Network, numbers: Sequence[int], views: int = 0) -> Prepared:
    """Views of an image are the image with more or less contrast."""
    films = [pixels(numbers) * (1 - 0.3 * view) for view in range(views + 1)]
    labels = labels_of(numbers)
    names = [str(number) for number in numbers]
    index = Index((), names, labels, names, ["nih"] * len(names))
    kept = [
        np.asarray(network.frozen(one, training=False)).astype(np.float16).astype(np.float32)
        for one in films
    ]
    if network.suffix is None:
        return Prepared(index, Split(in_memory(kept), labels, views), None)
    pooled = [np.asarray(network.suffix(one, training=False)).mean(axis=(1, 2)) for one in kept]
    return Prepared(
        index, Split(in_memory(pooled), labels, views), Split(in_memory(kept), labels, views)
    )


def train_in(
    folder: Path,
    settings: TrainerSettings,
    *,
    views: int = 0,
    side: int = SIDE,
    workers: Workers | None = None,
) -> tuple[Network, Trained]:
    """Both phases, on films that differ to the eye."""
    network = build_network(settings, side)
    trained = train(
        network,
        prepare(network, TRAINING, views),
        prepare(network, VALIDATION),
        ("pneumonia",),
        settings,
        Workplace(folder / "unfinished", folder / "logs", workers),
    )
    return network, trained


def weights_of(network: Network, trained: Trained) -> list[np.ndarray]:
    return [*network.backbone.get_weights(), *trained.head.get_weights()]


def same(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    """Bit for bit."""
    return all(np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def by_name(network: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: weight.numpy() for weight in network.weights}
