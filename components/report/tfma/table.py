"""The figures of an evaluation as a plain table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from components.report.tfma.evaluation import Evaluation, Slice, bounds, number

NOT_DEFINED = "not defined"


@dataclasses.dataclass(frozen=True)
class Row:
    """The figures of one class on one slice.

    Attributes:
      slice_name: in words.
      finding: empty for a model's only class, and for figures of all classes together.
      figures: a text for each column, empty where the metric is not measured.
    """

    slice_name: str
    finding: str
    figures: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Table:
    """Rows of figures.

    Attributes:
      outputs: of the model, with how many columns each has.
      columns: names of the metrics, all of the first output first.
      rows: slice after slice.
    """

    outputs: Mapping[str, int]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def has_findings(self) -> bool:
        """Whether a slice has more than one row."""
        return any(row.finding for row in self.rows)


def to_table(evaluation: Evaluation) -> Table:
    """Every single number of an evaluation; what is no single number is left out."""
    columns = _columns(evaluation)
    whole = {column: _is_a_count(evaluation, *column) for column in columns}
    outputs: dict[str, int] = {}
    for output, _ in columns:
        outputs[output] = outputs.get(output, 0) + 1
    rows = [
        Row(
            one.name,
            class_name.partition(":")[2],
            tuple(
                _text(
                    one.metrics.get(output, {}).get(class_name, {}).get(name), whole[output, name]
                )
                for output, name in columns
            ),
        )
        for one in evaluation.slices
        for class_name in _classes(one)
    ]
    names = tuple(name.replace("_", " ") for _, name in columns)
    return Table(outputs, names, tuple(rows))


def _columns(evaluation: Evaluation) -> list[tuple[str, str]]:
    found: dict[str, dict[str, None]] = {}
    for one in evaluation.slices:
        for output, classes in one.metrics.items():
            for metrics in classes.values():
                for name, metric in metrics.items():
                    if number(metric) is not None:
                        found.setdefault(output, {})[name] = None
    return [(output, name) for output, names in found.items() for name in names]


def _classes(one: Slice) -> list[str]:
    return list(dict.fromkeys(name for classes in one.metrics.values() for name in classes))


def _is_a_count(evaluation: Evaluation, output: str, name: str) -> bool:
    values = [
        number(metrics[name])
        for one in evaluation.slices
        for metrics in one.metrics.get(output, {}).values()
        if name in metrics
    ]
    known = [value for value in values if value is not None]
    return all(value.is_integer() for value in known) and any(value > 1 for value in known)


def _text(metric: Mapping[str, Any] | None, whole: bool) -> str:
    value = None if metric is None else number(metric)
    if metric is None or value is None:
        return ""
    if not math.isfinite(value):
        return NOT_DEFINED
    if whole:
        return f"{value:,.0f}"
    interval = bounds(metric)
    if interval is None or not all(map(math.isfinite, interval)):
        return f"{value:.3f}"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
