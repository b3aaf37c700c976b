"""Platt scaling against a reference, and the operating point on its edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from components.trainer.calibration import Calibration, choose_operating_point, fit_calibration


def simulate(count: int, slope: float, intercept: float) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn with probability sigmoid(slope * logit + intercept)."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, count).astype(np.float32)
    return logits, (rng.random(count) < expit(slope * logits + intercept)).astype(np.int64)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    bins = np.minimum((probabilities * 10).astype(int), 9)
    return sum(
        np.mean(bins == b) * abs(probabilities[bins == b].mean() - labels[bins == b].mean())
        for b in np.unique(bins)
    )


# --- Calibration -----------------------------------------------------------------------------


def test_it_is_platt_scaling() -> None:
    logits, labels = simulate(300, slope=0.6, intercept=-1.0)
    positives, negatives = np.sum(labels == 1), np.sum(labels == 0)
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(line: np.ndarray) -> float:
        z = line[0] * logits.astype(np.float64) + line[1]
        return float(np.sum(np.logaddexp(0, z) - target * z))

    reference = minimize(loss, [1.0, 0.0], tol=1e-8).x
    fitted = fit_calibration(logits, labels)

    assert fitted.method == "platt"
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(reference), rel=1e-2)


def test_it_mends_distorted_scores() -> None:
    logits, labels = simulate(4000, slope=0.4, intercept=-1.5)

    before = expected_calibration_error(expit(logits), labels)
    after = expected_calibration_error(fit_calibration(logits, labels)(logits), labels)

    assert before > 0.15
    assert after < 0.03


def test_it_keeps_the_order_of_scores() -> None:
    logits, labels = simulate(300, slope=0.6, intercept=-1.0)
    rising = np.linspace(-5, 5, 50)

    assert (np.diff(fit_calibration(logits, labels)(rising)) > 0).all()


def test_separable_scores_stay_finite() -> None:
    labels = np.repeat([0, 1], 20)
    fitted = fit_calibration(np.where(labels == 1, 8.0, -8.0), labels)

    assert fitted.method == "platt"
    assert 0 < fitted.slope < 10
    assert 0.9 < fitted(np.array([8.0]))[0] < 1


@pytest.mark.parametrize(("positives", "negatives"), [(4, 50), (50, 4), (0, 50), (0, 0)])
def test_with_few_cases_of_a_class_nothing_is_fitted(positives: int, negatives: int) -> None:
    labels = np.repeat([1, 0], [positives, negatives])
    fitted = fit_calibration(labels * 2.0 - 1, labels)

    assert (fitted.slope, fitted.intercept) == (1.0, 0.0)
    assert f"{positives} positives and {negatives} negatives" in fitted.method


def test_inverted_scores_are_not_turned_round() -> None:
    logits, labels = simulate(300, slope=-0.6, intercept=0.0)
    fitted = fit_calibration(logits, labels)

    assert (fitted.slope, fitted.intercept) == (1.0, 0.0)
    assert "do not rise" in fitted.method


@pytest.mark.filterwarnings("error")
def test_extreme_logits_do_not_overflow() -> None:
    logits = np.array([-1e4, 0, 1e4], np.float32)

    assert Calibration(2.0, 0.0, "platt")(logits).tolist() == [0.0, 0.5, 1.0]


# --- Operating point -------------------------------------------------------------------------


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95])
def test_the_target_is_met_and_not_overshot(target: float) -> None:
    logits, labels = simulate(400, slope=0.6, intercept=-1.0)
    probabilities = expit(logits)
    point = choose_operating_point(probabilities, labels, target)

    found = np.mean(probabilities[labels == 1] >= point.threshold)
    assert point.sensitivity == found
    assert target <= found < target + 1 / np.sum(labels == 1) + 1e-9
    assert point.specificity == np.mean(probabilities[labels == 0] < point.threshold)
    assert (point.positives, point.negatives) == (np.sum(labels == 1), np.sum(labels == 0))
    assert f"sensitivity {target:g} on validation" in point.chosen_by


def test_the_threshold_lies_half_way_to_the_next_lower_probability() -> None:
    probabilities = np.array([0.1, 0.3, 0.4, 0.6, 0.8, 0.9])
    labels = np.array([0, 1, 0, 1, 0, 1])

    assert choose_operating_point(probabilities, labels, 0.6).threshold == pytest.approx(0.5)
    assert choose_operating_point(probabilities, labels, 0.9).threshold == pytest.approx(0.2)


def test_rounding_of_floats_asks_for_no_further_positive() -> None:
    probabilities = np.linspace(0.05, 0.95, 25)  # 0.56 * 25 = 14.000000000000002

    point = choose_operating_point(
        np.append(probabilities, 0.01), np.append(np.ones(25, int), 0), 0.56
    )

    assert point.sensitivity == pytest.approx(0.56)


def test_ties_are_on_the_same_side() -> None:
    probabilities = np.array([0.5] * 8 + [0.2, 0.2])
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0, 1, 0])
    point = choose_operating_point(probabilities, labels, 0.5)

    assert point.threshold == pytest.approx(0.35)
    assert (point.sensitivity, point.specificity) == (pytest.approx(5 / 6), 0.25)


def test_when_the_lowest_score_is_a_positive_all_are_positive() -> None:
    point = choose_operating_point(np.array([0.2, 0.3, 0.4]), np.array([1, 0, 1]), 0.9)

    assert point.threshold == pytest.approx(0.1)
    assert (point.sensitivity, point.specificity) == (1.0, 0.0)


@pytest.mark.parametrize("label", [0, 1])
def test_with_one_class_it_is_a_half_and_says_so(label: int) -> None:
    point = choose_operating_point(np.array([0.4, 0.6]), np.array([label, label]), 0.9)

    assert point.threshold == 0.5
    assert "lacks a class" in point.chosen_by
    assert (point.sensitivity, point.specificity) == ((0.5, None) if label else (None, 0.5))
