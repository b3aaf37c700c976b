"""Two models' figures side by side, and a test where they looked at the same images."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from components.evaluator.judgement import Performance, SlicePerformance
from components.report.figures import Figures, auc_of, best_auc, finding_name
from components.report.tables import figure
from components.statistics.interval import Interval
from components.statistics.roc import Comparison, compare_aucs

if TYPE_CHECKING:
    # It reads with TensorFlow, which takes seconds to import.
    from components.scorer.scores import Scores


@dataclasses.dataclass(frozen=True)
class Line:
    """A figure of both.

    Attributes:
      dataset: on whose test images.
      name: of the figure.
      first: of the first model; None where it is not defined.
      second: of the second, likewise.
    """

    dataset: str
    name: str
    first: Interval | float | None
    second: Interval | float | None

    @property
    def difference(self) -> float | None:
        """The second minus the first."""
        if self.first is None or self.second is None:
            return None
        return _number(self.second) - _number(self.first)

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        """The line as text."""
        change = "–" if self.difference is None else f"{self.difference:+.3f}"
        return self.dataset, self.name, figure(self.first), figure(self.second), change


@dataclasses.dataclass(frozen=True)
class Paired:
    """The test of two models on the same images.

    Attributes:
      dataset: whose test images.
      finding: which is told.
      n: images.
      comparison: the second's AUC minus the first's, by DeLong.
    """

    dataset: str
    finding: str
    n: int
    comparison: Comparison


def compare(first: Figures, second: Figures) -> list[Line]:
    """The figures of the datasets that both were tested on; of several findings, their AUCs."""
    others = {one.slice["dataset"]: one for one in second.headlines()}
    return [
        line
        for one in first.headlines()
        if one.slice["dataset"] in others
        for line in _lines(one, others[one.slice["dataset"]])
    ]


def paired_tests(first: Scores, second: Scores) -> list[Paired]:
    """DeLong's paired test for each dataset whose test images both models scored.

    A dataset of which one model scored other images than the other, or under other labels, is left
    out; so is a finding that one of them does not tell, or that has one class.
    """
    found = []
    for dataset in sorted(set(first.datasets.tolist()) & set(second.datasets.tolist())):
        one, other = (
            first.where(first.datasets == dataset),
            second.where(second.datasets == dataset),
        )
        rows, its_rows = np.argsort(one.sha256), np.argsort(other.sha256)
        if not np.array_equal(one.sha256[rows], other.sha256[its_rows]):
            continue
        for finding in [name for name in one.outputs if name in other.outputs]:
            column, its_column = one.outputs.index(finding), other.outputs.index(finding)
            labels, its_labels = one.labels[rows, column], other.labels[its_rows, its_column]
            if not np.array_equal(labels, its_labels) or not np.ptp(labels):
                continue
            compared = compare_aucs(
                labels,
                other.probabilities[its_rows, its_column],
                one.probabilities[rows, column],
            )
            found.append(Paired(dataset, finding, len(labels), compared))
    return found


def _lines(first: SlicePerformance, second: SlicePerformance) -> Iterator[Line]:
    dataset = first.slice["dataset"]
    if len(first.findings) > 1:
        yield Line(dataset, "macro AUC", auc_of(first), auc_of(second))
    others = {one.finding: one for one in second.findings}
    for one in first.findings:
        other = others.get(one.finding)
        if other is None:
            continue
        if len(first.findings) > 1:
            name = f"AUC, {finding_name(one.finding)}"
            yield Line(dataset, name, best_auc(one), best_auc(other))
        else:
            yield from _whole(dataset, one, other)


def _whole(dataset: str, first: Performance, second: Performance) -> Iterator[Line]:
    yield Line(dataset, "AUC", best_auc(first), best_auc(second))
    for name in (
        "average_precision", "sensitivity", "specificity", "ppv", "npv", "f1", "brier", "ece",
    ):  # fmt: skip
        shown = name.upper() if len(name) < 4 else name.replace("_", " ")
        yield Line(dataset, shown, getattr(first, name), getattr(second, name))


def _number(value: Interval | float) -> float:
    return value.estimate if isinstance(value, Interval) else value
