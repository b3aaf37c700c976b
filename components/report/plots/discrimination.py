"""ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.evaluator.judgement import Performance
from components.report.figures import Curve, Curves, Figures, best_auc, finding_name
from components.report.plots.palette import INK, SERIES, SOFT
from components.report.plots.style import DASHES, MARKERS, plain, square, styled
from components.statistics.interval import Interval

_PANELS = 5
# The precision at a recall is that of the first threshold that reaches it.
_STEPS = "steps-pre"


@styled
def roc(figures: Figures) -> Figure:
    """The ROC curve of each dataset with its band, and the operating point on it.

    For a model of one finding.
    """
    figure, axis = _square_figure()
    square(axis, "1 − specificity", "sensitivity")
    axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
    for number, (curves, performance) in enumerate(_by_dataset(figures)):
        auc = best_auc(performance)
        label = f"{plain(curves.dataset)}: AUC {auc}" if auc else plain(curves.dataset)
        if curves.roc:
            _draw(axis, curves.roc, number, label)
        specificity, sensitivity = performance.specificity, performance.sensitivity
        if specificity and sensitivity:
            _mark(axis, _complement(specificity), sensitivity, number)
    _legend(axis, "lower right")
    return figure


@styled
def precision_recall(figures: Figures) -> Figure:
    """The precision-recall curve of each dataset with its band, and the operating point on it.

    For a model of one finding.
    """
    figure, axis = _square_figure()
    square(axis, "recall (sensitivity)", "precision (PPV)")
    for number, (curves, performance) in enumerate(_by_dataset(figures)):
        precision = performance.average_precision
        label = f"{plain(curves.dataset)}: AP {precision}" if precision else plain(curves.dataset)
        if curves.precision_recall:
            _draw(axis, curves.precision_recall, number, label, steps=True)
        if performance.n:
            prevalence = performance.positives / performance.n
            axis.axhline(prevalence, color=SERIES[number % len(SERIES)], linewidth=0.8, ls=":")
        if performance.sensitivity and performance.ppv:
            _mark(axis, performance.sensitivity, performance.ppv, number)
    _legend(axis, "lower left")
    return figure


@styled
def roc_panels(figures: Figures, dataset: str) -> Figure:
    """The ROC curve of each finding on one dataset, in small multiples."""

    def draw(axis: Axes, curves: Curves, performance: Performance) -> None:
        axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.7, linestyle=":")
        if curves.roc:
            axis.plot(curves.roc.x, curves.roc.y, color=SERIES[0], linewidth=1.3)
        auc = best_auc(performance)
        _say(axis, 0.97, f"AUC {auc.estimate:.3f}" if auc else "one class", performance)

    return panels(figures, dataset, draw, x="1 − specificity", y="sensitivity")


@styled
def precision_recall_panels(figures: Figures, dataset: str) -> Figure:
    """The precision-recall curve of each finding on one dataset, in small multiples."""

    def draw(axis: Axes, curves: Curves, performance: Performance) -> None:
        axis.axhline(performance.positives / performance.n, color=SOFT, linewidth=0.7, ls=":")
        if curves.precision_recall:
            line = curves.precision_recall
            axis.plot(line.x, line.y, color=SERIES[0], linewidth=1.3, drawstyle=_STEPS)
        precision = performance.average_precision
        said = f"AP {precision.estimate:.3f}" if precision else "one class"
        _say(axis, 0.97, said, performance, top=True)

    return panels(figures, dataset, draw, x="recall", y="precision")


def panels(
    figures: Figures,
    dataset: str,
    draw: Callable[[Axes, Curves, Performance], None],
    *,
    x: str,
    y: str,
) -> Figure:
    """A small square plot for each finding.

    Args:
      figures: of a model of several findings.
      dataset: whose test images.
      draw: the content of one plot.
      x: what the horizontal axes show.
      y: what the vertical axes show.
    """
    headline = next(one for one in figures.headlines() if one.slice["dataset"] == dataset)
    curves = {one.finding: one for one in figures.curves if one.dataset == dataset}
    findings = [one for one in headline.findings if one.finding in curves]
    rows = -(-len(findings) // _PANELS)
    figure = Figure(figsize=(9.6, 0.35 + 2.02 * rows), layout="constrained")
    grid = figure.subplots(rows, _PANELS, squeeze=False, sharex=True, sharey=True)
    for axis, performance in zip(grid.flat, findings, strict=False):
        axis.set_title(plain(finding_name(performance.finding), 22), fontsize=8.5, pad=4)
        axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axis.set_xticks([0, 0.5, 1])
        axis.set_yticks([0, 0.5, 1])
        axis.grid()
        draw(axis, curves[performance.finding], performance)
    for axis in grid.flat[len(findings) :]:
        axis.set_axis_off()
    figure.supxlabel(x, fontsize=9, color=SOFT)
    figure.supylabel(y, fontsize=9, color=SOFT)
    return figure


def _say(axis: Axes, x: float, said: str, performance: Performance, *, top: bool = False) -> None:
    axis.text(
        x,
        0.95 if top else 0.06,
        f"{said}\n{performance.positives:,} positive",
        transform=axis.transAxes,
        ha="right",
        va="top" if top else "bottom",
        fontsize=7.5,
        color=INK,
    )


def _by_dataset(figures: Figures) -> Sequence[tuple[Curves, Performance]]:
    headlines = {one.slice["dataset"]: one.findings[0] for one in figures.headlines()}
    return [(one, headlines[one.dataset]) for one in figures.curves if one.dataset in headlines]


def _square_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4.7, 4.6), layout="constrained")
    return figure, figure.subplots()


def _draw(axis: Axes, curve: Curve, number: int, label: str, *, steps: bool = False) -> None:
    colour = SERIES[number % len(SERIES)]
    if curve.band_x:
        axis.fill_between(curve.band_x, curve.lower, curve.upper, color=colour, alpha=0.16, lw=0)
    axis.plot(
        curve.x,
        curve.y,
        color=colour,
        linestyle=DASHES[number % len(DASHES)],
        drawstyle=_STEPS if steps else "default",
        label=label,
    )


def _mark(axis: Axes, x: Interval, y: Interval, number: int) -> None:
    """The operating point with the intervals of both its figures."""
    axis.errorbar(
        x.estimate,
        y.estimate,
        xerr=[[max(0.0, x.estimate - x.lower)], [max(0.0, x.upper - x.estimate)]],
        yerr=[[max(0.0, y.estimate - y.lower)], [max(0.0, y.upper - y.estimate)]],
        color=INK,
        elinewidth=1,
        marker=MARKERS[number % len(MARKERS)],
        markersize=5,
        markerfacecolor=SERIES[number % len(SERIES)],
        markeredgecolor=INK,
        markeredgewidth=0.8,
        zorder=4,
    )


def _complement(one: Interval) -> Interval:
    return one.model_copy(
        update={"estimate": 1 - one.estimate, "lower": 1 - one.upper, "upper": 1 - one.lower}
    )


def _legend(axis: Axes, place: Literal["lower left", "lower right"]) -> None:
    if axis.get_legend_handles_labels()[0]:
        axis.legend(loc=place, handlelength=2.2)
