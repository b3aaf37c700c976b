"""Figures of images that count more than once, for many resamples at a time.

A bootstrap asks for the same figure of the same images a thousand times. Each function here sorts
them once, and returns a figure of R resamples at once: int32 [N, R], how often each of the N images
was drawn, to float64 [R]. It is that of the images themselves, repeated; nan where a resample does
not define it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Times: TypeAlias = NDArray[np.int32]
RepeatedFigure: TypeAlias = Callable[[Times], NDArray[np.float64]]


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> RepeatedFigure:
    """The area under the ROC curve, see `roc.auc`; exactly that.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].

    Raises:
      ValueError: if a score is nan.
    """
    positive, negative = _by_class(labels, scores)
    left = np.searchsorted(scores[negative], scores[positive], "left")
    right = np.searchsorted(scores[negative], scores[positive], "right")

    def figure(times: Times) -> NDArray[np.float64]:
        found, below = times[positive], _running_total(times[negative])
        # Pairs in the right order, twice: ties are among those at most as high, not those below.
        pairs = (found * (below[left] + below[right])).sum(axis=0, dtype=np.int64)
        return _ratio(pairs, 2 * found.sum(axis=0, dtype=np.int64) * below[-1])

    return figure


def macro_auc(labels: NDArray[Any], scores: NDArray[Any]) -> RepeatedFigure:
    """The mean of several outputs' AUCs, over those that have both classes, see `roc.macro_auc`.

    Args:
      labels: int [N, K], 0 or 1.
      scores: float [N, K].

    Raises:
      ValueError: if a score is nan.
    """
    figures = [auc(labels[:, k], scores[:, k]) for k in range(labels.shape[1])]

    def figure(times: Times) -> NDArray[np.float64]:
        areas = np.stack([one(times) for one in figures])
        return _ratio(np.nansum(areas, axis=0), np.sum(~np.isnan(areas), axis=0))

    return figure


def average_precision(labels: NDArray[Any], scores: NDArray[Any]) -> RepeatedFigure:
    """The area under the precision-recall curve in steps, see `roc.average_precision`.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].

    Raises:
      ValueError: if a score is nan.
    """
    positive, negative = _by_class(labels, scores)
    # Recall rises nowhere else.
    thresholds = np.unique(scores[positive])
    missed = np.searchsorted(scores[positive], thresholds)
    cleared = np.searchsorted(scores[negative], thresholds)

    def figure(times: Times) -> NDArray[np.float64]:
        positives, negatives = _running_total(times[positive]), _running_total(times[negative])
        found = positives[-1] - positives[missed]
        alarms = negatives[-1] - negatives[cleared]
        gains = -np.diff(found, axis=0, append=0)
        areas = np.sum(gains * (found / np.maximum(found + alarms, 1)), axis=0)
        return np.where(negatives[-1] > 0, _ratio(areas, positives[-1]), np.nan)

    return figure


def mean(values: NDArray[Any]) -> RepeatedFigure:
    """The mean of a value of each image, float [N]."""
    return lambda times: _ratio(values @ times, times.sum(axis=0))


def mean_distance(groups: NDArray[Any], distances: NDArray[Any]) -> RepeatedFigure:
    """How far the images of a group are off together: sum over groups of |sum|, over all images.

    Args:
      groups: int [N], which each image is of.
      distances: float [N], with a sign.
    """
    of_group = distances * (groups == np.unique(groups)[:, None])
    return lambda times: _ratio(np.abs(of_group @ times).sum(axis=0), times.sum(axis=0))


def _by_class(
    labels: NDArray[Any], scores: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The numbers of the positives, and those of the negatives, by rising score."""
    if np.isnan(scores).any():
        raise ValueError("a score is nan")
    order = np.argsort(scores, kind="stable")
    is_positive = np.asarray(labels)[order] == 1
    return order[is_positive], order[~is_positive]


def _running_total(times: Times) -> Times:
    """How many are among the first n, for n of 0 to all: int32 [n + 1, R]."""
    total = np.zeros((len(times) + 1, times.shape[1]), np.int32)
    np.cumsum(times, axis=0, dtype=np.int32, out=total[1:])
    return total


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
