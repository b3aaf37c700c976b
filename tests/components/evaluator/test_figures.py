"""Figures out of counts, and where there are none."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from components.evaluator import figures
from components.evaluator.figures import AT_OPERATING_POINT, Confusion


def at_operating_point(*counts: int) -> dict[str, float]:
    return {name: figure(Confusion(*counts)) for name, figure in AT_OPERATING_POINT.items()}


def test_figures_of_both_classes() -> None:
    found = at_operating_point(8, 5, 15, 2)
    assert found == pytest.approx(
        {
            "sensitivity": 0.8,
            "specificity": 0.75,
            "ppv": 8 / 13,
            "npv": 15 / 17,
            "f1": 16 / 23,
            "balanced_accuracy": 0.775,
            "positives": 10,
            "negatives": 20,
            "true_positives": 8,
            "false_positives": 5,
            "true_negatives": 15,
            "false_negatives": 2,
        }
    )


@pytest.mark.parametrize(
    ("counts", "undefined"),
    [
        ((3, 0, 0, 1), {"specificity", "ppv", "npv", "f1", "balanced_accuracy"}),
        ((0, 3, 1, 0), {"sensitivity", "ppv", "npv", "f1", "balanced_accuracy"}),
        # Nothing called, nothing cleared.
        ((0, 0, 4, 2), {"ppv"}),
        ((4, 2, 0, 0), {"npv"}),
    ],
)
def test_what_the_images_do_not_define_is_not_a_number(
    counts: tuple[int, ...], undefined: set[str]
) -> None:
    found = at_operating_point(*counts)
    assert {name for name, value in found.items() if math.isnan(value)} == undefined


def test_areas_are_those_of_sklearn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200)
    scores = np.round(rng.normal(labels, 1.5), 1)
    thresholds = [-np.inf, *np.unique(scores), np.inf]
    found = [np.sum((scores >= one) & (labels == 1)) for one in thresholds]
    alarms = [np.sum((scores >= one) & (labels == 0)) for one in thresholds]
    assert figures.auc(found, alarms) == pytest.approx(roc_auc_score(labels, scores))
    precision = average_precision_score(labels, scores)
    assert figures.average_precision(found, alarms) == pytest.approx(precision)


@pytest.mark.parametrize(("found", "alarms"), [([3, 1, 0], [0, 0, 0]), ([0, 0, 0], [3, 1, 0])])
def test_no_area_without_both_classes(found: list[int], alarms: list[int]) -> None:
    assert math.isnan(figures.auc(found, alarms))
    assert math.isnan(figures.average_precision(found, alarms))


def test_a_mean_is_over_what_is_defined() -> None:
    assert figures.mean_of_defined([0.5, math.nan, 0.7]) == pytest.approx(0.6)
    assert math.isnan(figures.mean_of_defined([math.nan]))
