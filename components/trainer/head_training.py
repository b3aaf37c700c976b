"""Training the head on embeddings."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np

from components import progress
from components.errors import InputError
from components.trainer.classifier import STANDARDISE, build_head
from components.trainer.settings import TrainerSettings

# Of the channels' mean standard deviation. A channel that is silent on nearly all training images
# would else be blown up: a film that wakes it lies thousands of deviations off.
_LEAST_DEVIATION = 0.01


class TrainingError(InputError):
    """The data or the settings do not allow a training."""


@dataclasses.dataclass(frozen=True)
class Embedded:
    """A split, embedded.

    Attributes:
      embeddings: float32 [N, features].
      labels: int64 [N], 0 or 1.
      digest: of the images' contents.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    digest: str = ""


def balanced_class_weights(labels: np.ndarray) -> dict[int, float]:
    """Weights that let both classes count alike: N / (2 * n of the class).

    Args:
      labels: int [N], 0 or 1.

    Raises:
      TrainingError: if a class is missing.
    """
    counts = np.bincount(labels, minlength=2)
    if not counts.all():
        missing = int(np.argmin(counts))
        raise TrainingError(f"no image of class {missing} among {len(labels)} to train on")
    return {label: len(labels) / (2 * int(count)) for label, count in enumerate(counts)}


def train_head(
    train: Embedded, validation: Embedded, settings: TrainerSettings, log_dir: Path
) -> tuple[keras.Model, keras.callbacks.History]:
    """Train a head until the validation loss stops falling; keep its best weights.

    Args:
      train: what it learns from.
      validation: what stops it.
      settings: of the Trainer.
      log_dir: for TensorBoard.

    Raises:
      TrainingError: if a class is missing, or the loss is not a number.
    """
    keras.utils.set_random_seed(settings.seed)
    weights = balanced_class_weights(train.labels)
    head = build_head(
        train.embeddings.shape[1],
        units=settings.head.units,
        dropout=settings.head.dropout,
        l2=settings.head.l2,
    )
    _standardise(head.get_layer(STANDARDISE), train.embeddings)
    head.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
        metrics=[keras.metrics.AUC(from_logits=True, name="auc")],
    )
    history = head.fit(
        train.embeddings,
        train.labels,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        validation_data=(validation.embeddings, validation.labels),
        class_weight=weights if settings.imbalance == "class_weight" else None,
        callbacks=_callbacks(settings, log_dir),
        verbose=0,
    )
    return head, history


def _standardise(layer: keras.layers.Normalization, embeddings: np.ndarray) -> None:
    layer.adapt(embeddings)
    deviation = embeddings.std(axis=0)
    least = _LEAST_DEVIATION * deviation.mean()
    layer.adapt_variance.assign(np.maximum(deviation, least) ** 2)
    layer.finalize_state()


def _callbacks(settings: TrainerSettings, log_dir: Path) -> list[keras.callbacks.Callback]:
    callbacks = [
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.patience, restore_best_weights=True
        ),
        keras.callbacks.TensorBoard(log_dir, write_graph=False),
        _Report(settings.epochs),
    ]
    if settings.reduce_lr_on_plateau:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                monitor="val_loss", factor=0.5, patience=max(1, settings.patience // 2)
            )
        )
    return callbacks


class _Report(keras.callbacks.Callback):
    """Tells each epoch's figures, and stops at a loss that is not a number."""

    def __init__(self, epochs: int):
        super().__init__()
        self._epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        if not np.isfinite(logs["loss"]):
            raise TrainingError(
                f"the loss is {logs['loss']} after epoch {epoch + 1}: lower "
                "trainer.learning_rate, or look for broken images"
            )
        figures = f"loss {logs['loss']:.3f}, validation AUC {logs['val_auc']:.3f}"
        progress.report(epoch + 1, self._epochs, f"epochs: {figures}")
