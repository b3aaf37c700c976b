"""Figures out of counts, which are not a number where the images do not define them.

TFMA's own say 0 or 1 there: an AUC of 0 on images of one class, an F1 of 0 without positives.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike


@dataclasses.dataclass(frozen=True)
class Confusion:
    """Images by what they show and what was decided."""

    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float

    @property
    def positives(self) -> float:
        """Images with the finding."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> float:
        """Images without."""
        return self.true_negatives + self.false_positives


def sensitivity(counts: Confusion) -> float:
    """The share of positives that were found."""
    return _ratio(counts.true_positives, counts.positives)


def specificity(counts: Confusion) -> float:
    """The share of negatives that were cleared."""
    return _ratio(counts.true_negatives, counts.negatives)


def ppv(counts: Confusion) -> float:
    """Positive predictive value at the images' own prevalence, which takes both classes."""
    if not _both(counts):
        return math.nan
    return _ratio(counts.true_positives, counts.true_positives + counts.false_positives)


def npv(counts: Confusion) -> float:
    """Negative predictive value, likewise."""
    if not _both(counts):
        return math.nan
    return _ratio(counts.true_negatives, counts.true_negatives + counts.false_negatives)


def f1(counts: Confusion) -> float:
    """Harmonic mean of PPV and sensitivity; 0 where no positive was found."""
    if not _both(counts):
        return math.nan
    wrong = counts.false_positives + counts.false_negatives
    return _ratio(2 * counts.true_positives, 2 * counts.true_positives + wrong)


def balanced_accuracy(counts: Confusion) -> float:
    """Mean of sensitivity and specificity."""
    return (sensitivity(counts) + specificity(counts)) / 2


AT_OPERATING_POINT: Mapping[str, Callable[[Confusion], float]] = {
    "sensitivity": sensitivity,
    "specificity": specificity,
    "ppv": ppv,
    "npv": npv,
    "f1": f1,
    "balanced_accuracy": balanced_accuracy,
    "positives": lambda counts: counts.positives,
    "negatives": lambda counts: counts.negatives,
    "true_positives": lambda counts: counts.true_positives,
    "false_positives": lambda counts: counts.false_positives,
    "true_negatives": lambda counts: counts.true_negatives,
    "false_negatives": lambda counts: counts.false_negatives,
}


def auc(true_positives: ArrayLike, false_positives: ArrayLike) -> float:
    """Area under the ROC curve, by trapezoids.

    Args:
      true_positives: by rising threshold, the first of which is below every score.
      false_positives: likewise.
    """
    found, alarms = np.asarray(true_positives, float), np.asarray(false_positives, float)
    if not found[0] or not alarms[0]:
        return math.nan
    return float(-np.trapezoid(found / found[0], alarms / alarms[0]))


def average_precision(true_positives: ArrayLike, false_positives: ArrayLike) -> float:
    """Area under the precision-recall curve, in steps: sum of precision times gain in recall.

    Args:
      true_positives: by rising threshold, the first of which is below every score.
      false_positives: likewise.
    """
    found, alarms = np.asarray(true_positives, float), np.asarray(false_positives, float)
    if not found[0] or not alarms[0]:
        return math.nan
    called = found + alarms
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    gains = found - np.append(found[1:], 0)
    return float(np.sum(precision * gains) / found[0])


OVER_THRESHOLDS: Mapping[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "auc": auc,
    "average_precision": average_precision,
}


def mean_of_defined(values: Sequence[float]) -> float:
    """The mean of those that are numbers, if any is."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _both(counts: Confusion) -> bool:
    return bool(counts.positives and counts.negatives)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
