"""Training a head on made-up embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.trainer import training
from components.trainer.batches import Split, in_memory
from components.trainer.classifier import STANDARDISE
from components.trainer.fitting import History
from components.trainer.imbalance import Imbalance, TrainingError, balance
from components.trainer.settings import TrainerSettings
from components.trainer.training import Workplace, predict_logits, train_head

FEATURES = 8


def embedded(
    count: int, seed: int, spread: float = 1.0, positives: float = 0.5, shift: float = 2.0
) -> Split:
    """Two clouds around 0.3, `shift` of their standard deviations apart in two features."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) < positives * count).astype(np.float32)[:, None]
    values = rng.normal(size=(count, FEATURES))
    values[:, :2] += shift * labels
    return Split(in_memory([(0.3 + spread * values).astype(np.float32)]), labels)


def rows_of(split: Split) -> np.ndarray:
    return split.rows(np.arange(len(split)), 0)


def with_rows(split: Split, rows: np.ndarray) -> Split:
    return Split(in_memory([rows]), split.labels)


def make_settings(**changes: Any) -> TrainerSettings:
    defaults: dict[str, Any] = {
        "epochs": 8,
        "learning_rate": 5e-3,
        "head": {"units": 16, "dropout": 0.2},
        "imbalance": "none",
    }
    return TrainerSettings.model_validate(defaults | changes)


def workplace_in(folder: Path) -> Workplace:
    (folder / "unfinished").mkdir(parents=True, exist_ok=True)
    return Workplace(folder / "unfinished", folder / "logs")


def imbalance_of(split: Split, settings: TrainerSettings) -> Imbalance:
    return balance(split.labels, [str(k) for k in range(split.labels.shape[1])], settings)


@pytest.fixture
def train(tmp_path: Path) -> Any:
    """Trains a head; every call in a folder of its own."""
    calls: list[Path] = []

    def train(
        on: Split, validation: Split, start: keras.Model | None = None, **changes: Any
    ) -> tuple[keras.Model, History]:
        calls.append(tmp_path / str(len(calls)))
        settings = make_settings(**changes)
        return train_head(
            on,
            validation,
            imbalance_of(on, settings),
            settings,
            workplace_in(calls[-1]),
            start=start,
        )

    return train


def auc(head: keras.Model, split: Split) -> float:
    return roc_auc_score(split.labels[:, 0], predict_logits(head, split)[:, 0])


