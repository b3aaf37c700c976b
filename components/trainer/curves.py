"""What training looked like: as numbers, and as a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.trainer.fitting import History

CURVES = "curves.png"
HISTORY = "history.json"

_METRICS = {"loss": "loss", "auc": "AUC"}


def keep_history(phases: Mapping[str, History], folder: Path) -> None:
    """Write Keras' history of each phase, by its name, and the curves.

    Args:
      phases: by name.
      folder: gets `history.json` and `curves.png`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HISTORY).write_text(json.dumps(phases) + "\n")
    draw_curves(phases, folder / CURVES)


def draw_curves(phases: Mapping[str, History], path: Path) -> None:
    """Loss and AUC of training and validation by epoch, one row for each phase, as PNG.

    The epoch whose weights were kept is marked.

    Args:
      phases: Keras' history of each, by name.
      path: of the PNG.
    """
    figure = Figure(figsize=(10, 3.6 * len(phases)), layout="constrained")
    rows = figure.subplots(len(phases), len(_METRICS), squeeze=False)
    for axes, (name, history) in zip(rows, phases.items(), strict=True):
        epochs = range(1, len(history["loss"]) + 1)
        kept = 1 + min(range(len(epochs)), key=history["val_loss"].__getitem__)
        for axis, (metric, label) in zip(axes, _METRICS.items(), strict=True):
            axis.plot(epochs, history[metric], marker=".", label="training")
            axis.plot(epochs, history[f"val_{metric}"], marker=".", label="validation")
            axis.axvline(kept, color="grey", linestyle=":", label="lowest validation loss")
            axis.set(title=f"{name}: {label}", xlabel="epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axis.grid(alpha=0.3)
        axes[0].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
