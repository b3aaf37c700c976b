"""ROC and precision-recall curves of scores, the areas under them, and how sure these are."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import rankdata

from components.statistics.interval import Interval

# With fewer images of a class, DeLong's variance of an area is too unsure to build on.
_FEWEST = 10

# Of intervals, as `Interval.method` names them.
DELONG, NEWCOMBE = "DeLong", "Newcombe"


class OneClassError(ValueError):
    """A figure that takes images with a finding and images without."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One AUC minus another.

    Attributes:
      difference: with its interval.
      p_value: two-sided, of no difference.
    """

    difference: Interval
    p_value: float


@dataclasses.dataclass(frozen=True, eq=False)
class RocPoints:
    """An empirical ROC curve: from (0, 0), where no image is positive, to (1, 1).

    Attributes:
      thresholds: float [T], falling, the first infinite; a score at or above one is positive.
      false_positive_rate: float [T], 1 - specificity at each threshold, rising.
      sensitivity: float [T], rising.
    """

    thresholds: np.ndarray
    false_positive_rate: np.ndarray
    sensitivity: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class PrecisionRecallPoints:
    """An empirical precision-recall curve, from the highest score on.

    Attributes:
      thresholds: float [T], falling; a score at or above one is positive.
      recall: float [T], rising to 1.
      precision: float [T], at each threshold.
    """

    thresholds: np.ndarray
    recall: np.ndarray
    precision: np.ndarray


# --- Areas and curves ------------------------------------------------------------------------


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve.

    It is the share of pairs of a positive and a negative of which the positive has the higher
    score, where equal scores count for a half (Mann and Whitney 1947, Bamber 1975).

    Args:
      labels: int [N], 0 or 1.
      scores: float [N], of whichever scale.

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    positive, negative = _by_class(labels, scores)
    positive, negative = np.sort(positive), np.sort(negative)  # either: it is faster in order
    # Ties are among those that are at most as high, and not among those below.
    below = np.searchsorted(negative, positive, "left")
    at_most = np.searchsorted(negative, positive, "right")
    return float((below + at_most).sum() / (2 * len(positive) * len(negative)))


def macro_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """The mean of several outputs' AUCs, over those that have both classes.

    Args:
      labels: int [N, K], 0 or 1.
      scores: float [N, K].

    Raises:
      OneClassError: if no output has both classes.
      ValueError: if a score is nan.
    """
    positives = np.count_nonzero(labels, axis=0)
    defined = np.flatnonzero((positives > 0) & (positives < len(labels)))
    if not len(defined):
        raise OneClassError("no output has images of both classes")
    return float(np.mean([auc(labels[:, k], scores[:, k]) for k in defined]))


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the precision-recall curve, as a sum of steps.

        AP = sum over thresholds t of (recall_t - recall_(t-1)) * precision_t

    It is not interpolated: the line between two points of this curve cannot be reached (Davis and
    Goadrich 2006). What chance reaches is the share of positives.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    points = precision_recall_points(labels, scores)
    return float(np.sum(np.diff(points.recall, prepend=0.0) * points.precision))


def roc_points(labels: np.ndarray, scores: np.ndarray) -> RocPoints:
    """The ROC curve, with a point for each distinct score.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    thresholds, true_positives, false_positives = _counts(labels, scores)
    return RocPoints(
        thresholds=np.concatenate([[np.inf], thresholds]),
        false_positive_rate=np.concatenate([[0.0], false_positives / false_positives[-1]]),
        sensitivity=np.concatenate([[0.0], true_positives / true_positives[-1]]),
    )


def precision_recall_points(labels: np.ndarray, scores: np.ndarray) -> PrecisionRecallPoints:
    """The precision-recall curve, with a point for each distinct score.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    thresholds, true_positives, false_positives = _counts(labels, scores)
    return PrecisionRecallPoints(
        thresholds=thresholds,
        recall=true_positives / true_positives[-1],
        precision=true_positives / (true_positives + false_positives),
    )


# --- Intervals -------------------------------------------------------------------------------


def auc_interval(labels: np.ndarray, scores: np.ndarray, level: float = 0.95) -> Interval:
    """The AUC with DeLong's interval, for images of as many patients.

    The variance is that of DeLong, DeLong and Clarke-Pearson (1988), by the midranks of Sun and Xu
    (2014), in O(N log N). The interval is symmetric on the logit scale (Pepe 2003, section 5.2.3;
    Qin and Hotilovac 2008), which keeps it within (0, 1) and covers better near 1.

    That variance is 0 for an AUC of 0 or 1, and for scores that are all equal: far from
    certainties. With few images of a class it is itself unsure, and mostly too small. In these
    cases, and with fewer than 10 images of a class, the interval is Newcombe's (2006, method 5),
    which inverts a score test with the variance of Hanley and McNeil (1982), see `_newcombe`. With
    10 to 30 images of a class beside hundreds of the other, an interval of level 0.95 holds the
    area of simulated normal scores in about 9 of 10 cases: read it so.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].
      level: of confidence.

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    below, above = _placements(labels, scores)
    area = _area(below, above)
    variance = _variance(below, above)
    if not variance or min(len(below), len(above)) < _FEWEST:
        lower, upper = _newcombe(area, len(below), len(above), level)
        return Interval(estimate=area, lower=lower, upper=upper, method=NEWCOMBE, level=level)
    half_width = ndtri((1 + level) / 2) * math.sqrt(variance) / (area * (1 - area))
    return Interval(
        estimate=area,
        lower=float(expit(logit(area) - half_width)),
        upper=float(expit(logit(area) + half_width)),
        method=DELONG,
        level=level,
    )


