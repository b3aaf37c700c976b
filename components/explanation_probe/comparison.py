"""A figure of the model beside what reaches it without the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.plain import Plain
from components.statistics.bootstrap import patient_bootstrap
from components.statistics.interval import Interval
from components.statistics.proportions import wilson


class Comparison(Plain):
    """Means over films, with intervals over patients.

    Attributes:
      measure: what is compared.
      model: the mean of the model's maps.
      floors: those of maps that know nothing of the film, by name.
      best_floor: the name of the best one.
      lift: by how much the model is better than the best floor, on the same films: positive where
        it is better, also for a measure that is better small.
    """

    measure: str
    model: Interval
    floors: Mapping[str, Interval]
    best_floor: str
    lift: Interval


def compare(
    measure: str,
    model: NDArray[np.float64],
    floors: Mapping[str, NDArray[np.float64]],
    patients: Sequence[str],
    *,
    smaller_is_better: bool = False,
    seed: int = 0,
) -> Comparison:
    """Compare paired values.

    Which floor is best is found anew in each resample, so that the lift's interval also holds what
    chance decides there.

    Args:
      measure: what is compared.
      model: float64 [N], of each film.
      floors: by name, float64 [N]; at least one.
      patients: of the films, [N]; two or more.
      smaller_is_better: such as for deletion.
      seed: of the resamples.

    Raises:
      ValueError: with fewer than two patients.
    """
    sign = -1.0 if smaller_is_better else 1.0
    others = np.stack(list(floors.values()))

    def lift(rows: NDArray[np.intp]) -> float:
        best = (sign * others[:, rows].mean(axis=1)).max()
        return float(sign * model[rows].mean() - best)

    means = sign * others.mean(axis=1)
    interval = mean_interval(model, patients, seed=seed)
    return Comparison(
        measure=measure,
        model=interval,
        floors={name: mean_interval(one, patients, seed=seed) for name, one in floors.items()},
        best_floor=list(floors)[int(means.argmax())],
        lift=_widened(patient_bootstrap(lift, patients, seed=seed), model, interval, sign),
    )


def _widened(
    lift: Interval, model: NDArray[np.float64], interval: Interval, sign: float
) -> Interval:
    """Where all films hit, or none do, by what resampling cannot tell of the model's own share."""
    if not _unanimous(model):
        return lift
    below, above = interval.estimate - interval.lower, interval.upper - interval.estimate
    if sign < 0:
        below, above = above, below
    return lift.model_copy(update={"lower": lift.lower - below, "upper": lift.upper + above})


def mean_interval(
    values: NDArray[np.float64], patients: Sequence[str], *, seed: int = 0
) -> Interval:
    """The mean of shares over films with an interval over patients.

    Where all films hit, or none do, every resample is alike and the bootstrap says nothing:
    Wilson's interval, of as many trials as there are patients, takes its place.

    Args:
      values: float64 [N] on [0, 1].
      patients: of the films, [N].
      seed: of the resamples.

    Raises:
      ValueError: with fewer than two patients.
    """
    several = len(set(patients))
    if several > 1 and _unanimous(values):
        return wilson(several if values[0] else 0, several)
    return bootstrapped_mean(values, patients, seed=seed)


def _unanimous(values: NDArray[np.float64]) -> bool:
    return bool(np.all(values == 0) or np.all(values == 1))


def bootstrapped_mean(
    values: NDArray[np.float64], patients: Sequence[str], *, seed: int = 0
) -> Interval:
    """The same of values that are no shares, such as correlations."""
    return patient_bootstrap(lambda rows: float(values[rows].mean()), patients, seed=seed)
