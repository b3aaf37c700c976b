"""How sure a figure is when some images are of one patient."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from components.statistics.interval import Interval
from components.statistics.repeated import RepeatedFigure, Times
from components.statistics.roc import OneClassError, precision_recall_points, roc_points

# Rates on the grid of a band are fractions of counts, which floats miss by less.
_ROUNDING = 1e-9
# Images times resamples that are counted at once: 16 MB.
_MOST_COUNTS = 4_000_000
_UNDEFINED = "the statistic of all images is nan"


@dataclasses.dataclass(frozen=True, eq=False)
class Band:
    """A curve with an interval at each of its points; it does not hold the whole curve at once.

    Attributes:
      x: float [G], from 0 to 1.
      centre: float [G], the curve of all images.
      lower: float [G], ends of the intervals.
      upper: float [G], likewise.
      method: by which they were found.
      level: of confidence.
    """

    x: np.ndarray
    centre: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    method: str
    level: float


def patient_bootstrap(
    statistic: Callable[[np.ndarray], float],
    patients: Sequence[str] | np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    centred: bool = False,
) -> Interval:
    """A figure with its percentile interval over resamples of patients (Field and Welsh 2007).

    Patients are drawn with replacement, as many as there are, each with all of its images: images
    of one patient are alike, and drawing them singly would take them for more than they are. With
    an image of each patient it is the ordinary bootstrap (Efron and Tibshirani 1993). The same
    patients, seed and number of resamples give the same resamples, whatever the statistic.

    A figure at the end of its range, such as an AUC of 1, is the same in all resamples: its
    interval is a point, which says nothing. `roc.auc_interval` has a better one.

    Args:
      statistic: int [M], images by number, with repetitions, to a figure. Where it is nan, or
        raises OneClassError, the resample is left out.
      patients: [N], of each image.
      resamples: how many.
      seed: of the draws.
      level: of confidence.
      centred: move the interval by what resampling adds to the figure (the bootstrap's estimate of
        bias, Efron and Tibshirani 1993, chapter 10). A distance such as a calibration error is
        larger in nearly every resample than in the images: the interval would lie beside it.

    Returns:
      The statistic of all images, with an interval whose method names the number of resamples,
      and of those left out.

    Raises:
      ValueError: with fewer than two patients; if the statistic of all images is nan; if that of
        more than half of the resamples is undefined.
      OneClassError: if the statistic of all images raises it.
    """
    estimate, values, method = _resample(
        lambda images: np.asarray(statistic(images), np.float64), patients, resamples, seed
    )
    return _interval(float(estimate), values, method, level, centred)


def repeated_bootstrap(
    figure: RepeatedFigure,
    patients: Sequence[str] | np.ndarray,
    *,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    centred: bool = False,
) -> Interval:
    """`patient_bootstrap` of a figure that takes many resamples at once: the same, but faster.

    Args:
      figure: as those of `repeated`; where it is nan, the resample is left out.
      patients: [N], of each image.
      resamples: how many.
      seed: of the draws.
      level: of confidence.
      centred: as for `patient_bootstrap`.

    Raises:
      ValueError: as `patient_bootstrap`.
    """
    estimate = float(figure(np.ones((len(patients), 1), np.int32))[0])
    if np.isnan(estimate):
        raise ValueError(_UNDEFINED)
    draws = _draws(patients, resamples, seed)
    at_once = max(1, _MOST_COUNTS // len(patients))
    found = [
        figure(np.stack(some, axis=1)) for some in iter(lambda: list(islice(draws, at_once)), [])
    ]
    values = np.concatenate(found)
    defined = values[~np.isnan(values)]
    return _interval(estimate, defined, _method(len(defined), resamples), level, centred)


def roc_band(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    *,
    points: int = 101,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Band:
    """Sensitivity at each 1 - specificity, with intervals over resamples of patients.

    Between the points of the empirical curve it is a straight line, which is what choosing between
    two thresholds by chance reaches. Where the curve rises straight up, it is the upper end.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].
      patients: [N], of each image.
      points: of the band, at equal distances.
      resamples: how many.
      seed: of the draws.
      level: of confidence.

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: as `patient_bootstrap`; if a score is nan.
    """
    x = np.linspace(0, 1, points)

    def sensitivity(images: np.ndarray) -> np.ndarray:
        curve = roc_points(labels[images], scores[images])
        # Of points one above another, np.interp takes the last.
        return np.interp(x + _ROUNDING, curve.false_positive_rate, curve.sensitivity)

    return _band(x, sensitivity, patients, resamples, seed, level)


def precision_recall_band(
    labels: np.ndarray,
    scores: np.ndarray,
    patients: Sequence[str] | np.ndarray,
    *,
    points: int = 101,
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Band:
    """Precision at each recall, with intervals over resamples of patients.

    It is that of the highest threshold that reaches the recall, which makes steps, as
    `roc.average_precision` does. The precision varies with the prevalence, which varies over
    resamples: the band holds for the prevalence that the patients are from.

    Args:
      labels: int [N], 0 or 1.
      scores: float [N].
      patients: [N], of each image.
      points: of the band, at equal distances.
      resamples: how many.
      seed: of the draws.
      level: of confidence.

    Raises:
      OneClassError: without a positive, or a negative.
      ValueError: as `patient_bootstrap`; if a score is nan.
    """
    x = np.linspace(0, 1, points)

    def precision(images: np.ndarray) -> np.ndarray:
        curve = precision_recall_points(labels[images], scores[images])
        return curve.precision[np.searchsorted(curve.recall, x - _ROUNDING)]

    return _band(x, precision, patients, resamples, seed, level)


def _band(
    x: np.ndarray,
    curve: Callable[[np.ndarray], np.ndarray],
    patients: Sequence[str] | np.ndarray,
    resamples: int,
    seed: int,
    level: float,
) -> Band:
    centre, values, method = _resample(curve, patients, resamples, seed)
    lower, upper = _percentiles(values, level)
    return Band(x, centre, lower, upper, method, level)


def _resample(
    statistic: Callable[[np.ndarray], np.ndarray],
    patients: Sequence[str] | np.ndarray,
    resamples: int,
    seed: int,
) -> tuple[np.ndarray, np.ndarray, str]:
    """The statistic of all images, [...], of the resamples, [R, ...], and how it was done."""
    all_images = np.arange(len(patients))
    estimate = statistic(all_images)
    if np.isnan(estimate).any():
        raise ValueError(_UNDEFINED)
    values = []
    for times in _draws(patients, resamples, seed):
        try:
            value = statistic(np.repeat(all_images, times))
        except OneClassError:
            continue
        if not np.isnan(value).any():
            values.append(value)
    return estimate, np.asarray(values), _method(len(values), resamples)


def _draws(patients: Sequence[str] | np.ndarray, resamples: int, seed: int) -> Iterator[Times]:
    """How often each image counts when patients are drawn with replacement: int32 [N] each."""
    names, patient_of_image = np.unique(patients, return_inverse=True)
    if len(names) < 2:
        raise ValueError("a bootstrap of patients takes two of them")
    rng = np.random.default_rng(seed)
    for _ in range(resamples):
        drawn = rng.integers(len(names), size=len(names))
        times = np.bincount(drawn, minlength=len(names)).astype(np.int32)
        yield times[patient_of_image]


def _method(defined: int, resamples: int) -> str:
    left_out = resamples - defined
    if defined < resamples / 2:
        raise ValueError(f"the statistic is undefined in {left_out} of {resamples}")
    method = f"bootstrap of patients, {resamples} resamples"
    return f"{method}, {left_out} of them undefined" if left_out else method


def _interval(
    estimate: float, values: np.ndarray, method: str, level: float, centred: bool
) -> Interval:
    lower, upper = _percentiles(values, level)
    bias = values.mean() - estimate if centred else 0.0
    return Interval(
        estimate=estimate,
        lower=float(lower - bias),
        upper=float(upper - bias),
        method=f"{method}, centred" if centred else method,
        level=level,
    )


def _percentiles(values: np.ndarray, level: float) -> np.ndarray:
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
