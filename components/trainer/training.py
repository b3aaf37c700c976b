"""The two phases: the head on pooled embeddings, then the unfrozen part of the backbone with it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from components import progress
from components.trainer import imbalance as imbalances
from components.trainer import loop
from components.trainer.batches import Batches, Split
from components.trainer.classifier import STANDARDISE, build_head, build_tail, copy_weights
from components.trainer.devices import on_devices, on_workers
from components.trainer.fitting import History, Phase, auc, fit
from components.trainer.imbalance import Imbalance, balance
from components.trainer.network import Network
from components.trainer.preparation import Prepared
from components.trainer.settings import TrainerSettings
from components.trainer.steps import epochs_within, order_within
from components.trainer.workers import Workers

# Of the channels' mean standard deviation. A channel that is silent on nearly all training images
# would else be blown up: a film that wakes it lies thousands of deviations off.
_LEAST_DEVIATION = 0.01

_PREDICTING_BATCH = 256


@dataclasses.dataclass(frozen=True)
class Workplace:
    """Where a training keeps what it needs beside the data.

    Attributes:
      unfinished: folder of the states that a killed training is taken up from; it tells this
        training from every other by its name.
      log_dir: for TensorBoard.
      workers: that train together, this process being one of them; None where it trains alone.
    """

    unfinished: Path
    log_dir: Path
    workers: Workers | None = None


@dataclasses.dataclass(frozen=True)
class Trained:
    """What training gave; the weights are in the network.

    Attributes:
      head: pooled embeddings to logits.
      imbalance: what was done about the classes.
      phases: Keras' history of each phase, by its name.
      validation_logits: of the validation split, float32 [N, K].
    """

    head: keras.Model
    imbalance: Imbalance
    phases: dict[str, History]
    validation_logits: np.ndarray


def train(
    network: Network,
    training: Prepared,
    validation: Prepared,
    outputs: Sequence[str],
    settings: TrainerSettings,
    workplace: Workplace,
    *,
    start: keras.Model | None = None,
) -> Trained:
    """Both phases, or the first alone where all of the backbone is frozen.

    Args:
      network: where the trained weights go.
      training: the split to learn from.
      validation: the split that stops each phase.
      outputs: the names of what is learnt.
      settings: of the Trainer.
      workplace: where states and logs go.
      start: a head to go on from; by default a new one.

    Raises:
      TrainingError: if the loss is not a number, or, of a single output, a class is missing.
    """
    imbalance = balance(training.index.labels, outputs, settings)
    for name, share, seen in zip(
        outputs, training.index.labels.mean(axis=0), imbalance.frequencies, strict=True
    ):
        logging.info(
            "%s: %.1f %% of the images, %.1f %% in training", name, 100 * share, 100 * seen
        )
    workplace.unfinished.mkdir(parents=True, exist_ok=True)
    head, history = train_head(
        training.embeddings, validation.embeddings, imbalance, settings, workplace, start=start
    )
    phases = {"head": history}
    if network.suffix is None or training.activations is None or validation.activations is None:
        return Trained(head, imbalance, phases, predict_logits(head, validation.embeddings))
    phases["fine-tuning"] = fine_tune(
        network.suffix,
        head,
        training.activations,
        validation.activations,
        imbalance,
        settings,
        workplace,
    )
    tail = build_tail(network.suffix, head)
    logits = predict_logits(tail, validation.activations)
    return Trained(head, imbalance, phases, logits)


def train_head(
    train: Split,
    validation: Split,
    imbalance: Imbalance,
    settings: TrainerSettings,
    workplace: Workplace,
    *,
    start: keras.Model | None = None,
) -> tuple[keras.Model, History]:
    """Train a head on pooled embeddings; keep the weights with the lowest validation loss.

    Args:
      train: rows are embeddings, float32 [n, features].
      validation: likewise.
      imbalance: of the training split.
      settings: of the Trainer.
      workplace: where states and logs go.
      start: a head to go on from, which keeps its standardisation; by default a new one.

    Raises:
      TrainingError: if the loss is not a number.
    """
    keras.utils.set_random_seed(settings.seed)
    embeddings = train.rows(np.arange(len(train)), 0)
    head = build_head(
        embeddings.shape[1],
        units=settings.head.units,
        dropout=settings.head.dropout,
        l2=settings.head.l2,
        outputs=train.labels.shape[1],
    )
    if start is None:
        _standardise(head.get_layer(STANDARDISE), embeddings)
    else:
        copy_weights(start, head)
    phase = Phase(
        name="head",
        epochs=epochs_within(settings.epochs, imbalance, settings),
        patience=settings.patience,
        reduce_lr_on_plateau=settings.reduce_lr_on_plateau,
        setting="trainer.learning_rate",
        state=workplace.unfinished / "head.state",
        log_dir=workplace.log_dir / "head",
    )
    with on_workers(workplace.workers) as placed:
        placed_head = placed(head)
        # A model around it: what is compiled is saved with its loss, which plain Keras knows not.
        trained = keras.Model(placed_head.input, placed_head.output)
        _compile(
            trained,
            keras.optimizers.Adam(settings.learning_rate),
            imbalance,
            settings,
            # A step takes less time than Python needs to ask for it: an epoch is asked for at once.
            steps_per_execution=-(-len(train) // settings.batch_size),
        )
    history = _fit(trained, train, validation, imbalance, settings, phase, workplace)
    if placed_head is not head:
        copy_weights(placed_head, head)
    return head, history


def fine_tune(
    suffix: keras.Model,
    head: keras.Model,
    train: Split,
    validation: Split,
    imbalance: Imbalance,
    settings: TrainerSettings,
    workplace: Workplace,
) -> History:
    """Train the unfrozen part of the backbone together with the head, in place.

    Batch normalisation stays in inference mode: with the statistics of small batches of few films
    it would spoil what it learnt on a million images. Where no epoch has a lower validation loss
    than the trained head alone, the weights stay as they were.

    Args:
      suffix: the unfrozen part: activations, float32 [n, h, w, c], to the backbone's maps.
      head: trained.
      train: rows are activations.
      validation: likewise.
      imbalance: of the training split.
      settings: of the Trainer.
      workplace: where states and logs go.

    Raises:
      TrainingError: if the loss is not a number.
    """
    keras.utils.set_random_seed(settings.seed)
    tail = build_tail(suffix, head)
    suffix.trainable = True
    phase = Phase(
        name="fine-tuning",
        epochs=epochs_within(settings.fine_tuning.epochs, imbalance, settings),
        patience=settings.fine_tuning.patience,
        reduce_lr_on_plateau=settings.reduce_lr_on_plateau,
        setting="trainer.fine_tuning.learning_rate",
        state=workplace.unfinished / "fine_tuning.state",
        log_dir=workplace.log_dir / "fine_tuning",
    )
    before = tail.get_weights()
    with on_devices(settings.devices, workplace.workers) as placed:
        trained = build_tail(placed(suffix), placed(head))
        optimizer: keras.Optimizer = keras.optimizers.Adam(settings.fine_tuning.learning_rate)
        if settings.devices.mixed_precision:
            # Small gradients are zero in float16.
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        _compile(trained, optimizer, imbalance, settings)
    loss_before = _evaluate(trained, Batches(validation, settings.batch_size), workplace)
    history = _fit(trained, train, validation, imbalance, settings, phase, workplace)
    tail.set_weights(trained.get_weights())
    if min(history["val_loss"]) >= loss_before:
        progress.warn(
            f"fine-tuning did not lower the validation loss of {loss_before:.4f}: the backbone "
            "stays as it was"
        )
        tail.set_weights(before)
    return history


def predict_logits(model: keras.Model, split: Split) -> np.ndarray:
    """Logits of every image of a split, float32 [N, K]."""
    return model.predict(Batches(split, _PREDICTING_BATCH), verbose=0)


def _compile(
    model: keras.Model,
    optimizer: keras.Optimizer,
    imbalance: Imbalance,
    settings: TrainerSettings,
    *,
    steps_per_execution: int = 1,
) -> None:
    model.compile(
        optimizer=optimizer,
        loss=imbalances.loss(imbalance, settings),
        metrics=[auc(imbalance.labels.shape[1])],
        steps_per_execution=steps_per_execution,
    )


def _fit(
    model: keras.Model,
    train: Split,
    validation: Split,
    imbalance: Imbalance,
    settings: TrainerSettings,
    phase: Phase,
    workplace: Workplace,
) -> History:
    batches = Batches(
        train,
        settings.batch_size,
        order=lambda epoch: order_within(epoch, imbalance, settings),
        seed=settings.seed,
        first_epoch=phase.first_epoch,
    )
    judged = Batches(validation, settings.batch_size)
    if workplace.workers is None:
        return fit(model, batches, judged, phase)
    return loop.fit(model, batches, judged, phase, workplace.workers)


def _evaluate(model: keras.Model, validation: Batches, workplace: Workplace) -> float:
    """The validation loss."""
    if workplace.workers is None:
        return model.evaluate(validation, verbose=0, return_dict=True)["loss"]
    return loop.evaluate(model, validation, workplace.workers)["loss"]


def _standardise(layer: keras.layers.Normalization, embeddings: np.ndarray) -> None:
    layer.adapt(embeddings)
    deviation = embeddings.std(axis=0)
    least = _LEAST_DEVIATION * deviation.mean()
    layer.adapt_variance.assign(np.maximum(deviation, least) ** 2)
    layer.finalize_state()
