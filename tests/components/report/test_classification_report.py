"""The classification report against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from components.evaluator.judgement import Confusion
from components.report.classification_report import classification_report

NAMES = ("normal", "pneumonia")


def test_it_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 200)
    decisions = np.where(rng.random(200) < 0.8, labels, 1 - labels)
    tn, fp, fn, tp = metrics.confusion_matrix(labels, decisions).ravel().tolist()
    counts = Confusion(true_positives=tp, false_positives=fp, true_negatives=tn, false_negatives=fn)

    found = classification_report(counts, NAMES)

    expected = metrics.classification_report(
        labels, decisions, target_names=NAMES, output_dict=True
    )
    assert found.accuracy == pytest.approx(expected["accuracy"])
    for line in (*found.classes, *found.averages):
        theirs = expected[line.name]
        assert line.precision == pytest.approx(theirs["precision"])
        assert line.recall == pytest.approx(theirs["recall"])
        assert line.f1 == pytest.approx(theirs["f1-score"])
        assert line.support == theirs["support"]


def test_what_is_not_defined_is_none_and_not_0() -> None:
    nothing_found = Confusion(
        true_positives=0, false_positives=0, true_negatives=8, false_negatives=2
    )

    found = classification_report(nothing_found, NAMES)

    assert found.classes[1].precision is None
    assert found.classes[1].recall == 0
    assert found.classes[1].f1 is None
    assert found.averages[0].precision is None
    assert found.averages[0].recall == pytest.approx(0.5)
    assert found.accuracy == pytest.approx(0.8)
