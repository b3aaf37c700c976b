"""Areas and their intervals: against published figures, plain definitions and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics

from components.statistics.roc import (
    OneClassError,
    auc,
    auc_interval,
    average_precision,
    compare_aucs,
    macro_auc,
    precision_recall_points,
    roc_points,
)

# The ovarian cancer patients of DeLong, DeLong and Clarke-Pearson (1988) for whom all is known, as
# in the SAS/STAT User's Guide, PROC LOGISTIC, "Comparing Receiver Operating Characteristic
# Curves": albumin, total protein, Krebs-Goplerud score, and whether surgery was of no benefit.
# The areas and errors below are recalled from that page, which was not at hand to be compared; the
# paper's own formulas are tested beside them.
_PATIENTS = """
3.0 5.8 10 0   3.2 6.3  5 1   3.9 6.8  3 1   2.8 4.8  6 0   3.2 5.8  3 1   0.9 4.0  5 0
2.5 5.7  8 0   1.6 5.6  5 1   3.8 5.7  5 1   3.7 6.7  6 1   3.2 5.4  4 1   3.8 6.6  6 1
4.1 6.6  5 1   3.6 5.7  5 1   4.3 7.0  4 1   3.6 6.7  4 0   2.3 4.4  6 1   4.2 7.6  4 0
4.0 6.6  6 0   3.5 5.8  6 1   3.8 6.8  7 1   3.0 4.7  8 0   4.5 7.4  5 1   3.7 7.4  5 1
3.1 6.6  6 1   4.1 8.2  6 1   4.3 7.0  5 1   4.3 6.5  4 1   3.2 5.1  5 1   2.6 4.7  6 1
3.3 6.8  6 0   1.7 4.0  7 0   3.7 6.1  5 1   3.3 6.3  7 1   4.2 7.7  6 1   3.5 6.2  5 1
2.9 5.7  9 0   2.1 4.8  7 1   2.8 6.2  8 0   4.0 7.0  7 1   3.3 5.7  6 1   3.7 6.9  5 1
3.6 6.6  5 1
"""
ALBUMIN, PROTEIN, KREBS_GOPLERUD, LABELS = np.array(_PATIENTS.split(), float).reshape(-1, 4).T
KREBS_GOPLERUD = 10 - KREBS_GOPLERUD  # high for a poor prognosis, unlike the other two

Z = norm.ppf(0.975)

rows_of_a_class = st.lists(
    st.tuples(st.integers(-8, 8), st.integers(-8, 8)), min_size=2, max_size=20
)
# Labels and two scores of each image, with ties.
films = st.tuples(rows_of_a_class, rows_of_a_class).map(
    lambda classes: np.array([(label, *row) for label in (0, 1) for row in classes[label]]).T
)


def covariance_of_areas(labels: np.ndarray, *scores: np.ndarray) -> np.ndarray:
    """DeLong's covariance matrix as the paper has it, over all pairs."""
    pairs = [s[labels == 1][:, None] - s[labels == 0][None, :] for s in scores]
    wins = [(pair > 0) + 0.5 * (pair == 0) for pair in pairs]
    of_positives = np.atleast_2d(np.cov([win.mean(axis=1) for win in wins]))
    of_negatives = np.atleast_2d(np.cov([win.mean(axis=0) for win in wins]))
    return of_positives / wins[0].shape[0] + of_negatives / wins[0].shape[1]


