"""Estimates with their intervals, one under another."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.evaluator.judgement import LAST_BLESSED, SlicePerformance
from components.report.figures import (
    Figures,
    auc_of,
    best_auc,
    finding_name,
    slice_name,
)
from components.report.plots.palette import INK, RULE, SERIES, SOFT
from components.report.plots.style import MARKERS, plain, styled
from components.report.tables import signed
from components.statistics.interval import Interval

_ROW = 0.27
_LEFT, _RIGHT, _HEAD, _FOOT = 2.55, 3.7, 0.32, 0.5
_WIDTH = 9.9
# Right of the axis, in inches: the first column, and from one to the next.
_GAP, _COLUMN = 0.2, 0.62


@dataclasses.dataclass(frozen=True)
class Row:
    """One estimate.

    Attributes:
      name: whose it is.
      estimate: None where it is not defined.
      columns: what else is said of it, in words.
      instead: what is said where there is no estimate.
      group: whose colour and marker it has.
    """

    name: str
    estimate: Interval | None
    columns: tuple[str, ...]
    instead: str = "not defined"
    group: int = 0


@styled
def forest(
    rows: Sequence[Row],
    *,
    axis_label: str,
    columns: tuple[str, ...],
    heading: str = "AUC",
    say: Callable[[Interval], str] = str,
    reference: float | None = None,
    ends: tuple[float, float] | None = (0.9, 1.0),
) -> Figure:
    """A forest plot: names, intervals, and the numbers beside them.

    Args:
      rows: from top to bottom.
      axis_label: what is estimated, with its unit.
      columns: headings of the rows' columns.
      heading: of the estimates.
      say: an estimate in words.
      reference: where a line is drawn, such as that of no difference.
      ends: what the axis shows in any case, and where it ends; None: as far as the intervals go.
    """
    height = _HEAD + _ROW * len(rows) + _FOOT
    figure = Figure(figsize=(_WIDTH, height))
    across = _WIDTH - _LEFT - _RIGHT
    box = (
        _LEFT / _WIDTH,
        _FOOT / height,
        across / _WIDTH,
        _ROW * len(rows) / height,
    )
    axis = figure.add_axes(box)
    known = [row.estimate for row in rows if row.estimate]
    shown = [end for one in known for end in (one.lower, one.upper)]
    shown += [*(ends or ()), *([] if reference is None else [reference])]
    lowest, highest = min(shown, default=0.0), max(shown, default=1.0)
    if ends:
        highest = ends[1]
    pad = 0.04 * (highest - lowest)
    axis.set(xlim=(lowest - pad, highest + pad), ylim=(len(rows) - 0.5, -0.5), xlabel=axis_label)
    axis.set_yticks(range(len(rows)), [plain(row.name) for row in rows])
    axis.tick_params(axis="y", length=0, labelcolor=INK, labelsize=9)
    axis.spines["left"].set_visible(False)
    axis.grid(axis="x")
    if reference is not None:
        axis.axvline(reference, color=SOFT, linewidth=0.9)
    places = [1 + (_GAP + _COLUMN * number) / across for number in range(len(columns) + 1)]
    to_axes = axis.get_yaxis_transform()
    level = next((one.level for one in known), 0.95)
    for place, text in zip(places, (*columns, f"{heading} ({100 * level:g} %)"), strict=True):
        axis.text(place, -0.8, text, transform=to_axes, va="bottom", fontsize=8.5, color=SOFT)
    for number, row in enumerate(rows):
        if number % 2:
            # Leads the eye from the name to the numbers.
            axis.axhspan(number - 0.5, number + 0.5, color=RULE, alpha=0.22, lw=0)
        if row.estimate:
            _draw(axis, number, row)
        said = say(row.estimate) if row.estimate else row.instead
        for place, text in zip(places, (*row.columns, said), strict=True):
            colour = INK if row.estimate else SOFT
            axis.text(
                place, number, text, transform=to_axes, va="center", fontsize=8.5, color=colour
            )
    return figure


def slices(figures: Figures) -> Figure:
    """The AUC of each slice of the test images; of several findings, the macro AUC."""
    rows = []
    for one in figures.slices():
        counts = [f"{one.n:,}"]
        if not figures.several_findings:
            counts.append(f"{one.findings[0].positives:,}")
        rows.append(
            Row(
                name=slice_name(one.slice) + (" (pooled)" if figures.is_pooled(one) else ""),
                estimate=auc_of(one),
                columns=tuple(counts),
                instead=_instead(one),
                group=0 if set(one.slice) == {"dataset"} else 1,
            )
        )
    several = figures.several_findings
    return forest(
        rows,
        axis_label="macro AUC" if several else "AUC",
        columns=("n",) if several else ("n", "positive"),
    )


def findings(figures: Figures, dataset: str) -> Figure:
    """The AUC of each finding on one dataset's test images."""
    headline = next(one for one in figures.headlines() if one.slice["dataset"] == dataset)
    rows = [
        Row(
            name=finding_name(one.finding),
            estimate=best_auc(one),
            columns=(f"{one.n:,}", f"{one.positives:,}"),
            instead="one class only",
        )
        for one in headline.findings
    ]
    rows.append(
        Row(
            name="macro",
            estimate=headline.macro_auc,
            columns=(f"{headline.n:,}", ""),
            group=1,
        )
    )
    return forest(rows, axis_label="AUC", columns=("n", "positive"))


def lifts(figures: Figures) -> Figure:
    """How much better than each trivial model, and than the last blessed one, this one is."""
    rows = [
        Row(
            name=f"{one.dataset}: {one.name}",
            estimate=one.lift,
            columns=(f"{one.auc.estimate:.3f}",),
            group=1 if one.name == LAST_BLESSED else 0,
        )
        for one in figures.judgement.baselines
    ]
    return forest(
        rows,
        axis_label="lift: this model’s AUC minus the other’s, on the same images",
        columns=("its AUC",),
        heading="lift",
        say=signed,
        reference=0.0,
        ends=None,
    )


def matrix(figures: Figures) -> Figure:
    """The AUC of a head that learnt from one dataset on each of them."""
    rows = [
        Row(
            name=f"{' and '.join(row['trained_on'])} → {cell['tested_on']}",
            estimate=Interval(**cell["auc"]) if cell["auc"] else None,
            columns=(f"{cell['n']:,}", f"{cell['positives']:,}"),
            instead="one class only",
            group=0 if row["trained_on"] == [cell["tested_on"]] else 1,
        )
        for row in (figures.matrix or {})["rows"]
        for cell in row["cells"]
    ]
    return forest(rows, axis_label="AUC", columns=("n", "positive"), reference=0.5, ends=(0.5, 1.0))


def _instead(one: SlicePerformance) -> str:
    """What a slice without an AUC still tells."""
    if len(one.findings) > 1:
        return "one class only"
    only = one.findings[0]
    if only.sensitivity:
        return f"sensitivity {only.sensitivity}"
    return f"specificity {only.specificity}"


def _draw(axis: Axes, y: int, row: Row) -> None:
    one = row.estimate
    assert one is not None
    axis.errorbar(
        one.estimate,
        y,
        xerr=[[max(0.0, one.estimate - one.lower)], [max(0.0, one.upper - one.estimate)]],
        color=SERIES[row.group],
        elinewidth=1.4,
        marker=MARKERS[row.group],
        markersize=5,
    )
