"""Probabilities beside what became of the images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from components.evaluator.judgement import Performance
from components.report.figures import Bin, Curves, Figures
from components.report.plots.discrimination import panels
from components.report.plots.palette import CARD, SERIES, SOFT
from components.report.plots.style import square, styled


@styled
def reliability(figures: Figures, dataset: str) -> Figure:
    """Share of positives by predicted probability, and how many images each bin has.

    For a model of one finding.
    """
    (curves,) = (one for one in figures.curves if one.dataset == dataset)
    figure = Figure(figsize=(4.7, 5.1))
    axis = figure.add_axes(_inches(figure, left=0.62, bottom=1.3, width=3.7, height=3.7))
    counts = figure.add_axes(_inches(figure, left=0.62, bottom=0.52, width=3.7, height=0.6))
    square(axis, "", "share of positives")
    axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
    axis.tick_params(labelbottom=False)
    _draw(axis, curves.reliability, size=6)
    counts.bar(
        [one.probability for one in curves.reliability],
        [one.n for one in curves.reliability],
        width=0.035,
        color=SERIES[0],
        alpha=0.75,
    )
    counts.set(xlabel="predicted probability (mean of the bin)", ylabel="images", yscale="log")
    counts.set(xlim=axis.get_xlim(), ylim=(0.7, None), xticks=axis.get_xticks())
    counts.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    counts.minorticks_off()
    return figure


@styled
def reliability_panels(figures: Figures, dataset: str) -> Figure:
    """The same of each finding on one dataset, in small multiples."""

    def draw(axis: Axes, curves: Curves, performance: Performance) -> None:
        axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.7, linestyle=":")
        _draw(axis, curves.reliability, size=4)
        said = f"ECE {performance.ece.estimate:.3f}" if performance.ece else ""
        axis.text(0.97, 0.06, said, transform=axis.transAxes, ha="right", fontsize=7.5)

    return panels(figures, dataset, draw, x="predicted probability", y="share of positives")


def _inches(
    figure: Figure, *, left: float, bottom: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """A place as matplotlib wants it: fractions of the figure."""
    across, up = figure.get_size_inches()
    return left / across, bottom / up, width / across, height / up


def _draw(axis: Axes, bins: tuple[Bin, ...], size: float) -> None:
    axis.errorbar(
        [one.probability for one in bins],
        [one.share.estimate for one in bins],
        yerr=[
            [max(0.0, one.share.estimate - one.share.lower) for one in bins],
            [max(0.0, one.share.upper - one.share.estimate) for one in bins],
        ],
        linestyle="none",
        color=SERIES[0],
        elinewidth=1.1,
        marker="o",
        markersize=size,
        markeredgecolor=CARD,
        markeredgewidth=0.6,
    )
