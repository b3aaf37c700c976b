"""Training a head on made-up embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.trainer import head_training
from components.trainer.classifier import STANDARDISE
from components.trainer.head_training import (
    Embedded,
    TrainingError,
    balanced_class_weights,
    train_head,
)
from components.trainer.settings import Head, TrainerSettings

FEATURES = 8


def embedded(
    count: int, seed: int, spread: float = 1.0, positives: float = 0.5, shift: float = 2.0
) -> Embedded:
    """Two clouds around 0.3, `shift` of their standard deviations apart in two features."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) < positives * count).astype(np.int64)
    values = rng.normal(size=(count, FEATURES))
    values[:, :2] += shift * labels[:, None]
    return Embedded((0.3 + spread * values).astype(np.float32), labels)


def settings(**changes: Any) -> TrainerSettings:
    defaults: dict[str, Any] = {
        "epochs": 8,
        "learning_rate": 5e-3,
        "head": Head(units=16, dropout=0.2),
    }
    return TrainerSettings(**(defaults | changes))


def auc(head: keras.Model, split: Embedded) -> float:
    return roc_auc_score(split.labels, head.predict(split.embeddings, verbose=0)[:, 0])


# --- Class weights ---------------------------------------------------------------------------


def test_class_weights_let_both_classes_count_alike() -> None:
    labels = np.array([0, 0, 0, 1])

    assert balanced_class_weights(labels) == {0: pytest.approx(4 / 6), 1: pytest.approx(2.0)}


@pytest.mark.parametrize("present", [0, 1])
def test_a_missing_class_is_named(present: int, tmp_path: Path) -> None:
    split = Embedded(np.zeros((6, FEATURES), np.float32), np.full(6, present))

    with pytest.raises(TrainingError, match=f"no image of class {1 - present} among 6"):
        train_head(split, embedded(10, seed=1), settings(), tmp_path)


def test_class_weights_raise_the_rare_class(tmp_path: Path) -> None:
    train, validation = embedded(300, 1, positives=0.1), embedded(100, 2, positives=0.1)

    means = [
        train_head(train, validation, settings(imbalance=weight), tmp_path)[0]
        .predict(validation.embeddings, verbose=0)
        .mean()
        for weight in ("none", "class_weight")
    ]

    assert means[1] > means[0] + 0.5


# --- Learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1.0, 2e-4])
def test_it_learns_however_little_embeddings_differ(spread: float, tmp_path: Path) -> None:
    train, validation = embedded(300, 1, spread), embedded(100, 2, spread)

    head, _ = train_head(train, validation, settings(), tmp_path)

    assert auc(head, embedded(400, 3, spread)) > 0.95
    layer = head.get_layer(STANDARDISE)
    np.testing.assert_allclose(layer.mean[0], train.embeddings.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.variance[0], train.embeddings.var(axis=0), rtol=1e-2)


def test_without_standardisation_it_would_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_training, "_standardise", lambda *args: None)
    train, validation = embedded(300, 1, 2e-4), embedded(100, 2, 2e-4)

    _, history = train_head(train, validation, settings(), tmp_path)

    assert min(history.history["val_loss"]) > 0.6


def test_a_channel_that_is_nearly_silent_in_training_is_not_blown_up(tmp_path: Path) -> None:
    train, validation = embedded(300, 1), embedded(100, 2)
    for channel, value in ((5, 0.0), (6, 1e-7)):
        train.embeddings[:, channel] = 0
        train.embeddings[0, channel] = value
        validation.embeddings[:, channel] = 0

    head, _ = train_head(train, validation, settings(), tmp_path)
    woken = validation.embeddings.copy()
    woken[:, 5:7] = 0.05
    change = head.predict(woken, verbose=0) - head.predict(validation.embeddings, verbose=0)

    assert np.abs(change).max() < 20


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    train, validation = embedded(100, 1), embedded(50, 2)
    one, two, other = (
        train_head(train, validation, settings(seed=seed, epochs=2), tmp_path)[0].get_weights()
        for seed in (1, 1, 2)
    )

    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)
    assert any(not np.array_equal(left, right) for left, right in zip(one, other, strict=True))


# --- When it stops ---------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [20, 4], ids=["stopped early", "ran out of epochs"])
def test_the_best_weights_are_kept(tmp_path: Path, epochs: int) -> None:
    train = embedded(40, 1, shift=0.0)  # nothing to learn: the validation loss soon rises
    validation = embedded(200, 2, shift=0.0)

    head, history = train_head(
        train, validation, settings(epochs=epochs, patience=3, learning_rate=0.03), tmp_path
    )

    losses = history.history["val_loss"]
    kept = head.evaluate(validation.embeddings, validation.labels, verbose=0, return_dict=True)
    assert losses[-1] > min(losses)
    assert kept["loss"] == pytest.approx(min(losses), rel=1e-4)
    assert len(losses) == min(epochs, int(np.argmin(losses)) + 1 + 3)


def test_a_plateau_halves_the_learning_rate(tmp_path: Path) -> None:
    train, validation = embedded(40, 1, shift=0.0), embedded(200, 2, shift=0.0)

    head, _ = train_head(
        train,
        validation,
        settings(epochs=10, patience=4, learning_rate=0.03, reduce_lr_on_plateau=True),
        tmp_path,
    )

    assert float(head.optimizer.learning_rate) < 0.03


def test_a_loss_that_is_not_a_number_stops_it(tmp_path: Path) -> None:
    train = embedded(40, 1)
    train.embeddings[0, 0] = np.nan

    with pytest.raises(TrainingError, match=r"loss is nan after epoch 1.*learning_rate"):
        train_head(train, embedded(40, 2), settings(), tmp_path)


def test_tensorboard_can_follow(tmp_path: Path) -> None:
    train_head(embedded(40, 1), embedded(40, 2), settings(epochs=1), tmp_path / "logs")

    folders = {path.parent.name for path in (tmp_path / "logs").rglob("events.out.tfevents.*")}
    assert folders == {"train", "validation"}