def compare_aucs(
    labels: np.ndarray, scores: np.ndarray, others: np.ndarray, level: float = 0.95
) -> Comparison:
    """The AUC of some scores minus that of others of the same images.

    DeLong, DeLong and Clarke-Pearson (1988): the two are correlated, so that their difference is
    surer than that of scores of different images; with few images of a class, less so than it
    says, as in `auc_interval`. Scores that put the images in one order have no
    difference, for certain. Where else the variance is 0 (two tests that make no mistake, say, or
    one image of a class), see `_from_parts`, which leaves the correlation out and so is wide.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].
      others: float [N], of the same images.
      level: of confidence.

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: if a score is nan.
    """
    below, above = _placements(labels, scores)
    other_below, other_above = _placements(labels, others)
    if np.array_equal(rankdata(scores), rankdata(others)):
        return _normal(0.0, 0.0, level)
    # The difference of two means is the mean of the differences, and so is its variance.
    variance = _variance(below - other_below, above - other_above)
    if not variance:
        return _from_parts(auc_interval(labels, scores, level), auc_interval(labels, others, level))
    difference = _area(below, above) - _area(other_below, other_above)
    return _normal(difference, variance, level)


def _normal(difference: float, variance: float, level: float) -> Comparison:
    """A difference that is normally distributed; without a variance there is none."""
    deviation = math.sqrt(variance)
    half_width = float(ndtri((1 + level) / 2)) * deviation
    return Comparison(
        difference=Interval(
            estimate=difference,
            lower=max(-1.0, difference - half_width),
            upper=min(1.0, difference + half_width),
            method=DELONG,
            level=level,
        ),
        p_value=_two_sided(difference / deviation) if deviation else 1.0,
    )


def _from_parts(first: Interval, second: Interval) -> Comparison:
    """The difference of two independent figures, from the interval of each.

    Newcombe's square-and-add (1998), as Zou and Donner (2008) generalise it: the interval reaches
    as far as the two ends that make the difference small, or large, do together. The p value is
    that of a normal distribution as wide as the interval is towards 0.
    """
    difference = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.lower, second.upper - second.estimate)
    above = math.hypot(first.upper - first.estimate, second.estimate - second.lower)
    towards_zero = below if difference > 0 else above
    return Comparison(
        difference=Interval(
            estimate=difference,
            lower=max(-1.0, difference - below),
            upper=min(1.0, difference + above),
            method="square-and-add",
            level=first.level,
        ),
        p_value=_two_sided(difference / towards_zero * ndtri((1 + first.level) / 2)),
    )


def _two_sided(deviate: float) -> float:
    """The p value of a normal deviate."""
    return float(2 * ndtr(-abs(deviate)))


def _newcombe(area: float, positives: int, negatives: int, level: float) -> tuple[float, float]:
    """An interval for an AUC that allows for what the images happen not to show.

    Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2", method 5: all areas t of which the observed one is within z deviations,

        (area - t)^2 <= z^2 * t (1 - t) (1 + k (1 - t) / (2 - t) + k t / (1 + t)) / (m n)

    for m positives, n negatives and k = (m + n) / 2 - 1. Below an observed area of 1 it reaches
    about as far as Wilson's does below 2 min(m, n) successes out of as many, or 4 min(m, n) where
    one class is much the larger.
    """
    pairs, k = positives * negatives, (positives + negatives) / 2 - 1
    squared = ndtri((1 + level) / 2) ** 2

    def lower_end(area: float) -> float:
        def excess(t: float) -> float:
            variance = t * (1 - t) * (1 + k * (1 - t) / (2 - t) + k * t / (1 + t)) / pairs
            return (area - t) ** 2 - squared * variance

        # An area of 1 is itself a root, but not the one that is looked for.
        return float(brentq(excess, 0.0, min(area, 1 - 1e-12))) if area else 0.0

    return lower_end(area), 1 - lower_end(1 - area)


# --- Ranks and counts ------------------------------------------------------------------------


def _by_class(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the positives, and those of the negatives."""
    scores = np.asarray(scores)
    if np.isnan(scores).any():
        raise ValueError("a score is nan")
    is_positive = np.asarray(labels) == 1
    positive, negative = scores[is_positive], scores[~is_positive]
    if not (len(positive) and len(negative)):
        raise OneClassError(f"{len(positive)} positives and {len(negative)} negatives")
    return positive, negative


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many negatives are below each positive, and how many positives above each negative.

    Equal scores count for a half. The rank of a positive among all, less that among the positives,
    is the number of negatives below (Sun and Xu 2014). Halves of whole numbers are exact: a
    variance of them is 0 only where it ought to be.

    Returns:
      float [positives], in the order of the images, and float [negatives].
    """
    positive, negative = _by_class(labels, scores)
    among_all = rankdata(np.concatenate([positive, negative]))
    below = among_all[: len(positive)] - rankdata(positive)
    above = len(positive) - (among_all[len(positive) :] - rankdata(negative))
    return below, above


def _area(below: np.ndarray, above: np.ndarray) -> float:
    return float(below.sum() / (len(below) * len(above)))


def _variance(below: np.ndarray, above: np.ndarray) -> float:
    """DeLong's variance of an AUC, by its placements; 0 with fewer than two images of a class."""
    m, n = len(below), len(above)
    if min(m, n) < 2:
        return 0.0
    return float(np.var(below, ddof=1) / (m * n**2) + np.var(above, ddof=1) / (n * m**2))


def _counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The distinct scores, falling, and how many positives and negatives reach each."""
    positive, negative = _by_class(labels, scores)
    thresholds = np.unique(np.concatenate([positive, negative]))[::-1]
    true_positives = len(positive) - np.searchsorted(np.sort(positive), thresholds)
    false_positives = len(negative) - np.searchsorted(np.sort(negative), thresholds)
    return thresholds, true_positives, false_positives
