"""Probabilities beside what became of the images."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.evaluator.judgement import Performance
from components.report.figures import Bin, Curves, Figures
from components.report.plots.discrimination import panels
from components.report.plots.palette import CARD, SERIES, SOFT
from components.report.plots.style import plain, square, styled


@styled
def reliability(figures: Figures, dataset: str) -> Figure:
    """Share of positives by predicted probability, and how many images each bin has.

    For a model of one finding.
    """
    (curves,) = (one for one in figures.curves if one.dataset == dataset)
    figure = Figure(figsize=(4.7, 5.4), layout="constrained")
    axis, counts = figure.subplots(2, height_ratios=(5, 1), sharex=True)
    square(axis, "", "share of positives")
    axis.set_title(plain(dataset))
    axis.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
    _draw(axis, curves.reliability, size=6)
    counts.bar(
        [one.probability for one in curves.reliability],
        [one.n for one in curves.reliability],
        width=0.035,
        color=SERIES[0],
        alpha=0.75,
    )
    counts.set(xlabel="predicted probability (bin mean)", ylabel="images", yscale="symlog")
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


def _draw(axis: Axes, bins: tuple[Bin, ...], size: float) -> None:
    x = [one.probability for one in bins]
    y = [one.share.estimate for one in bins]
    axis.plot(x, y, color=SERIES[0], linewidth=1.1)
    axis.errorbar(
        x,
        y,
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
