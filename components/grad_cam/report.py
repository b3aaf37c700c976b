"""The report as a page and as an index for programs."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import markupsafe

from components import page
from components.disclaimer import DISCLAIMER
from components.explanation import methods
from components.grad_cam import words
from components.grad_cam.cases import Outcome, SelectedCase, log_odds
from components.grad_cam.contract import ModelContract
from components.grad_cam.films import ExplainedFilm
from components.grad_cam.pictures import colour_bar_png, film_file, heat_file, overlay_file
from components.grad_cam.settings import GradCamSettings

FINDINGS = "findings"
_ALL_FILMS = "all films"
_SOURCE = re.compile(r'src="((?:films|heat)/\d+\.(jpg|png))"')
_SCRIPT = Path(__file__).with_name("report.js")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExplainedCase:
    """A chosen case and what was found of its film."""

    selected: SelectedCase
    film: ExplainedFilm

    @property
    def title(self) -> str:
        """Its file name, if that may be told."""
        return self.selected.case.filename or f"Case {self.film.number}"

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """What is known of it beside its label, by name."""
        case = self.selected.case
        known: dict[str, tuple[str, ...]] = {"dataset": (case.dataset,)} if case.dataset else {}
        known |= {name: tuple(found) for name, found in self.film.details.items()}
        return known | {
            name: (value,) for name, value in case.features.items() if name not in known
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicePerformance:
    """A slice of the split, all of whose films were evaluated.

    Attributes:
      slice: the feature value that makes it; empty for all films.
      n: films.
      positives: films with the finding.
      auc: area under the ROC curve; None where it is not defined, as the next two.
      sensitivity: at the operating point.
      specificity: likewise.
    """

    slice: Mapping[str, str]
    n: int
    positives: int
    auc: float | None
    sensitivity: float | None
    specificity: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
      split: the split that was scored.
      model: digest of the exported model.
      contract: what it says of the output that is explained.
      settings: of the choice and the page.
      sources: URIs of what the report was made of, by name.
      counts: outcomes of the whole split by dataset.
      slices: how well the model does on each slice of the whole split, all films first; empty
        where there is no evaluation.
      not_found: named films that the split does not have.
      cases: the chosen ones, in order.
    """

    split: str
    model: str
    contract: ModelContract
    settings: GradCamSettings
    sources: Mapping[str, str]
    counts: Mapping[str, Mapping[Outcome, int]]
    slices: Sequence[SlicePerformance]
    not_found: Sequence[str]
    cases: Sequence[ExplainedCase]

    @property
    def films(self) -> int:
        """How many films were scored."""
        return sum(sum(outcomes.values()) for outcomes in self.counts.values())


@dataclasses.dataclass(frozen=True)
class Option:
    """A value by which a page's cases can be filtered.

    Attributes:
      value: of the feature.
      cases: how many of those shown have it.
      said: how well the model does on all such films of the split; empty where that is not known.
    """

    value: str
    cases: int
    said: str


def redact(report: Report) -> Report:
    """The report without what the settings keep from it.

    A file's digest finds the file in a public data set: it goes with the name.
    """
    hidden = report.settings.redacted
    counts = report.counts
    if "dataset" in hidden:
        total = Counter[Outcome]()
        for outcomes in counts.values():
            total.update(outcomes)
        counts = {_ALL_FILMS: {outcome: total[outcome] for outcome in Outcome}}
    return dataclasses.replace(
        report,
        counts=counts,
        not_found=() if "filename" in hidden else report.not_found,
        slices=[one for one in report.slices if not hidden & set(one.slice)],
        cases=[_redact_case(case, hidden) for case in report.cases],
    )


def render_html(report: Report) -> str:
    """The page; pictures by relative path, styles and one small script inline, no network.

    Every string out of the data is escaped, and a content security policy forbids what the page
    does not need.
    """
    script = _SCRIPT.read_text(encoding="utf-8")
    return page.render(
        "grad_cam/report.html.jinja",
        filters={
            "probability": words.format_probability,
            "logits": words.format_logits,
            "figure": words.format_figure,
            "position": words.scale_position,
            "heading": words.heading,
            "film_file": film_file,
            "heat_file": heat_file,
            "overlay_file": overlay_file,
            "distance": lambda p: abs(log_odds(p) - log_odds(report.contract.threshold)),
            "compact_json": lambda value: json.dumps(value, ensure_ascii=False),
        },
        report=report,
        contract=report.contract,
        method=methods.NAMES[report.contract.method],
        source=methods.SOURCES[report.contract.method],
        outcomes=list(Outcome),
        shown=Counter(case.selected.case.outcome for case in report.cases),
        choices=choices(report),
        boxed=any(case.film.boxes for case in report.cases),
        colour_bar=f"data:image/png;base64,{_base64(colour_bar_png())}",
        script=markupsafe.Markup(script),
        script_hash=f"sha256-{_base64(hashlib.sha256(script.encode()).digest())}",
    )


