"""Decisions beside labels."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from components.evaluator.judgement import Confusion
from components.report.figures import share
from components.report.plots.palette import INK, SERIES, SOFT
from components.report.plots.style import plain, styled


@styled
def confusion(counts: Confusion, class_names: tuple[str, str]) -> Figure:
    """The confusion matrix at the operating point: counts, and shares of each row.

    Args:
      counts: of the images.
      class_names: of the negative and the positive class.
    """
    rows = (
        (counts.true_negatives, counts.false_positives),
        (counts.false_negatives, counts.true_positives),
    )
    figure = Figure(figsize=(3.9, 3.5), layout="constrained")
    axis = figure.subplots()
    for y, row in enumerate(rows):
        for x, (count, part) in enumerate(zip(row, share(row), strict=True)):
            # Text stays readable on the darkest, in either theme.
            corner, alpha = (x - 0.49, y - 0.49), 0.04 + 0.36 * part
            axis.add_patch(
                Rectangle(corner, 0.98, 0.98, facecolor=SERIES[0], alpha=alpha, linewidth=0)
            )
            axis.text(x, y - 0.08, f"{count:,}", ha="center", va="center", fontsize=15, color=INK)
            axis.text(x, y + 0.22, f"{100 * part:.1f} %", ha="center", va="center", color=SOFT)
    axis.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal")
    names = [plain(name, 14) for name in class_names]
    axis.set_xticks([0, 1], names)
    axis.set_yticks([0, 1], names, rotation=90, va="center")
    axis.set(xlabel="decided", ylabel="labelled")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return figure
