"""What was seen of the training."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.report.figures import Figures
from components.report.plots.palette import SERIES, SOFT
from components.report.plots.style import DASHES, plain, styled

_METRICS = {"loss": "loss", "auc": "AUC"}


@styled
def training(figures: Figures, phase: str) -> Figure:
    """Loss and AUC of training and validation by epoch; the epoch that was kept is marked."""
    history = figures.history[phase]
    epochs = range(1, len(history["loss"]) + 1)
    kept = kept_epoch(figures, phase)
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    for axis, (metric, label) in zip(figure.subplots(1, 2), _METRICS.items(), strict=True):
        for number, (key, name) in enumerate(((metric, "training"), (f"val_{metric}", "val"))):
            axis.plot(
                epochs,
                history[key],
                color=SERIES[number],
                linestyle=DASHES[number],
                label={"val": "validation"}.get(name, name),
                marker="o" if len(epochs) < 30 else "",
                markersize=2.5,
            )
        axis.axvline(kept, color=SOFT, linewidth=0.9, linestyle=":", label=f"kept: epoch {kept}")
        axis.set(title=f"{plain(phase)}: {label}", xlabel="epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.grid()
    figure.axes[0].legend()
    return figure


def kept_epoch(figures: Figures, phase: str) -> int:
    """The epoch with the lowest validation loss, counted from 1."""
    losses = figures.history[phase]["val_loss"]
    return 1 + min(range(len(losses)), key=losses.__getitem__)
