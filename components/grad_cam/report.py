"""The report as HTML and as an index for programs."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from components import page
from components.disclaimer import DISCLAIMER
from components.grad_cam.cases import Outcome, SelectedCase, log_odds

# The probability scale of a case: log odds from 0.1 % to 99.9 %.
_SCALE_END = log_odds(0.999)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainedCase:
    """A chosen case with its pictures.

    Attributes:
      selected: the case and why it was chosen.
      film_png: the film, made smaller.
      overlay_png: the same with heat and known boxes.
      overlay_file: where the overlay lies in the artifact, a relative path.
      peak: value of the hottest cell, in logits.
      place: where that cell is, see `overlay.hottest_place`.
      boxes: x, y, width, height of known findings, as fractions of the film.
    """

    selected: SelectedCase
    film_png: bytes
    overlay_png: bytes
    overlay_file: str
    peak: float
    place: str
    boxes: Sequence[tuple[float, float, float, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
      split: the split that was scored.
      model: digest of the classifier's weights.
      class_names: of the negative and the positive class.
      threshold: the operating point, a calibrated probability.
      counts: outcomes of the whole split by dataset.
      cases: the chosen ones, in order.
      reference: the heat maps' common scale, in logits: the value of the hottest colour.
      grid: rows and columns of the heat maps.
      colour_bar_png: the legend.
      seed: of the choice.
      opacity: of the overlays.
    """

    split: str
    model: str
    class_names: tuple[str, str]
    threshold: float
    counts: Mapping[str, Mapping[Outcome, int]]
    cases: Sequence[ExplainedCase]
    reference: float
    grid: tuple[int, int]
    colour_bar_png: bytes
    seed: int
    opacity: float

    @property
    def films(self) -> int:
        """How many films were scored."""
        return sum(sum(outcomes.values()) for outcomes in self.counts.values())


def render_html(report: Report) -> str:
    """One HTML file: styles and images inline, no script, no network.

    Every string out of the data is escaped, and a content security policy forbids what the page
    does not need.
    """
    return page.render(
        "grad_cam/report.html.jinja",
        filters={
            "data_uri": _data_uri,
            "probability": format_probability,
            "logits": format_logits,
            "position": _position,
            "heading": _heading,
        },
        report=report,
        outcomes=list(Outcome),
    )


def index(report: Report) -> dict[str, Any]:
    """The same as plain values for JSON, the overlays by relative path."""
    return {
        "disclaimer": DISCLAIMER,
        "split": report.split,
        "model": report.model,
        "class_names": list(report.class_names),
        "threshold": report.threshold,
        "seed": report.seed,
        "opacity": report.opacity,
        "heat": {"unit": "logit", "reference": report.reference, "grid": list(report.grid)},
        "films": report.films,
        "counts": {
            name: {outcome.value: n for outcome, n in outcomes.items()}
            for name, outcomes in report.counts.items()
        },
        "cases": [_index_entry(case) for case in report.cases],
    }


def format_probability(value: float) -> str:
    """Three decimals, and never a rounded 0 or 1."""
    if value < 0.001:
        return "< 0.001"
    return "> 0.999" if value > 0.999 else f"{value:.3f}"


def format_logits(value: float) -> str:
    """Two significant digits, without an exponent unless it is very small."""
    if value == 0:
        return "0"
    digits = 1 - math.floor(math.log10(abs(value)))
    return f"{value:.{max(0, digits)}f}" if digits < 6 else f"{value:.1e}"


def _index_entry(explained: ExplainedCase) -> dict[str, Any]:
    case = explained.selected.case
    return {
        "sha256": case.sha256,
        "filename": case.filename,
        "dataset": case.dataset,
        "label": case.label,
        "probability": case.probability,
        "decision": case.decision,
        "outcome": case.outcome.value,
        "reason": explained.selected.reason.value,
        "overlay": explained.overlay_file,
        "hottest_cell": {"logits": explained.peak, "place": explained.place},
        "boxes": [list(box) for box in explained.boxes],
        "metadata": dict(case.metadata),
    }


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _position(probability: float) -> str:
    fraction = (log_odds(probability) / _SCALE_END + 1) / 2
    return f"{100 * min(max(fraction, 0.0), 1.0):.1f}%"


def _heading(name: str) -> str:
    return name.replace("age_years", "age in years").replace("_", " ").capitalize()
