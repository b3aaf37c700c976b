"""The model beside its floors."""

from __future__ import annotations

import numpy as np
import pytest

from components.explanation_probe.comparison import compare, mean_interval

PATIENTS = [f"p{number // 2}" for number in range(40)]


def test_the_lift_is_over_the_best_floor_on_the_same_films() -> None:
    rng = np.random.default_rng(0)
    floor = rng.random(40)
    found = compare("x", floor + 0.2, {"low": floor - 0.1, "best": floor}, PATIENTS)
    assert found.best_floor == "best"
    assert found.model.estimate == pytest.approx(floor.mean() + 0.2)
    # Films differ much, and the paired difference not at all.
    assert found.model.upper - found.model.lower > 0.1
    assert (found.lift.lower, found.lift.estimate, found.lift.upper) == pytest.approx((0.2,) * 3)


def test_where_small_is_good_the_lift_is_still_positive_for_the_better_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.random(40)
    floors = {"low": values + 0.1, "high": values + 0.3}
    found = compare("x", values, floors, PATIENTS, smaller_is_better=True)
    assert found.best_floor == "low"
    assert found.lift.estimate == pytest.approx(0.1)


def test_choosing_the_best_of_equal_floors_is_held_against_the_model() -> None:
    rng = np.random.default_rng(2)
    model, *floors = (rng.random(40).round() for _ in range(6))
    several = compare("x", model, {str(n): one for n, one in enumerate(floors)}, PATIENTS)
    means = [one.mean() for one in floors]
    alone = compare("x", model, {"0": floors[int(np.argmax(means))]}, PATIENTS)
    assert several.lift.estimate == alone.lift.estimate
    assert several.lift.upper < alone.lift.upper


@pytest.mark.parametrize(("value", "ends"), [(1.0, (0.83, 1.0)), (0.0, (0.0, 0.17))])
def test_all_or_none_is_uncertain_as_so_many_patients_are(
    value: float, ends: tuple[float, float]
) -> None:
    found = mean_interval(np.full(40, value), PATIENTS)
    assert found.estimate == value
    assert (found.lower, found.upper) == pytest.approx(ends, abs=0.01)


def test_where_all_films_hit_the_lift_is_as_uncertain_as_the_share() -> None:
    rng = np.random.default_rng(3)
    floor = rng.random(40) / 10
    for model in (np.ones(40), np.zeros(40)):
        found = compare("x", model, {"floor": floor}, PATIENTS)
        assert found.lift.upper - found.lift.lower > found.model.upper - found.model.lower
        assert found.lift.lower <= found.model.lower - found.floors["floor"].estimate
        assert found.lift.upper >= found.model.upper - found.floors["floor"].estimate


def test_an_interval_takes_two_patients() -> None:
    with pytest.raises(ValueError, match="two"):
        mean_interval(np.array([1.0, 1.0]), ["a", "a"])
