"""What becomes of a model on worse films."""

from __future__ import annotations

from matplotlib.figure import Figure

from components.report.figures import UNTOUCHED, Figures
from components.report.plots.palette import SERIES, SOFT
from components.report.plots.style import DASHES, MARKERS, plain, styled

_METRICS = {"auc": "AUC", "ece": "calibration error"}


@styled
def robustness(figures: Figures) -> Figure:
    """AUC and calibration error by corruption and severity; of several findings, their means."""
    found = figures.worsened()
    corruptions = list(dict.fromkeys(one.corruption for one in found if one.severity))
    datasets = list(dict.fromkeys(one.dataset for one in found))
    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    grid = figure.subplots(
        len(_METRICS), len(corruptions), squeeze=False, sharex=True, sharey="row"
    )
    for row, (metric, label) in zip(grid, _METRICS.items(), strict=True):
        for axis, corruption in zip(row, corruptions, strict=True):
            for number, dataset in enumerate(datasets):
                known = [
                    (one.severity, getattr(one, metric))
                    for one in found
                    if one.dataset == dataset and one.corruption in (corruption, UNTOUCHED)
                    if getattr(one, metric) is not None
                ]
                axis.plot(
                    [severity for severity, _ in known],
                    [value for _, value in known],
                    color=SERIES[number % len(SERIES)],
                    linestyle=DASHES[number % len(DASHES)],
                    marker=MARKERS[number % len(MARKERS)],
                    markersize=3.5,
                    label=plain(dataset),
                )
            axis.set_xticks([0, 1, 2, 3])
            axis.grid()
        row[0].set_ylabel(label)
    for axis, corruption in zip(grid[0], corruptions, strict=True):
        axis.set_title(plain(corruption.replace("_", " "), 16), fontsize=8.5)
    figure.supxlabel("severity; 0: the films as they are", fontsize=9, color=SOFT)
    if len(datasets) > 1:
        grid[0][0].legend()
    return figure