def binormal(
    rng: np.random.Generator, positives: int, negatives: int, area: float
) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of unit variance with the given AUC."""
    labels = np.repeat([1, 0], [positives, negatives])
    return labels, rng.normal(size=len(labels)) + labels * math.sqrt(2) * norm.ppf(area)


# --- Areas and curves ------------------------------------------------------------------------


def test_areas_of_a_handful() -> None:
    labels = np.array([0, 0, 1, 1])

    assert auc(labels, np.array([0.1, 0.4, 0.35, 0.8])) == 0.75
    assert auc(labels, np.array([0.1, 0.2, 0.3, 0.4])) == 1
    assert auc(labels, np.array([0.4, 0.3, 0.2, 0.1])) == 0
    assert auc(labels, np.full(4, 0.7)) == 0.5
    assert auc(labels, np.array([0.1, 0.4, 0.4, 0.8])) == 0.875
    # Precision 1 up to a recall of 1/2, then 2/3.
    assert average_precision(labels, np.array([0.1, 0.4, 0.35, 0.8])) == pytest.approx(5 / 6)
    assert average_precision(labels, np.full(4, 0.7)) == 0.5


@given(films)
def test_areas_are_those_of_scikit_learn(rows: np.ndarray) -> None:
    labels, scores, _ = rows

    assert auc(labels, scores) == pytest.approx(metrics.roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(
        metrics.average_precision_score(labels, scores)
    )


@given(films)
def test_an_area_knows_the_order_only(rows: np.ndarray) -> None:
    labels, scores, _ = rows
    interval = auc_interval(labels, scores)

    # Any rising map; the other way round; the other class.
    assert auc_interval(labels, np.exp(scores / 3) - 7) == interval
    assert auc(labels, -scores) == pytest.approx(1 - interval.estimate)
    assert auc(1 - labels, scores) == pytest.approx(1 - interval.estimate)
    turned = auc_interval(1 - labels, scores)
    assert (turned.lower, turned.upper) == pytest.approx((1 - interval.upper, 1 - interval.lower))


def test_the_points_of_the_roc_curve() -> None:
    points = roc_points(np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.2, 0.1]))

    assert points.thresholds.tolist() == [np.inf, 0.9, 0.5, 0.2, 0.1]
    assert points.sensitivity.tolist() == [0, 0.5, 1, 1, 1]
    assert points.false_positive_rate.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])


def test_the_points_of_the_precision_recall_curve() -> None:
    points = precision_recall_points(np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.5, 0.5, 0.2, 0.1]))

    assert points.thresholds.tolist() == [0.9, 0.5, 0.2, 0.1]
    assert points.recall.tolist() == [0.5, 1, 1, 1]
    assert points.precision.tolist() == pytest.approx([1, 2 / 3, 1 / 2, 2 / 5])


@given(films)
def test_the_area_is_that_under_the_points(rows: np.ndarray) -> None:
    labels, scores, _ = rows
    points = roc_points(labels, scores)

    area = np.trapezoid(points.sensitivity, points.false_positive_rate)

    assert area == pytest.approx(auc(labels, scores))


def test_the_macro_area_is_of_outputs_that_have_both_classes() -> None:
    labels = np.array([[0, 1, 0], [1, 1, 0], [0, 1, 1]])
    scores = np.array([[0.1, 0.1, 0.3], [0.2, 0.2, 0.2], [0.3, 0.3, 0.1]])

    assert macro_auc(labels, scores) == (0.5 + 0.0) / 2
    with pytest.raises(OneClassError, match="no output"):
        macro_auc(labels[:, 1:2], scores[:, 1:2])


@pytest.mark.parametrize(
    "figure", [auc, average_precision, auc_interval, roc_points, precision_recall_points]
)
def test_one_class_has_no_figure(figure: Callable[..., object]) -> None:
    for labels in (np.zeros(3, int), np.ones(3, int), np.array([], int)):
        with pytest.raises(OneClassError, match="positives and"):
            figure(labels, np.linspace(0, 1, len(labels)))
    with pytest.raises(ValueError, match="nan"):
        figure(np.array([0, 1, 1]), np.array([0.1, np.nan, 0.3]))


# --- DeLong ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "area", "deviation"),
    [(ALBUMIN, 0.7366, 0.0927), (KREBS_GOPLERUD, 0.7258, 0.1028), (PROTEIN, 0.6478, 0.1000)],
)
def test_the_patients_of_the_paper(scores: np.ndarray, area: float, deviation: float) -> None:
    interval = auc_interval(LABELS, scores)

    assert interval.estimate == pytest.approx(area, abs=5e-5)
    # On the logit scale a deviation is deviation / (area * (1 - area)).
    ends = np.array([interval.lower, interval.upper])
    logits = np.log(ends / (1 - ends)) - math.log(area / (1 - area))
    assert logits == pytest.approx(np.array([-Z, Z]) * deviation / (area * (1 - area)), abs=2e-3)
    assert interval.method == "DeLong"


def test_two_scores_of_the_patients_of_the_paper() -> None:
    comparison = compare_aucs(LABELS, PROTEIN, KREBS_GOPLERUD)

    found = comparison.difference
    assert (found.estimate, found.lower, found.upper) == pytest.approx(
        (-0.0780, -0.2830, 0.1271), abs=5e-5
    )
    assert comparison.p_value == pytest.approx(0.4561, abs=5e-5)


@given(films)
def test_it_is_what_the_paper_says_over_all_pairs(rows: np.ndarray) -> None:
    labels, scores, others = rows
    covariance = covariance_of_areas(labels, scores, others)

    interval = auc_interval(labels, scores)
    area, deviation = interval.estimate, math.sqrt(covariance[0, 0])
    few = min(np.bincount(labels)) < 10
    assert interval.method == ("Newcombe" if few or deviation < 1e-9 else "DeLong")
    if interval.method == "DeLong":
        ratio = math.exp(Z * deviation / (area * (1 - area)))
        odds = area / (1 - area)
        assert interval.upper / (1 - interval.upper) == pytest.approx(odds * ratio)
        assert interval.lower / (1 - interval.lower) == pytest.approx(odds / ratio)

    comparison = compare_aucs(labels, scores, others)
    difference = auc(labels, scores) - auc(labels, others)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert comparison.difference.estimate == pytest.approx(difference)
    if variance > 1e-12:
        deviate = difference / math.sqrt(variance)
        assert comparison.p_value == pytest.approx(2 * norm.sf(abs(deviate)))
        upper = min(1, difference + Z * math.sqrt(variance))
        assert comparison.difference.upper == pytest.approx(upper)


def test_a_higher_level_is_wider() -> None:
    wide, narrow = auc_interval(LABELS, ALBUMIN, 0.99), auc_interval(LABELS, ALBUMIN, 0.8)

    assert wide.lower < narrow.lower < narrow.upper < wide.upper
    assert (wide.level, narrow.level) == (0.99, 0.8)


@pytest.mark.parametrize(
    ("positives", "negatives", "area"),
    [(30, 60, 0.75), (30, 60, 0.95), (6, 200, 0.9), (8, 8, 0.97), (1, 50, 0.8)],
)
def test_nineteen_of_twenty_intervals_hold_the_area(
    positives: int, negatives: int, area: float
) -> None:
    rng = np.random.default_rng(0)
    intervals = [auc_interval(*binormal(rng, positives, negatives, area)) for _ in range(1000)]

    held = np.mean([interval.lower <= area <= interval.upper for interval in intervals])

    assert 0.925 < held < 0.99


def test_a_true_null_is_rejected_once_in_twenty_times() -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(1000):
        labels, scores = binormal(rng, 40, 60, 0.8)
        noise = rng.normal(size=(2, len(labels)))
        p_values.append(compare_aucs(labels, scores + noise[0], scores + noise[1]).p_value)

    assert 0.03 < np.mean(np.array(p_values) < 0.05) < 0.075


def test_of_the_same_images_a_difference_is_surer_than_of_two_figures() -> None:
    rng = np.random.default_rng(1)
    labels, scores = binormal(rng, 100, 100, 0.9)
    worse = scores + rng.normal(0, 0.5, len(scores))

    paired = compare_aucs(labels, scores, worse)
    better_auc, worse_auc = auc_interval(labels, scores), auc_interval(labels, worse)

    assert paired.difference.estimate == pytest.approx(better_auc.estimate - worse_auc.estimate)
    assert paired.p_value < 0.05
    assert paired.difference.lower > 0 > better_auc.lower - worse_auc.upper


def test_a_comparison_turned_round() -> None:
    there = compare_aucs(LABELS, ALBUMIN, PROTEIN)
    back = compare_aucs(LABELS, PROTEIN, ALBUMIN)

    assert back.difference.estimate == pytest.approx(-there.difference.estimate)
    assert back.difference.lower == pytest.approx(-there.difference.upper)
    assert back.p_value == pytest.approx(there.p_value)


# --- Where the variance is none --------------------------------------------------------------


def test_a_test_without_a_mistake_is_not_certain() -> None:
    labels = np.repeat([0, 1], [20, 20])
    perfect = auc_interval(labels, np.arange(40))
    hopeless = auc_interval(labels, -np.arange(40))

    assert (perfect.estimate, perfect.upper, perfect.method) == (1, 1, "Newcombe")
    # The root of (1 - t) = z^2 t (1 + 19 (1 - t) / (2 - t) + 19 t / (1 + t)) / 400.
    t = perfect.lower
    assert 1 - t == pytest.approx(Z**2 * t * (1 + 19 * (1 - t) / (2 - t) + 19 * t / (1 + t)) / 400)
    assert 0.89 < t < 0.91
    assert (hopeless.estimate, hopeless.lower) == (0, 0)
    assert hopeless.upper == pytest.approx(1 - perfect.lower)
    few = auc_interval(labels[18:22], np.arange(4))
    assert few.lower < 0.5


def test_more_images_without_a_mistake_are_surer() -> None:
    lower = [
        auc_interval(np.repeat([0, 1], n), np.arange(2 * n)).lower for n in (1, 3, 10, 100, 10_000)
    ]

    assert lower == sorted(lower)
    assert lower[-1] == pytest.approx(1 - Z**2 / 20_000, abs=1e-6)


def test_the_interval_of_few_images_is_that_of_others() -> None:
    # As computed by the R package SingleCaseES, "NAP".
    before, after = [20, 20, 26, 25, 22, 23], [28, 25, 24, 27, 30, 30, 29]
    interval = auc_interval(np.repeat([0, 1], [6, 7]), np.array(before + after))

    assert interval.estimate == pytest.approx(0.9166667)
    # To its tolerance of a root.
    assert (interval.lower, interval.upper) == pytest.approx((0.5973406, 0.9860176), abs=1e-4)
    assert interval.method == "Newcombe"


def test_a_single_positive_has_an_interval() -> None:
    interval = auc_interval(np.array([0] * 12 + [1]), np.array([*range(12), 10.5]))

    assert interval.estimate == pytest.approx(11 / 12)
    assert interval.lower < 0.5 < 0.97 < interval.upper < 1


def test_scores_that_tell_nothing_are_not_surely_useless() -> None:
    interval = auc_interval(np.repeat([0, 1], [20, 20]), np.full(40, 0.3))

    assert interval.estimate == 0.5
    assert interval.lower == pytest.approx(1 - interval.upper)
    assert 0.3 < interval.lower < 0.35


def test_the_same_scores_have_no_difference() -> None:
    for labels, scores in [(LABELS, ALBUMIN), (np.array([0, 0, 1]), np.array([0.1, 0.3, 0.2]))]:
        comparison = compare_aucs(labels, scores, scores**3)
        found = comparison.difference
        assert (found.estimate, found.lower, found.upper) == (0, 0, 0)
        assert comparison.p_value == 1


def test_two_tests_without_a_mistake_may_differ() -> None:
    labels = np.repeat([0, 1], [20, 20])
    scores, others = np.arange(40), np.concatenate([np.arange(20)[::-1], np.arange(20, 40)])
    bound = auc_interval(labels, scores).lower

    comparison = compare_aucs(labels, scores, others)

    found = comparison.difference
    assert (found.estimate, comparison.p_value) == (0, 1)
    assert (found.lower, found.upper) == pytest.approx((bound - 1, 1 - bound))


@pytest.mark.parametrize("count", [2, 3, 5, 30])
def test_right_against_useless(count: int) -> None:
    labels = np.repeat([0, 1], count)
    right, useless = np.arange(2 * count), np.zeros(2 * count)
    comparison = compare_aucs(labels, right, useless)

    assert comparison.difference.estimate == 0.5
    # The interval holds 0 if, and only if, the p value is above 0.05.
    assert (comparison.difference.lower > 0) == (comparison.p_value < 0.05) == (count > 3)
    back = compare_aucs(labels, useless, right)
    assert back.p_value == pytest.approx(comparison.p_value)


def test_opposites_are_within_the_range_of_differences() -> None:
    labels = np.repeat([0, 1], 10)
    found = compare_aucs(labels, np.arange(20), -np.arange(20)).difference

    assert (found.estimate, found.upper) == (1, 1)
    assert 0.6 < found.lower < 1
