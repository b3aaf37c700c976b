"""Two models side by side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.report.comparison import compare, paired_tests
from components.statistics.roc import auc
from tests.components.report import samples


def test_differences_are_the_seconds_minus_the_firsts() -> None:
    first, second = samples.figures({"nih": 200}), samples.figures({"nih": 200}, skill=5.0)

    lines = {line.name: line for line in compare(first, second)}

    before, after = (one.headlines()[0].findings[0] for one in (first, second))
    assert before.auc is not None
    assert after.auc is not None
    change = after.auc.estimate - before.auc.estimate
    assert lines["AUC"].difference == pytest.approx(change)
    assert lines["AUC"].cells == (
        "nih", "AUC", str(before.auc), str(after.auc), f"{change:+.3f}",
    )  # fmt: skip
    assert lines["F1"].first == before.f1


def test_only_datasets_of_both_are_compared() -> None:
    both = samples.figures({"nih": 120, "pediatric": 120})
    assert {line.dataset for line in compare(both, samples.figures({"nih": 90}))} == {"nih"}


def test_the_same_images_are_tested_in_whatever_order() -> None:
    first = samples.scores({"nih": 300})
    worse = first.probabilities + np.random.default_rng(0).normal(0, 0.3, (300, 1))
    shuffled = np.random.default_rng(1).permutation(300)
    second = dataclasses.replace(first, probabilities=worse).where(shuffled)

    (test,) = paired_tests(first, second)

    expected = auc(first.labels[:, 0], worse[:, 0]) - auc(
        first.labels[:, 0], first.probabilities[:, 0]
    )
    assert (test.dataset, test.n) == ("nih", 300)
    assert test.comparison.difference.estimate == pytest.approx(expected)
    assert test.comparison.p_value < 0.05


def test_other_images_or_labels_are_not_paired() -> None:
    first = samples.scores({"nih": 100})
    fewer = first.where(np.arange(100) > 0)
    labels = first.labels.copy()
    labels[0] = 1 - labels[0]

    assert not paired_tests(first, fewer)
    assert not paired_tests(first, dataclasses.replace(first, labels=labels))
