"""Figures of each dataset and finding."""

import numpy as np
import pytest

from components.robustness.figures import figures

LABELS = np.array([[0], [0], [1], [1], [0], [0]])
PROBABILITIES = np.array([[0.1], [0.6], [0.4], [0.9], [0.3], [0.3]])
DATASETS = np.array(["nih"] * 4 + ["pediatric"] * 2)


def test_each_dataset_has_its_figures():
    nih, pediatric = figures(
        PROBABILITIES, LABELS, DATASETS, ["pneumonia"], corruption="blur", severity=2, level=2.0
    )

    assert (nih.dataset, nih.n, nih.positives) == ("nih", 4, 2)
    assert (nih.corruption, nih.severity, nih.level) == ("blur", 2, 2.0)
    # One of four pairs is in the wrong order.
    assert nih.auc == pytest.approx(0.75)
    # Each image is alone in its bin: 0.1, 0.6, 0.6, 0.1 off.
    assert nih.ece == pytest.approx(0.35)
    assert pediatric.auc is None
    assert pediatric.ece == pytest.approx(0.3)


def test_each_finding_has_its_figures():
    labels = np.hstack([LABELS, 1 - LABELS])
    probabilities = np.hstack([PROBABILITIES, PROBABILITIES])

    found = figures(probabilities, labels, np.full(6, "nih"), ["Edema", "Mass"])

    assert [one.finding for one in found] == ["Edema", "Mass"]
    assert found[0].auc == pytest.approx(1 - found[1].auc)
    assert {(one.corruption, one.severity) for one in found} == {("none", 0)}
