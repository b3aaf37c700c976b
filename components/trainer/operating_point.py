"""From a probability to a decision: the threshold, chosen on validation."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from components.trainer import settings

# With fewer images of a class, a rate of that class says nothing.
_FEWEST = 5


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """The probability from which on the decision is positive.

    Attributes:
      threshold: on [0, 1].
      chosen_by: how it was found; and why so, where it was to be found otherwise.
      sensitivity: on validation; None without positives.
      specificity: on validation; None without negatives.
      positives: validation images with the finding.
      negatives: validation images without.
      as_asked: whether it was found in the way that was asked for.
    """

    threshold: float
    chosen_by: str
    sensitivity: float | None
    specificity: float | None
    positives: int
    negatives: int
    as_asked: bool = True


def choose_operating_point(
    probabilities: np.ndarray, labels: np.ndarray, how: settings.OperatingPoint
) -> OperatingPoint:
    """Choose the threshold of one output.

    `sensitivity` takes the highest threshold that finds the target's share of the positives;
    `youden` the one with the largest J = sensitivity + specificity - 1 (Youden 1950), the lowest
    of several, since a missed pneumonia costs more than a second look. Either lies half way
    between two probabilities, so that rounding cannot move an image across. `fixed` is as given;
    and so is the threshold, visibly, where validation has too few images to choose by:

    - a sensitivity of s needs 1 / (1 - s) positives (10 for 0.9). Below, its target allows not one
      miss, and the threshold would hang on the single lowest positive;
    - at least 5 images of each class that the method looks at.

    Args:
      probabilities: float [N], calibrated.
      labels: int [N], 0 or 1.
      how: method, target and the fixed threshold.
    """
    exact = np.asarray(probabilities, np.float64)
    positive, negative = np.sort(exact[labels == 1]), np.sort(exact[labels == 0])
    lacking = _lacking(len(positive), len(negative), how)
    if lacking or how.method == "fixed":
        threshold, chosen_by = how.threshold, f"a fixed threshold of {how.threshold:g}"
        if lacking:
            chosen_by += f", since {lacking}"
    else:
        candidates = _candidates(exact)
        sensitivity, specificity = _rates(positive, negative, candidates)
        if how.method == "youden":
            best = np.argmax(sensitivity + specificity)
            chosen_by = "Youden's index on validation"
        else:
            # Falling with the threshold. 14 / 25 must reach 0.56, however they are rounded.
            best = np.flatnonzero(sensitivity >= how.sensitivity - 1e-9)[-1]
            chosen_by = f"sensitivity {how.sensitivity:g} on validation"
        threshold = float(candidates[best])
    return OperatingPoint(
        threshold=threshold,
        chosen_by=chosen_by,
        sensitivity=float(np.mean(positive >= threshold)) if len(positive) else None,
        specificity=float(np.mean(negative < threshold)) if len(negative) else None,
        positives=len(positive),
        negatives=len(negative),
        as_asked=not lacking,
    )


def _lacking(positives: int, negatives: int, how: settings.OperatingPoint) -> str | None:
    """Why the method cannot be followed."""
    if how.method == "sensitivity":
        needed = max(_FEWEST, math.ceil(round(1 / (1 - how.sensitivity), 6)))  # 1 / (1 - 0.9) > 10
        if positives < needed:
            return (
                f"validation has {positives} positives, and a sensitivity of "
                f"{how.sensitivity:g} takes {needed}"
            )
    if how.method == "youden" and min(positives, negatives) < _FEWEST:
        return (
            f"validation has {positives} positives and {negatives} negatives, and Youden's "
            f"index takes {_FEWEST} of each"
        )
    return None


def _candidates(probabilities: np.ndarray) -> np.ndarray:
    """Thresholds that tell the probabilities apart, rising; the first is below all of them."""
    distinct = np.unique(probabilities)
    return (distinct + np.concatenate([[0.0], distinct[:-1]])) / 2


def _rates(
    positive: np.ndarray, negative: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and specificity at each threshold; either class sorted."""
    sensitivity = 1 - np.searchsorted(positive, thresholds) / len(positive)
    specificity = np.searchsorted(negative, thresholds) / max(1, len(negative))
    return sensitivity, specificity
