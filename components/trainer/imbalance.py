"""What is done about classes of unlike size, and what that does to the scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from components import progress
from components.errors import InputError
from components.trainer.settings import TrainerSettings


class TrainingError(InputError):
    """The data or the settings do not allow a training."""


@dataclasses.dataclass(frozen=True)
class Imbalance:
    """How much each image and each class counts in training.

    Attributes:
      method: its name in the settings.
      chance: float64 [N], how often an epoch is expected to draw each training image.
      weights: float64 [2, K], what an error on a negative and on a positive costs, per output.
      labels: [N, K], of the training images.
    """

    method: str
    chance: np.ndarray
    weights: np.ndarray
    labels: np.ndarray

    def order(self, seed: int, epoch: int) -> np.ndarray:
        """The images of an epoch, shuffled: indices, int64 [n]."""
        rng = np.random.default_rng([seed, epoch])
        count = len(self.chance)
        if self.method == "downsample":
            certain = np.flatnonzero(self.chance >= 1)
            others = np.flatnonzero(self.chance < 1)
            drawn = rng.choice(others, round(self.chance[others].sum()), replace=False)
            return rng.permutation(np.concatenate([certain, drawn]))
        if self.method == "oversample":
            again = self.chance - 1
            extra = round(again.sum())
            drawn = rng.choice(count, extra, p=again / again.sum()) if extra else []
            return rng.permutation(np.concatenate([np.arange(count), drawn]).astype(np.int64))
        return rng.permutation(count)

    @property
    def frequencies(self) -> np.ndarray:
        """The share of positives that training sees after drawing and weighing: float64 [K]."""
        positive, negative = self._masses
        total = positive + negative
        return np.divide(positive, total, out=np.zeros_like(total), where=total > 0)

    @property
    def prior_shift(self) -> np.ndarray:
        """What drawing and weighing add to the log-odds that an ideal network learns: float64 [K].

        The log of the positives' odds in training over those in the data (Elkan 2001, "The
        foundations of cost-sensitive learning", theorem 2). Zero for an output that has no
        positives or no negatives.
        """
        counts = self.labels.sum(axis=0)
        both = (counts > 0) & (counts < len(self.labels))
        positive, negative = (np.where(both, mass, 1.0) for mass in self._masses)
        actual = np.where(both, counts, 1.0) / np.where(both, len(self.labels) - counts, 1.0)
        return np.where(both, np.log(positive / negative) - np.log(actual), 0.0)

    @property
    def _masses(self) -> tuple[np.ndarray, np.ndarray]:
        positive = self.weights[1] * (self.chance @ self.labels)
        return positive, self.weights[0] * (self.chance @ (1 - self.labels))


def balance(labels: np.ndarray, names: Sequence[str], settings: TrainerSettings) -> Imbalance:
    """What the settings ask for, worked out for a training split.

    For one output, `oversample` draws the rarer class as often as the other, and `downsample`
    the more frequent one as seldom. For several, an image is drawn as often as its rarest finding
    asks for, and those without any finding are what is drawn less.

    Args:
      labels: [N, K], 0 or 1.
      names: of the K outputs.
      settings: of the Trainer.

    Raises:
      TrainingError: if no output has images of both classes.
    """
    count, outputs = labels.shape
    positives = labels.sum(axis=0)
    negatives = count - positives
    missing = [
        name for name, n in zip(names, np.minimum(positives, negatives), strict=True) if not n
    ]
    if missing and outputs == 1:
        present = "without" if negatives[0] else "with"
        raise TrainingError(
            f"all {count} images to train on are {present} {names[0]}: there is nothing to tell "
            "apart; give the training split images of both classes"
        )
    if len(missing) == outputs:
        raise TrainingError(
            f"none of the {outputs} findings is on some of the {count} images to train on and not "
            "on others: there is nothing to tell apart"
        )
    if missing:
        progress.warn(f"no two classes to learn from in the training split: {', '.join(missing)}")
    chance = np.ones(count)
    if settings.imbalance in ("oversample", "downsample"):
        chance = _chances(labels, settings.imbalance)
    weights = np.ones((2, outputs))
    if settings.imbalance == "class_weight":
        # N / (2 n), so that both classes count alike and the loss keeps its level.
        weights = count / (2 * np.maximum([negatives, positives], 1))
        weights[:, np.minimum(positives, negatives) == 0] = 1
    if settings.imbalance == "focal":
        weights = np.repeat([[1 - settings.focal.alpha], [settings.focal.alpha]], outputs, axis=1)
    return Imbalance(settings.imbalance, chance, weights, labels.astype(np.float64))


def loss(imbalance: Imbalance, settings: TrainerSettings) -> Callable[..., tf.Tensor]:
    """Weighed binary cross-entropy of logits, as focal loss where that is asked for.

    Focal loss (Lin et al. 2017, arXiv:1708.02002, equation 5) with gamma 0 is the weighed
    cross-entropy, so that one function says both.

    Returns:
      A function of labels and logits, float32 [N, K], to losses, float32 [N].
    """
    negative, positive = (tf.constant(row, tf.float32) for row in imbalance.weights)
    gamma = settings.focal.gamma if settings.imbalance == "focal" else 0.0

    def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        labels, logits = tf.cast(labels, tf.float32), tf.cast(logits, tf.float32)
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels, logits)
        if gamma:
            # To the log of the probability that was given to the wrong class: of a sure answer's
            # own probability, a power below 1 has no gradient.
            wrong = tf.math.log_sigmoid(logits * (1 - 2 * labels))
            each *= tf.exp(gamma * wrong)
        return keras.ops.mean(each * (labels * positive + (1 - labels) * negative), axis=-1)

    return cross_entropy


def _chances(labels: np.ndarray, method: str) -> np.ndarray:
    outputs = labels.shape[1]
    any_finding = labels.any(axis=1)
    if method == "downsample":
        n_positive, n_negative = any_finding.sum(), (~any_finding).sum()
        rare = min(n_positive, n_negative)
        shares = np.where(any_finding, rare / max(n_positive, 1), rare / max(n_negative, 1))
        # A frequent class of findings is never thinned out: it may hold the rare ones.
        return np.where(any_finding, 1.0, shares) if outputs > 1 else shares
    # Each group (a finding, or none) as often as the largest.
    groups = np.column_stack([labels, ~any_finding]).astype(bool)
    sizes = np.maximum(groups.sum(axis=0), 1)
    return np.max(np.where(groups, sizes.max() / sizes, 1.0), axis=1)
