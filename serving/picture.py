"""An explanation as one picture for people: the film, the evidence on it, and what it means."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
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

from serving.prediction import Explanation, Finding, FindingsPrediction, Prediction
from serving.prediction.quality import sentences

# The colours of heat, as the model draws them.
_COLOURS = "plasma"
_INK, _FAINT, _WARNING = "#1b1f24", "#5f6771", "#8a4b00"
_POSITIVE, _NEGATIVE = "#b3261e", "#4a5560"
_DPI = 150
# In inches: the picture, its margins, the most that a film takes, and lines of text.
_WIDTH, _MARGIN = 12.0, 0.4
_FILM_WIDTH, _FILM_HEIGHT = 4.9, 5.2
_HEADLINE, _LINE, _BAR, _FOOT = 0.55, 0.3, 0.27, 0.45
_TITLE, _NAMES, _VALUES = 0.35, 2.0, 0.6


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
    findings = answer.findings if isinstance(answer, FindingsPrediction) else []
    height, width = levels.shape
    scale = min(_FILM_WIDTH / width, _FILM_HEIGHT / height)
    film_width, film_height = width * scale, height * scale
    text_height = _HEADLINE + _LINE * (len(lines) - 1 + len(warnings)) + 0.1
    bars_height = _BAR * len(findings)
    bars_room = _TITLE + bars_height + 0.4 if findings else 0
    page = _Page(_MARGIN + text_height + _TITLE + film_height + 0.15 + bars_room + _FOOT)

    _write(page.axes(0, text_height, _MARGIN, _WIDTH - 2 * _MARGIN), answer.source, lines, warnings)
    _show(page.axes(_TITLE, film_height, _MARGIN, film_width, stay=True), levels, "Film")
    second = 2 * _MARGIN + film_width
    _show(page.axes(0, film_height, second, film_width, stay=True), overlay, "Evidence on the film")
    beside = second + film_width + 0.15
    _colour_bar(page.axes(0, film_height, beside, 0.18), explanation, meaning)
    if findings:
        room = _WIDTH - 2 * _MARGIN - _NAMES - _VALUES
        below = page.axes(0.15 + _TITLE, bars_height, _MARGIN + _NAMES, room)
        _bars(below, findings, meaning)
    foot = page.axes(0.4 if findings else 0.15, _FOOT, _MARGIN, _WIDTH - 2 * _MARGIN)
    foot.axis("off")
    foot.text(0, 0.4, meaning.disclaimer, weight="bold", color=_INK, fontsize=10)
    foot.text(1, 0.4, _end_of(meaning.model, 90), ha="right", color=_FAINT, fontsize=8)
    return page.png()


class _Page:
    """A figure that is filled from top to bottom, in inches."""

    def __init__(self, height: float) -> None:
        self._height = height
        self._at = _MARGIN / 2
        # Without pyplot, whose figures are kept and belong to one thread.
        self._figure = Figure(figsize=(_WIDTH, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(self._figure)

    def axes(
        self, gap: float, height: float, left: float, width: float, *, stay: bool = False
    ) -> Axes:
        """Axes below what is there already; the next ones go below them unless these stay."""
        self._at += gap
        bottom = self._height - self._at - height
        if not stay:
            self._at += height
        box = (left / _WIDTH, bottom / self._height, width / _WIDTH, height / self._height)
        return self._figure.add_axes(box)

    def png(self) -> bytes:
        file = io.BytesIO()
        self._figure.savefig(file, format="png")
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
        name, threshold = next(iter(meaning.thresholds.items()), ("", None))
        name = name or (answer.label if answer.decision else "the positive class")
        side = "at or above" if answer.decision else "below"
        point = "the model's operating point"
        if threshold is not None:
            point += f" of {threshold:.3f}"
        return [
            (f"{answer.label}  (probability of {name}: {answer.probability:.3f})",
             _colour(answer.decision)),
            (f"The calibrated probability of {name} is {side} {point}, so the film is decided as "
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


def _write(axes: Axes, source: str, lines: list[tuple[str, str]], warnings: list[str]) -> None:
    axes.axis("off")
    axes.set_ylim(axes.bbox.height / _DPI, 0)
    (headline, colour), *others = lines
    headline = _safe(textwrap.shorten(headline, 60, placeholder=" ..."))
    axes.text(0, 0, headline, va="top", fontsize=18, weight="bold", color=colour)
    axes.text(1, 0.07, _safe(_end_of(source, 50)), va="top", ha="right", fontsize=9, color=_FAINT)
    at = _HEADLINE - 0.1
    for text, ink in others:
        axes.text(0, at, _safe(text), va="top", fontsize=11, color=ink)
        at += _LINE
    for warning in warnings:
        text = f"Warning: {_safe(warning)}"
        axes.text(0, at, text, va="top", fontsize=11, color=_WARNING, weight="bold")
        at += _LINE


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


def _bars(axes: Axes, findings: Sequence[Finding], meaning: Meaning) -> None:
    values = [finding.probability for finding in findings]
    colours = [_colour(finding.decision) for finding in findings]
    axes.barh(range(len(findings)), values, height=0.62, color=colours)
    for row, finding in enumerate(findings):
        threshold = meaning.thresholds.get(finding.name)
        if threshold is not None:
            axes.plot([threshold] * 2, [row - 0.42, row + 0.42], color=_INK, linewidth=1.5)
        axes.text(1.01, row, f"{finding.probability:.3f}", va="center", fontsize=9, color=_INK)
    names = [_safe(finding.name) for finding in findings]
    axes.set_yticks(range(len(findings)), names, fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(findings) - 0.5, -0.5)
    marks = "; marks are the operating points" if meaning.thresholds else ""
    axes.set_title(f"Calibrated probabilities{marks}", fontsize=10, color=_FAINT, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0, labelsize=9)


def _safe(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")


def _end_of(text: str, length: int) -> str:
    return text if len(text) <= length else f"...{text[3 - length :]}"
