"""The Brier score and the bins of a reliability diagram."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from components.statistics.calibration import brier, reliability
from components.statistics.proportions import wilson
from components.trainer.calibration_error import expected_calibration_error


def test_the_brier_score_of_a_handful() -> None:
    probabilities, labels = np.array([0.1, 0.9, 0.8, 0.3], np.float32), np.array([0, 1, 1, 0])

    assert brier(probabilities, labels) == pytest.approx((0.01 + 0.01 + 0.04 + 0.09) / 4)
    assert brier(probabilities, labels) == pytest.approx(brier_score_loss(labels, probabilities))
    with pytest.raises(ValueError, match="no image"):
        brier(np.array([]), np.array([]))


def test_bins_hold_their_lower_end_and_the_last_also_1() -> None:
    probabilities = np.array([0.0, 0.05, 0.1, 0.95, 1.0, 1.0])
    bins = reliability(probabilities, np.array([0, 1, 0, 1, 1, 0]))

    assert [(b.lower, b.upper, b.n) for b in bins] == [(0, 0.1, 2), (0.1, 0.2, 1), (0.9, 1, 3)]
    assert [b.mean_probability for b in bins] == pytest.approx([0.025, 0.1, 2.95 / 3])
    assert [b.positives for b in bins] == [wilson(1, 2), wilson(0, 1), wilson(2, 3)]
    assert reliability(np.array([]), np.array([])) == []


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=1, max_size=50),
    st.integers(1, 20),
)
def test_the_calibration_error_is_the_mean_distance_over_the_bins(
    films: list[tuple[float, int]], count: int
) -> None:
    probabilities, labels = (np.array(column) for column in zip(*films, strict=True))
    bins = reliability(probabilities, labels, bins=count, level=0.9)

    assert sum(b.n for b in bins) == len(labels)
    distance = sum(b.n * abs(b.mean_probability - b.positives.estimate) for b in bins)
    error = expected_calibration_error(probabilities, labels, bins=count)
    assert distance / len(labels) == pytest.approx(error)
    assert all(b.positives.level == 0.9 for b in bins)
