"""The operating point on its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from components.trainer import settings
from components.trainer.operating_point import OperatingPoint, choose_operating_point
from tests.components.trainer.test_calibration import simulate


def choose(probabilities: Any, labels: Any, **how: Any) -> OperatingPoint:
    return choose_operating_point(
        np.asarray(probabilities), np.asarray(labels), settings.OperatingPoint(**how)
    )


# --- Sensitivity -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95])
def test_the_target_is_met_and_not_overshot(target: float) -> None:
    logits, labels = simulate(400, slope=0.6, intercept=-1.0)
    probabilities = expit(logits)
    point = choose(probabilities, labels, sensitivity=target)

    found = np.mean(probabilities[labels == 1] >= point.threshold)
    assert point.sensitivity == found
    assert target <= found < target + 1 / np.sum(labels == 1) + 1e-9
    assert point.specificity == np.mean(probabilities[labels == 0] < point.threshold)
    assert (point.positives, point.negatives) == (np.sum(labels == 1), np.sum(labels == 0))
    assert point.chosen_by == f"sensitivity {target:g} on validation"
    assert point.as_asked


def test_the_threshold_lies_half_way_to_the_next_lower_probability() -> None:
    probabilities = [0.1, 0.3, 0.4, 0.6, 0.62, 0.64, 0.8, 0.9]
    labels = [0, 1, 0, 1, 1, 1, 0, 1]

    assert choose(probabilities, labels, sensitivity=0.8).threshold == pytest.approx(0.5)
    assert choose(probabilities, labels, sensitivity=0.6).threshold == pytest.approx(0.61)


def test_rounding_of_floats_asks_for_no_further_positive() -> None:
    probabilities = np.linspace(0.05, 0.95, 25)  # 0.56 * 25 = 14.000000000000002

    point = choose(np.append(probabilities, 0.01), np.append(np.ones(25, int), 0), sensitivity=0.56)

    assert point.sensitivity == pytest.approx(0.56)


def test_ties_are_on_the_same_side() -> None:
    probabilities = [0.5] * 8 + [0.2, 0.2]
    labels = [1, 1, 1, 1, 1, 0, 0, 0, 1, 0]
    point = choose(probabilities, labels, sensitivity=0.5)

    assert point.threshold == pytest.approx(0.35)
    assert (point.sensitivity, point.specificity) == (pytest.approx(5 / 6), 0.25)


def test_where_the_lowest_is_needed_all_are_positive() -> None:
    point = choose([0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [1, 0, 1, 1, 1, 1], sensitivity=0.8)
    assert point.threshold == pytest.approx(0.35)
    point = choose([0.2] * 5 + [0.3], [1] * 5 + [0], sensitivity=0.8)
    assert point.threshold == pytest.approx(0.1)
    assert (point.sensitivity, point.specificity) == (1.0, 0.0)


def test_neighbouring_floats_stay_apart() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    point = choose(np.array([low] * 5 + [high] * 5), [0] * 5 + [1] * 5, sensitivity=0.8)

    assert float(low) < point.threshold < float(high)


# --- Too few images --------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "needed"), [(0.9, 10), (0.95, 20), (0.5, 5), (0.99, 100)])
def test_a_target_that_allows_no_miss_is_not_aimed_at(target: float, needed: int) -> None:
    def with_positives(count: int) -> OperatingPoint:
        probabilities = np.linspace(0.1, 0.9, count + 20)
        labels = np.arange(count + 20) >= 20
        return choose(probabilities, labels, sensitivity=target, threshold=0.4)

    enough, too_few = with_positives(needed), with_positives(needed - 1)

    assert enough.as_asked
    assert not too_few.as_asked
    assert too_few.threshold == 0.4
    assert too_few.chosen_by == (
        f"a fixed threshold of 0.4, since validation has {needed - 1} positives, and a "
        f"sensitivity of {target:g} takes {needed}"
    )
    assert too_few.sensitivity is not None


@pytest.mark.parametrize("method", ["sensitivity", "youden"])
@pytest.mark.parametrize("labels", [[0] * 12, [1] * 4 + [0] * 8, [1] * 8 + [0] * 4])
def test_what_cannot_be_chosen_is_fixed_and_says_so(method: str, labels: list[int]) -> None:
    point = choose(np.linspace(0.1, 0.9, 12), labels, method=method)

    assert point.threshold == 0.5
    assert "since validation has" in point.chosen_by
    assert not point.as_asked


def test_a_missing_class_has_no_rate() -> None:
    probabilities = np.linspace(0.1, 0.9, 12)

    assert choose(probabilities, np.zeros(12)).sensitivity is None
    only_positives = choose(probabilities, np.ones(12))
    assert only_positives.specificity is None
    assert only_positives.as_asked


# --- Youden, fixed ---------------------------------------------------------------------------


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), max_size=60))
def test_no_threshold_has_a_larger_youden_index(films: list[tuple[float, bool]]) -> None:
    films += [(0.2, False)] * 5 + [(0.6, True)] * 5
    probabilities = np.array([probability for probability, _ in films], np.float32)
    labels = np.array([label for _, label in films])

    def index(threshold: float) -> float:
        positive = probabilities >= threshold
        return positive[labels].mean() - positive[~labels].mean()

    point = choose(probabilities, labels, method="youden")

    assert point.chosen_by == "Youden's index on validation"
    assert index(point.threshold) == pytest.approx(max(map(index, [*probabilities, 2.0])))
    assert point.sensitivity + point.specificity - 1 == pytest.approx(index(point.threshold))


def test_of_two_equal_youden_indices_the_one_that_misses_less() -> None:
    labels = [0] * 4 + [1, 0] + [1] * 4
    point = choose(np.linspace(0.05, 0.95, 10), labels, method="youden")
    assert point.sensitivity == 1.0


def test_a_fixed_threshold_is_kept() -> None:
    point = choose([0.2, 0.6], [0, 1], method="fixed", threshold=0.6)

    assert point == OperatingPoint(0.6, "a fixed threshold of 0.6", 1.0, 1.0, 1, 1)