# --- Learning --------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [1.0, 2e-4])
def test_it_learns_however_little_embeddings_differ(spread: float, train: Any) -> None:
    on, validation = embedded(300, 1, spread), embedded(100, 2, spread)

    head, _ = train(on, validation)

    assert auc(head, embedded(400, 3, spread)) > 0.95
    layer = head.get_layer(STANDARDISE)
    np.testing.assert_allclose(layer.mean[0], rows_of(on).mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(layer.variance[0], rows_of(on).var(axis=0), rtol=1e-2)


def test_without_standardisation_it_would_not(train: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_standardise", lambda *args: None)

    _, history = train(embedded(300, 1, 2e-4), embedded(100, 2, 2e-4))

    assert min(history["val_loss"]) > 0.6


def test_a_channel_that_is_nearly_silent_in_training_is_not_blown_up(train: Any) -> None:
    on, validation = embedded(300, 1), embedded(100, 2)
    rows, others = rows_of(on), rows_of(validation)
    for channel, value in ((5, 0.0), (6, 1e-7)):
        rows[:, channel] = others[:, channel] = 0
        rows[0, channel] = value

    head, _ = train(with_rows(on, rows), with_rows(validation, others))
    woken = others.copy()
    woken[:, 5:7] = 0.05
    change = head.predict(woken, verbose=0) - head.predict(others, verbose=0)

    assert np.abs(change).max() < 20


def test_the_same_seed_gives_the_same_weights(train: Any) -> None:
    on, validation = embedded(100, 1), embedded(50, 2)
    one, two, other = (
        train(on, validation, seed=seed, epochs=2)[0].get_weights() for seed in (1, 1, 2)
    )

    for left, right in zip(one, two, strict=True):
        np.testing.assert_array_equal(left, right)
    assert any(not np.array_equal(left, right) for left, right in zip(one, other, strict=True))


def test_class_weights_raise_the_rare_class(train: Any) -> None:
    on, validation = embedded(300, 1, positives=0.1), embedded(100, 2, positives=0.1)

    means = [
        predict_logits(train(on, validation, imbalance=method)[0], validation).mean()
        for method in ("none", "class_weight")
    ]

    assert means[1] > means[0] + 0.5


@pytest.mark.parametrize("method", ["focal", "oversample", "downsample"])
def test_whatever_is_done_about_the_classes_it_learns(train: Any, method: str) -> None:
    head, _ = train(
        embedded(600, 1, positives=0.2),
        embedded(100, 2, positives=0.2),
        imbalance=method,
        learning_rate=2e-2,
    )

    assert auc(head, embedded(400, 3)) > 0.9


def test_of_several_findings_each_is_learnt(train: Any) -> None:
    splits = []
    for count, seed in ((400, 1), (200, 2)):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(count, FEATURES)).astype(np.float32)
        splits.append(Split(in_memory([rows]), (rows[:, :3] > [0, 1, -1]).astype(np.float32)))

    head, history = train(*splits, imbalance="class_weight")

    logits = predict_logits(head, splits[1])
    assert logits.shape == (200, 3)
    for k in range(3):
        assert roc_auc_score(splits[1].labels[:, k], logits[:, k]) > 0.9
    assert history["val_auc"][-1] > 0.9


def test_views_are_learnt_from(train: Any) -> None:
    """The images themselves tell nothing; their views do."""
    views = [rows_of(embedded(300, seed)) for seed in (1, 2)]
    silent = np.random.default_rng(3).normal(0.3, 1, views[0].shape).astype(np.float32)
    labels = embedded(300, 1).labels

    plain, _ = train(Split(in_memory([silent]), labels), embedded(100, 4))
    viewed, _ = train(Split(in_memory([silent, *views]), labels, 2), embedded(100, 4))

    assert auc(viewed, embedded(400, 5)) > 0.9 > auc(plain, embedded(400, 5))


def test_it_goes_on_from_another_head(train: Any) -> None:
    on, validation = embedded(300, 1), embedded(100, 2)
    first, _ = train(on, validation)
    moved = with_rows(on, rows_of(on) + 1)

    second, history = train(moved, validation, start=first, epochs=1, learning_rate=1e-9)

    assert history["val_auc"][0] > 0.95
    assert history["val_loss"][0] == pytest.approx(first_loss(first, validation), rel=1e-3), (
        "its standardisation is the former one"
    )
    for left, right in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


def first_loss(head: keras.Model, split: Split) -> float:
    logits = predict_logits(head, split).astype(np.float64)
    return float(np.mean(np.logaddexp(0, logits) - split.labels * logits))


# --- When it stops ---------------------------------------------------------------------------


@pytest.mark.parametrize("epochs", [20, 4], ids=["stopped early", "ran out of epochs"])
def test_the_best_weights_are_kept(train: Any, epochs: int) -> None:
    # Nothing to learn: the validation loss soon rises.
    on, validation = embedded(40, 1, shift=0.0), embedded(200, 2, shift=0.0)

    head, history = train(on, validation, epochs=epochs, patience=3, learning_rate=0.03)

    losses = history["val_loss"]
    assert losses[-1] > min(losses)
    assert first_loss(head, validation) == pytest.approx(min(losses), rel=1e-4)
    assert len(losses) == min(epochs, int(np.argmin(losses)) + 1 + 3)


@pytest.mark.parametrize("asked", [True, False])
def test_a_plateau_halves_the_learning_rate_if_asked_for(train: Any, asked: bool) -> None:
    _, history = train(
        embedded(40, 1, shift=0.0),
        embedded(200, 2, shift=0.0),
        epochs=10,
        patience=4,
        learning_rate=0.03,
        reduce_lr_on_plateau=asked,
    )

    if asked:
        rates = history["learning_rate"]
        assert rates[0] == pytest.approx(0.03)
        assert min(rates) <= 0.015
        assert {round(float(np.log2(0.03 / rate)), 4) for rate in rates} <= {0.0, 1.0, 2.0, 3.0}
    else:
        assert "learning_rate" not in history


def test_a_loss_that_is_not_a_number_stops_it(train: Any) -> None:
    on = embedded(40, 1)
    rows = rows_of(on)
    rows[0, 0] = np.nan

    with pytest.raises(TrainingError, match=r"loss is nan after epoch 1.*trainer\.learning_rate"):
        train(with_rows(on, rows), embedded(40, 2))


def test_a_validation_loss_that_is_not_a_number_stops_it(train: Any) -> None:
    validation = embedded(40, 2)
    rows = rows_of(validation)
    rows[0, 0] = np.inf  # as weights that the last step of an epoch spoilt would answer

    with pytest.raises(TrainingError, match=r"loss is (nan|inf) after epoch 1"):
        train(embedded(40, 1), with_rows(validation, rows))


# --- What it tells ---------------------------------------------------------------------------


def test_each_epoch_is_told(train: Any, caplog: pytest.LogCaptureFixture) -> None:
    _, history = train(embedded(40, 1), embedded(40, 2), epochs=2)

    told = [message for message in caplog.messages if "epochs, head" in message]
    assert [message.split(" epochs")[0] for message in told] == ["1 of 2", "2 of 2"]
    assert f"validation loss {history['val_loss'][1]:.3f}" in told[1]
    assert f"AUC {history['val_auc'][1]:.3f}" in told[1]


def test_tensorboard_can_follow(train: Any, tmp_path: Path) -> None:
    train(embedded(40, 1), embedded(40, 2), epochs=1)

    folders = {path.parent.name for path in (tmp_path / "0" / "logs" / "head").rglob("events.out*")}
    assert folders == {"train", "validation"}


# --- So many steps ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("most", "steps", "epochs"), [(None, 15, 3), (1, 1, 1), (5, 5, 1), (7, 7, 2), (99, 15, 3)]
)
def test_it_takes_so_many_steps_at_most(
    train: Any, monkeypatch: pytest.MonkeyPatch, most: int | None, steps: int, epochs: int
) -> None:
    compiled: list[keras.Model] = []
    compile_model = training._compile

    def keep(model: keras.Model, *args: Any, **options: Any) -> None:
        compile_model(model, *args, **options)
        compiled.append(model)

    monkeypatch.setattr(training, "_compile", keep)

    _, history = train(embedded(40, 1), embedded(20, 2), epochs=3, batch_size=8, max_steps=most)

    assert int(compiled[0].optimizer.iterations) == steps
    assert len(history["val_loss"]) == epochs, "each epoch is judged, and so is a part of one"