def in_one_file(path: Path) -> str:
    """A report's page with its pictures inside, for a notebook or to be sent.

    Args:
      path: of `report.html`, its pictures beside it.
    """
    return _SOURCE.sub(
        lambda found: (
            f'src="data:image/{found[2]};base64,{_base64((path.parent / found[1]).read_bytes())}"'
        ),
        path.read_text(encoding="utf-8"),
    )


def choices(report: Report) -> dict[str, list[Option]]:
    """By what the cases shown can be told apart: features of several values, with these."""
    said = {next(iter(one.slice.items())): _performance(one) for one in report.slices if one.slice}
    found = {}
    for feature in (*report.settings.shown_slices, FINDINGS):
        values = Counter(value for case in report.cases for value in case.values.get(feature, ()))
        if len(values) > 1:
            found[feature] = [
                Option(value, values[value], said.get((feature, value), ""))
                for value in sorted(values)
            ]
    return found


def index(report: Report) -> dict[str, Any]:
    """The same as plain values for JSON, the pictures by relative path."""
    contract = report.contract
    return {
        "disclaimer": DISCLAIMER,
        "split": report.split,
        "model": report.model,
        "sources": dict(report.sources),
        "output": contract.name,
        "class_names": list(contract.class_names),
        "threshold": contract.threshold,
        "seed": report.settings.seed,
        "rules": report.settings.rules.model_dump(),
        "slices": [dataclasses.asdict(one) for one in report.slices],
        "redacted": sorted(report.settings.redacted),
        "not_found": list(report.not_found),
        "method": contract.method,
        "opacity": contract.opacity,
        "heat": {
            "unit": "logit",
            "reference": contract.reference,
            "grid": list(contract.grid),
        },
        "films": report.films,
        "counts": {
            name: {outcome.value: n for outcome, n in outcomes.items()}
            for name, outcomes in report.counts.items()
        },
        "cases": [_index_entry(case) for case in report.cases],
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _redact_case(explained: ExplainedCase, hidden: frozenset[str]) -> ExplainedCase:
    case, film = explained.selected.case, explained.film
    anonymous = "filename" in hidden
    case = dataclasses.replace(
        case,
        sha256="" if anonymous else case.sha256,
        filename="" if anonymous else case.filename,
        dataset="" if "dataset" in hidden else case.dataset,
        features={name: x for name, x in case.features.items() if name not in hidden},
    )
    return ExplainedCase(
        selected=dataclasses.replace(explained.selected, case=case),
        film=dataclasses.replace(
            film,
            details={name: x for name, x in film.details.items() if name not in hidden},
            boxes=() if "boxes" in hidden else film.boxes,
        ),
    )


def _performance(one: SlicePerformance) -> str:
    return (
        f"all {one.n:,} such films of the split: AUC {words.format_figure(one.auc)}, sensitivity "
        f"{words.format_figure(one.sensitivity)}, specificity "
        f"{words.format_figure(one.specificity)}"
    )


def _index_entry(explained: ExplainedCase) -> dict[str, Any]:
    selected, film = explained.selected, explained.film
    case = selected.case
    names = {"sha256": case.sha256, "filename": case.filename, "dataset": case.dataset}
    return {
        **{name: value for name, value in names.items() if value},
        "label": case.label,
        "probability": case.probability,
        "decision": case.decision,
        "outcome": case.outcome.value,
        "rule": selected.rule.value,
        "reason": selected.reason,
        "film": film_file(film.number),
        "heat": heat_file(film.number),
        "overlay": overlay_file(film.number),
        "heatmap": [list(row) for row in film.heatmap],
        "hottest_cell": {"logits": film.peak, "place": film.place},
        "boxes": [list(box) for box in film.boxes],
        "metadata": {
            name: ", ".join(values)
            for name, values in explained.values.items()
            if name != "dataset"
        },
    }
