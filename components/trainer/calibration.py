"""From scores to probabilities, and from a probability to a decision. Both fitted on validation.

Class weights, dropout and early stopping distort a network's scores; Platt scaling mends their
level and spread with two numbers. The operating point is the threshold whose sensitivity on
validation meets a target.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

# With fewer cases of a class, two fitted numbers would be noise.
_FEWEST = 5


@dataclasses.dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope * logit + intercept).

    Attributes:
      slope: of the line.
      intercept: of the line.
      method: `platt`, or `none` with the reason.
    """

    slope: float
    intercept: float
    method: str

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Logits, float [N], to probabilities, float32 [N]."""
        return expit(self.slope * logits + self.intercept).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The probability from which on the decision is pneumonia.

    Attributes:
      threshold: on [0, 1].
      chosen_by: how it was found.
      sensitivity: on validation; None without positives.
      specificity: on validation; None without negatives.
      positives: validation images with pneumonia.
      negatives: validation images without.
    """

    threshold: float
    chosen_by: str
    sensitivity: float | None
    specificity: float | None
    positives: int
    negatives: int


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Platt scaling (Platt 1999), with his smoothed targets, so that it stays finite.

    Args:
      logits: float [N].
      labels: int [N], 0 or 1.
    """
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    if min(positives, negatives) < _FEWEST:
        reason = f"none: validation has {positives} positives and {negatives} negatives"
        return Calibration(1.0, 0.0, reason)
    # A target between 0 and 1 is the same image counted on both sides, with weights.
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    line = LogisticRegression(C=np.inf)
    line.fit(
        np.concatenate([logits, logits])[:, None],
        np.repeat([1, 0], len(logits)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
    if slope <= 0:
        return Calibration(1.0, 0.0, "none: scores do not rise with the label on validation")
    return Calibration(slope, intercept, "platt")


def choose_operating_point(
    probabilities: np.ndarray, labels: np.ndarray, target_sensitivity: float
) -> OperatingPoint:
    """The highest threshold that finds the target's share of the positives.

    It lies half way to the next lower probability, so that rounding cannot move an image across.

    Args:
      probabilities: float [N].
      labels: int [N], 0 or 1.
      target_sensitivity: on (0, 1).
    """
    positive = np.sort(probabilities[labels == 1])[::-1]
    negative = probabilities[labels == 0]
    if not len(positive) or not len(negative):
        threshold, chosen_by = 0.5, "0.5: validation lacks a class"
    else:
        needed = math.ceil(round(target_sensitivity * len(positive), 6))  # 0.56 * 25 > 14
        lowest_found = positive[needed - 1]
        below = probabilities[probabilities < lowest_found]
        next_lower = below.max() if len(below) else 0.0
        threshold = float((lowest_found + next_lower) / 2)
        chosen_by = f"sensitivity {target_sensitivity:g} on validation"
    return OperatingPoint(
        threshold=threshold,
        chosen_by=chosen_by,
        sensitivity=float(np.mean(positive >= threshold)) if len(positive) else None,
        specificity=float(np.mean(negative < threshold)) if len(negative) else None,
        positives=len(positive),
        negatives=len(negative),
    )
