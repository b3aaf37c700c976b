"""Keras' fit for several workers, each on its share of every batch.

Keras 3 cannot fit under MultiWorkerMirroredStrategy (keras-team/keras#20585). This loop calls the
same callbacks with the same figures. What decides is worked out by each worker from what all of
them gathered, so that all decide alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

from components.trainer.batches import Batches
from components.trainer.fitting import Course, History, Phase, auc
from components.trainer.workers import Workers

_Share = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
# To the loss of the whole batch, and the logits of all shares.
_Step = Callable[[_Share], tuple[tf.Tensor, tf.Tensor]]


def fit(
    model: keras.Model, train: Batches, validation: Batches, phase: Phase, workers: Workers
) -> History:
    """Train until the validation loss stops falling, and keep the best weights.

    A step's gradient is that of the mean loss over the whole batch, as on one device.

    Args:
      model: built and compiled in the workers' scope, with a loss of [N, K] to [N]. Batch
        normalisation in it must be in inference mode: each worker sees its share alone.
      train: from the phase's first epoch on; the same on all workers.
      validation: what stops it.
      phase: how long, and where the chief keeps the state; all workers read it there.
      workers: that train together.

    Returns:
      Keras' history, as of `fitting.fit`.

    Raises:
      TrainingError: if the loss is not a number, or the workers do not begin alike.
    """
    course = Course(phase, writes=workers.is_chief)
    workers.agree([course.first_epoch, len(train), len(validation)])
    if course.is_over(model):
        return course.history
    with workers.strategy.scope():
        model.optimizer.build(model.trainable_variables)
    step, judge = _training_step(model, workers), _judging_step(model, workers)
    model.stop_training = False
    callbacks = keras.callbacks.CallbackList(course.callbacks, model=model)
    callbacks.on_train_begin()
    for epoch in range(course.first_epoch, phase.epochs):
        callbacks.on_epoch_begin(epoch)
        # As Keras' fit, which looks at some batches, and then goes on, before it begins: so both
        # see the same images in the same order.
        train.on_epoch_end()
        logs = _run(step, train, workers)
        judged = _run(judge, validation, workers)
        logs |= {f"val_{name}": value for name, value in judged.items()}
        callbacks.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    callbacks.on_train_end()
    return course.history


def evaluate(model: keras.Model, batches: Batches, workers: Workers) -> dict[str, float]:
    """The loss and the AUC of a split, the same on all workers.

    Args:
      model: as of `fit`.
      batches: the split.
      workers: that each take their share.
    """
    return _run(_judging_step(model, workers), batches, workers)


def _training_step(model: keras.Model, workers: Workers) -> _Step:
    def step(rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model(rows, training=True)
            loss = _loss(model, labels, logits, weights, workers)
        gradients = tape.gradient(loss, model.trainable_variables)
        # The optimizer adds up the gradients of all workers.
        model.optimizer.apply(gradients, model.trainable_variables)
        return loss, logits

    return _on_all(step, workers)


def _judging_step(model: keras.Model, workers: Workers) -> _Step:
    def step(rows: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = model(rows, training=False)
        return _loss(model, labels, logits, weights, workers), logits

    return _on_all(step, workers)


def _loss(
    model: keras.Model,
    labels: tf.Tensor,
    logits: tf.Tensor,
    weights: tf.Tensor,
    workers: Workers,
) -> tf.Tensor:
    """This worker's part of the batch's loss; weight decay is divided among them."""
    return tf.reduce_sum(weights * model.loss(labels, logits)) + (
        tf.add_n([tf.zeros([]), *model.losses]) / workers.count
    )


def _on_all(step: Callable[..., tuple[tf.Tensor, tf.Tensor]], workers: Workers) -> _Step:
    """The step on every worker: the loss of the whole batch, and the logits of all shares."""

    def replica(*share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        context = tf.distribute.get_replica_context()
        loss, logits = step(*share)
        return context.all_reduce("SUM", loss), context.all_gather(logits, axis=0)

    return tf.function(lambda share: workers.strategy.run(replica, share))


def _run(step: _Step, batches: Batches, workers: Workers) -> dict[str, float]:
    """One epoch: the loss and the AUC of all its images."""
    losses, logits = [], []
    for number, share in enumerate(_shares(batches, workers)):
        with workers.waiting():
            loss, gathered = step(share)
            losses.append(float(loss))
            shares = gathered.numpy().reshape(workers.count, -1, gathered.shape[-1])
        logits.append(batches.together(number, shares))
    return {
        "auc": _auc(batches.labels, np.concatenate(logits)),
        "loss": float(np.average(losses, weights=[len(one) for one in logits])),
    }


def _shares(batches: Batches, workers: Workers) -> Iterator[_Share]:
    """This worker's share of each batch, read while the one before is trained on."""

    def share(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return batches.share(number, workers.index, workers.count)

    dataset = tf.data.Dataset.from_generator(
        lambda: map(share, range(len(batches))),
        output_signature=tuple(tf.TensorSpec(one.shape, one.dtype) for one in share(0)),
    )
    return iter(dataset.prefetch(2))


def _auc(labels: np.ndarray, logits: np.ndarray) -> float:
    metric = auc(labels.shape[1])
    metric.update_state(labels, logits)
    return float(metric.result())
