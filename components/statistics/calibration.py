"""How far probabilities keep what they promise."""

from __future__ import annotations

import dataclasses

import numpy as np

from components.statistics.interval import Interval
from components.statistics.proportions import wilson


@dataclasses.dataclass(frozen=True)
class Bin:
    """Images whose probabilities are alike.

    Attributes:
      lower: end of the bin, which it holds.
      upper: end of the bin, which it does not hold unless it is 1.
      n: images.
      mean_probability: what is promised of them.
      positives: what they show: the share with the finding, by Wilson.
    """

    lower: float
    upper: float
    n: int
    mean_probability: float
    positives: Interval


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The mean squared distance of probability and label (Brier 1950, of the positive class).

    Args:
      probabilities: float [N] on [0, 1].
      labels: int [N], 0 or 1.

    Raises:
      ValueError: without an image.
    """
    if not len(probabilities):
        raise ValueError("the Brier score of no image")
    return float(np.mean((np.asarray(probabilities, np.float64) - labels) ** 2))


def reliability(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = 10, level: float = 0.95
) -> list[Bin]:
    """What a reliability diagram shows: promise and truth in bins of equal width.

    The bins are those of the expected calibration error, which is the mean distance of the two
    over them, weighted with their images.

    Args:
      probabilities: float [N] on [0, 1].
      labels: int [N], 0 or 1.
      bins: how many the unit interval is cut into.
      level: of confidence.

    Returns:
      Those that hold an image, rising.
    """
    exact, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    which = np.minimum((exact * bins).astype(int), bins - 1)
    return [
        Bin(
            lower=k / bins,
            upper=(k + 1) / bins,
            n=int(inside.sum()),
            mean_probability=float(exact[inside].mean()),
            positives=wilson(int(labels[inside].sum()), int(inside.sum()), level),
        )
        for k in np.unique(which).tolist()
        for inside in [which == k]
    ]
