"""An explanation as one picture for people: the film, the evidence on it, and what it means."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from serving.prediction import Explanation, FindingsPrediction, Prediction
from serving.prediction.quality import sentences

# The colours of heat, as the model draws them.
_COLOURS = "plasma"
_INK, _FAINT, _WARNING = "#1b1f24", "#5f6771", "#8a4b00"
_POSITIVE, _NEGATIVE = "#b3261e", "#4a5560"
_DPI = 150
_INCHES = 12.0
_FILM_INCHES = 4.6


@dataclass(frozen=True)
class Meaning:
    """What is known of a model beside its answers.

    Attributes:
      model: which model answered, for people to read.
      disclaimer: said at the foot of the picture.
      thresholds: operating points by the names of the model's outputs; empty where unknown.
      references: the logits that are drawn in the hottest colour, by the same names; empty where
        unknown.
    """

    model: str
    disclaimer: str
    thresholds: Mapping[str, float]
    references: Mapping[str, float]


def draw(explanation: Explanation, film: bytes, meaning: Meaning) -> bytes:
    """Draws the film, the evidence on it with its scale, and the answer in words.

    Args:
      explanation: the model's.
      film: the image as the model took it, JPEG or PNG.
      meaning: what the numbers mean.

    Returns:
      A PNG of 1800 pixels' width.
    """
    levels = _decoded(film, cv2.IMREAD_GRAYSCALE)
    overlay = _decoded(explanation.overlay_png, cv2.IMREAD_COLOR)[..., ::-1]
    answer = explanation.answer
    lines = _lines(explanation, meaning)
    warnings = sentences(answer.quality)
    height, width = levels.shape
    film_width = (_INCHES - 1.6) / 2
    film_height = min(max(film_width * height / width, 2.5), _FILM_INCHES)
    findings = len(answer.findings) if isinstance(answer, FindingsPrediction) else 0
    heights = [
        0.45 + 0.3 * len(lines) + 0.27 * len(warnings),
        film_height + 0.35,
        0.27 * findings + (0.5 if findings else 0.01),
        0.35,
    ]
    # Without pyplot, whose figures are kept and belong to one thread.
    figure = Figure(figsize=(_INCHES, sum(heights)), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    rows = figure.add_gridspec(
        4, 1, height_ratios=heights, left=0.03, right=0.97, top=0.98, bottom=0.01, hspace=0.06
    )
    _write(figure.add_subplot(rows[0]), answer.source, lines, warnings, heights[0])
    films = rows[1].subgridspec(1, 3, width_ratios=[1, 1, 0.03], wspace=0.06)
    _show(figure.add_subplot(films[0]), levels, "Film")
    _show(figure.add_subplot(films[1]), overlay, "Evidence on the film")
    _colour_bar(figure.add_subplot(films[2]), explanation, meaning)
    if isinstance(answer, FindingsPrediction):
        _bars(figure.add_subplot(rows[2]), answer, meaning)
    foot = figure.add_subplot(rows[3])
    foot.axis("off")
    foot.text(0, 0.4, meaning.disclaimer, weight="bold", color=_INK, fontsize=10)
    foot.text(1, 0.4, meaning.model, ha="right", color=_FAINT, fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _decoded(image: bytes, flags: int) -> NDArray[np.uint8]:
    # As TensorFlow decodes it, which heeds no EXIF orientation.
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise ValueError("an image that the model took cannot be decoded for the picture")
    return pixels  # type: ignore[return-value]


def _lines(explanation: Explanation, meaning: Meaning) -> list[tuple[str, str]]:
    """The answer in sentences, each with its colour; the first is the headline."""
    answer = explanation.answer
    if isinstance(answer, Prediction):
        (threshold,) = meaning.thresholds.values() or (None,)
        name = next(iter(meaning.thresholds), "the finding")
        side = "at or above" if answer.decision else "below"
        point = "the model's operating point"
        if threshold is not None:
            point += f" of {threshold:.3f}"
        return [
            (f"{answer.label}: probability {answer.probability:.3f}", _colour(answer.decision)),
            (f"The calibrated probability of {name} is {side} {point}, so it is decided as "
             f"{answer.label}.", _INK),
        ]  # fmt: skip
    present = [finding.name for finding in answer.findings if finding.decision]
    count = len(answer.findings)
    headline = ", ".join(present) or f"None of the {count} findings"
    return [
        (headline, _colour(bool(present))),
        (f"{len(present)} of {count} findings reach their operating points. "
         f"The evidence is that for {explanation.explained}.", _INK),
    ]  # fmt: skip


def _colour(is_positive: object) -> str:
    return _POSITIVE if is_positive else _NEGATIVE


def _write(
    axes: Axes, source: str, lines: list[tuple[str, str]], warnings: list[str], inches: float
) -> None:
    axes.axis("off")
    axes.set_ylim(inches, 0)
    (headline, colour), *others = lines
    axes.text(0, 0.05, _safe(textwrap.shorten(headline, 60)), va="top", fontsize=18, weight="bold",
              color=colour)  # fmt: skip
    axes.text(1, 0.1, _safe(_end_of(source, 60)), va="top", ha="right", fontsize=9, color=_FAINT)
    at = 0.5
    for text, ink in others:
        axes.text(0, at, _safe(text), va="top", fontsize=11, color=ink)
        at += 0.3
    for warning in warnings:
        axes.text(0, at, f"Warning: {_safe(warning)}", va="top", fontsize=11, color=_WARNING,
                  weight="bold")  # fmt: skip
        at += 0.27


def _show(axes: Axes, pixels: NDArray[np.uint8], title: str) -> None:
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="bicubic")
    axes.set_title(title, fontsize=10, color=_FAINT, loc="left", pad=4)
    axes.axis("off")


def _colour_bar(axes: Axes, explanation: Explanation, meaning: Meaning) -> None:
    name = explanation.explained or next(iter(meaning.references), "")
    reference = meaning.references.get(name)
    scale = Normalize(0, 1 if reference is None else reference)
    bar = Colorbar(axes, cmap=mpl.colormaps[_COLOURS], norm=scale)
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=8, colors=_FAINT)
    unit = "in logits"
    if reference is None:
        bar.set_ticks([0, 1], labels=["none", "most"])
        unit = "on the model's one scale for all films"
    about = f" for {name}" if name else ""
    bar.set_label(_safe(f"evidence{about}, {unit}"), fontsize=9, color=_FAINT)


def _bars(axes: Axes, answer: FindingsPrediction, meaning: Meaning) -> None:
    rows = np.arange(len(answer.findings))
    values = [finding.probability for finding in answer.findings]
    axes.barh(rows, values, height=0.62, color=[_colour(f.decision) for f in answer.findings])
    for row, finding in enumerate(answer.findings):
        threshold = meaning.thresholds.get(finding.name)
        if threshold is not None:
            axes.plot([threshold] * 2, [row - 0.42, row + 0.42], color=_INK, linewidth=1.5)
        axes.text(1.01, row, f"{finding.probability:.3f}", va="center", fontsize=9, color=_INK)
    axes.set_yticks(rows, [_safe(finding.name) for finding in answer.findings], fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    marks = "; marks are the operating points" if meaning.thresholds else ""
    axes.set_title(f"Calibrated probabilities{marks}", fontsize=10, color=_FAINT, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelsize=9)


def _safe(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def _end_of(text: str, length: int) -> str:
    return text if len(text) <= length else f"...{text[3 - length :]}"
