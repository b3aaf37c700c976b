"""From scores to curves."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from components.report.curves import draw_curves
from tests.components.report import samples


def test_the_area_under_the_curve_is_the_auc_of_each_dataset() -> None:
    scores = samples.scores({"pediatric": 120, "nih": 300})

    found = {one.dataset: one for one in draw_curves(scores)}

    assert set(found) == {"pediatric", "nih"}
    for name, curves in found.items():
        own = scores.where(scores.datasets == name)
        assert curves.roc is not None
        area = np.trapezoid(curves.roc.y, curves.roc.x)
        assert area == pytest.approx(roc_auc_score(own.labels[:, 0], own.probabilities[:, 0]))


def test_the_band_holds_the_curve() -> None:
    (curves,) = draw_curves(samples.scores({"nih": 300}))

    assert curves.roc is not None
    inner = np.interp(0.3, curves.roc.x, curves.roc.y)
    lower, upper = (
        np.interp(0.3, curves.roc.band_x, end) for end in (curves.roc.lower, curves.roc.upper)
    )
    assert lower < inner < upper


def test_every_image_is_in_a_bin() -> None:
    (curves,) = draw_curves(samples.scores({"nih": 300}))

    assert sum(one.n for one in curves.reliability) == 300
    assert [one.probability for one in curves.reliability] == sorted(
        one.probability for one in curves.reliability
    )


def test_one_class_has_no_curve_but_bins() -> None:
    scores = samples.scores({"pediatric": 100})
    (curves,) = draw_curves(scores.where(scores.labels[:, 0] == 1))

    assert curves.roc is None
    assert curves.precision_recall is None
    assert curves.reliability


def test_few_patients_have_a_curve_without_a_band() -> None:
    scores = samples.scores({"pediatric": 3}, seed=5)
    assert len(set(scores.patients)) == 1
    assert 0 < scores.labels.sum() < 3

    (curves,) = draw_curves(scores)

    assert curves.roc is not None
    assert not curves.roc.band_x


def test_several_findings_have_a_curve_each() -> None:
    found = draw_curves(samples.scores({"nih": 400}, outputs=samples.FINDINGS[:3]))

    assert [one.finding for one in found] == list(samples.FINDINGS[:3])
    assert all(one.roc is not None and not one.roc.band_x for one in found)
