"""One phase of training: Keras' fit, told to its user, and taken up again where it was killed."""

from __future__ import annotations

import dataclasses
import os
import pickle
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from components import progress
from components.trainer.batches import Batches
from components.trainer.imbalance import TrainingError

# What Keras' callbacks know beyond the model: attributes of theirs, by class.
_MEMORY = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch", "best_weights"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.History: ("epoch", "history"),
}

History = dict[str, list[float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One training of one model.

    Attributes:
      name: in words, for who watches.
      epochs: at most so many.
      patience: epochs without a better validation loss before it stops.
      reduce_lr_on_plateau: halve the learning rate after half the patience without progress.
      setting: the learning rate's, to name in an error.
      state: a file of its own, to take a killed training up again.
      log_dir: for TensorBoard.
    """

    name: str
    epochs: int
    patience: int
    reduce_lr_on_plateau: bool
    setting: str
    state: Path
    log_dir: Path

    @property
    def first_epoch(self) -> int:
        """Where a training begins: after what a killed one had done."""
        return _load(self.state)["epoch"] + 1 if self.state.exists() else 0


def auc(outputs: int) -> keras.metrics.AUC:
    """The metric of logits, float32 [N, outputs]: for several outputs, the mean of theirs."""
    several = {"multi_label": True, "num_labels": outputs} if outputs > 1 else {}
    return keras.metrics.AUC(from_logits=True, name="auc", **several)


class Course:
    """What decides, keeps and tells how a phase goes: Keras' callbacks, whoever calls them."""

    def __init__(self, phase: Phase, *, writes: bool = True):
        """Open the state of a killed training, if there is one.

        Args:
          phase: how long, and where the state is kept.
          writes: keep the state and TensorBoard's logs.
        """
        self.first_epoch = phase.first_epoch
        self._stopping = keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=phase.patience, restore_best_weights=True
        )
        deciding: list[keras.callbacks.Callback] = [self._stopping]
        if phase.reduce_lr_on_plateau:
            deciding.append(
                keras.callbacks.ReduceLROnPlateau(
                    monitor="val_loss", factor=0.5, patience=max(1, phase.patience // 2)
                )
            )
        self._history = keras.callbacks.History()
        self._memory = _Memory(phase.state, [*deciding, self._history], writes=writes)
        self._done = self._memory.finished or self.first_epoch >= phase.epochs
        self.callbacks = [*deciding, self._history, _Report(phase)]
        if writes:
            self.callbacks.append(keras.callbacks.TensorBoard(phase.log_dir, write_graph=False))
        # The memory comes last: it keeps what the others made of an epoch.
        self.callbacks.append(self._memory)

    @property
    def history(self) -> History:
        """Each metric by epoch, those of a killed training included."""
        return self._history.history

    def is_over(self, model: keras.Model) -> bool:
        """Whether the training that was killed had come to its end; the model then has its weights.

        Args:
          model: compiled.
        """
        if self._done:
            self._memory.restore(model)
            model.set_weights(self._stopping.best_weights)
        return self._done


def fit(model: keras.Model, train: Batches, validation: Batches, phase: Phase) -> History:
    """Train until the validation loss stops falling, and keep the best weights.

    Args:
      model: compiled, with an AUC named `auc`.
      train: from the phase's first epoch on.
      validation: what stops it.
      phase: how long, and where the state is kept.

    Returns:
      Keras' history: each metric by epoch, those of a killed training included.

    Raises:
      TrainingError: if the loss is not a number.
    """
    course = Course(phase)
    if not course.is_over(model):
        model.fit(
            train,
            validation_data=validation,
            initial_epoch=course.first_epoch,
            epochs=phase.epochs,
            # Their order is the batches' own.
            shuffle=False,
            callbacks=course.callbacks,
            verbose=0,
        )
    return course.history


class _Memory(keras.callbacks.Callback):
    """Keeps, after each epoch, all that decides how training goes on.

    Keras' own BackupAndRestore keeps model and optimizer alone: taken up again, early stopping
    and the learning rate's schedule would begin anew, and the result would be another.
    """

    def __init__(self, file: Path, others: list[keras.callbacks.Callback], *, writes: bool):
        super().__init__()
        self._file = file
        self._writes = writes
        self._others = others
        self._state: dict[str, Any] | None = _load(file) if file.exists() else None

    @property
    def finished(self) -> bool:
        """Whether training had stopped by itself."""
        return self._state is not None and self._state["finished"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        if self._state is not None:
            self.restore(self.model)

    def restore(self, model: keras.Model) -> None:
        """Put everything back."""
        assert self._state is not None
        _assign(model.variables, self._state["model"])
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
        _assign(model.optimizer.variables, self._state["optimizer"])
        for callback, attributes in zip(self._others, self._state["callbacks"], strict=True):
            vars(callback).update(attributes)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if not self._writes:
            return
        state = {
            "epoch": epoch,
            "finished": self.model.stop_training,
            "model": [np.asarray(value) for value in self.model.variables],
            "optimizer": [np.asarray(value) for value in self.model.optimizer.variables],
            "callbacks": [
                {name: getattr(callback, name) for name in _MEMORY[type(callback)]}
                for callback in self._others
            ],
        }
        aside = self._file.with_suffix(f".{os.getpid()}.tmp")
        with aside.open("wb") as file:
            pickle.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(self._file)


class _Report(keras.callbacks.Callback):
    """Tells each epoch's figures, and stops at a loss that is not a number."""

    def __init__(self, phase: Phase):
        super().__init__()
        self._phase = phase

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._start, self._done = time.monotonic(), 0

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        logs = logs or {}
        # The last step of an epoch may spoil the weights: only validation sees them after it.
        loss = logs["loss"] if not np.isfinite(logs["loss"]) else logs["val_loss"]
        if not np.isfinite(loss):
            raise TrainingError(
                f"{self._phase.name}: the loss is {loss} after epoch {epoch + 1}: lower "
                f"{self._phase.setting}, or look for broken images"
            )
        self._done += 1
        left = (self._phase.epochs - epoch - 1) * (time.monotonic() - self._start) / self._done
        figures = (
            f"loss {logs['loss']:.3f}, validation loss {logs['val_loss']:.3f}, "
            f"AUC {logs['val_auc']:.3f}; at most {_duration(left)} left"
        )
        progress.report(epoch + 1, self._phase.epochs, f"epochs, {self._phase.name}: {figures}")


def _load(file: Path) -> dict[str, Any]:
    with file.open("rb") as state:
        return pickle.load(state)


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
