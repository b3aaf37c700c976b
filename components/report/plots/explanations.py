"""Whether heat maps lie where they should, and whether the model looks where they are hot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.explanation_probe.measures import Faithfulness, Measures
from components.report.figures import finding_name
from components.report.plots.forest import Row, forest
from components.report.plots.palette import SERIES
from components.report.plots.style import DASHES, plain, styled

# Of more findings the other measures are left to the table.
_MOST_WITH_ALL = 2


def localisation(measures: Measures) -> Figure:
    """The model's maps above the floors, measure by measure."""
    shown = [one for one in measures.localisation if one.measures]
    rows = []
    for one in shown:
        of = [each for each in one.measures if len(shown) <= _MOST_WITH_ALL or each is one.pointing]
        for each in of:
            name = f"{one.dataset}, {finding_name(one.finding)}"
            rows.append(Row(f"{name}: {each.measure}", each.model, (f"{one.films:,}",)))
            rows += [Row(floor, value, ("",), group=1) for floor, value in each.floors.items()]
    return forest(
        rows,
        axis_label="share of films whose hottest place hits, IoU, share of heat in boxes",
        columns=("films",),
        heading="mean",
        ends=(0.0, 1.0),
    )


@styled
def faithfulness(measures: Measures) -> Figure:
    """The probability while films are taken apart, and put together again."""
    found = measures.faithfulness
    figure = Figure(figsize=(9.6, 3.1 * len(found)), layout="constrained")
    grid = figure.subplots(len(found), 2, squeeze=False, sharex=True, sharey="row")
    for row, one in zip(grid, found, strict=True):
        _curves(row[0], one.deletion, f"{_name(one)}: deletion", "share of cells blurred")
        _curves(row[1], one.insertion, f"{_name(one)}: insertion", "share of cells put back")
        row[0].set_ylabel("mean probability")
        row[1].legend()
    return figure


def _curves(axis: Axes, curves: Mapping[str, tuple[float, ...]], title: str, label: str) -> None:
    for number, (order, values) in enumerate(curves.items()):
        axis.plot(
            np.linspace(0, 1, len(values)),
            values,
            color=SERIES[number % len(SERIES)],
            linestyle=DASHES[number % len(DASHES)],
            label={"heat": "hottest first", "centre": "from the centre"}.get(order, order),
        )
    axis.set(title=title, xlabel=label, xlim=(0, 1), ylim=(0, 1.02))
    axis.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "¼", "½", "¾", "1"])
    axis.grid()


def _name(one: Faithfulness) -> str:
    return plain(finding_name(one.finding), 24)
