"""What all plots have in common."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, ParamSpec

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.report.plots.palette import CARD, INK, RULE, SOFT

_RC: Any = {
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.facecolor": CARD,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.borderaxespad": 0.2,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "text.color": INK,
    # A dollar in the name of a file or slice is a dollar.
    "text.parse_math": False,
    "xtick.color": RULE,
    "xtick.labelcolor": SOFT,
    "xtick.labelsize": 8.5,
    "xtick.major.size": 3,
    "ytick.color": RULE,
    "ytick.labelcolor": SOFT,
    "ytick.labelsize": 8.5,
    "ytick.major.size": 3,
}
# Told apart without colour, too.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))
MARKERS = ("o", "s", "D", "^")

_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draw in the pages' style, whatever the caller's settings of matplotlib are."""
    return matplotlib.rc_context(_RC)(draw)


def plain(text: str, longest: int = 34) -> str:
    """A name as a label: on one line, without control characters, and not endless."""
    shown = "".join(" " if unicodedata.category(one)[0] == "C" else one for one in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def square(axis: Axes, x: str, y: str) -> None:
    """Both axes from 0 to 1."""
    axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y, aspect="equal")
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    axis.set_xticks(ticks)
    axis.set_yticks(ticks)
    axis.grid()
    axis.set_axisbelow(True)
