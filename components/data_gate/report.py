"""The report as HTML and as plain values for programs."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import markupsafe

from components import page
from components.data_gate import account, facets, made_by, tables
from components.data_gate.distance import Comparison, Distance, Kind
from components.data_gate.problems import Anomaly, Problem
from components.data_gate.settings import DataGateSettings
from components.data_gate.tables import Statistics
from components.disclaimer import DISCLAIMER


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report says.

    Attributes:
      ingest: the account that the ingest gave of itself.
      statistics: of each dataset, by split.
      anomalies: what the schema does not allow.
      comparisons: between splits, with the last run, and between datasets.
      problems: why the data is refused; none if it is sound.
      notes: what a reader should know besides.
      settings: the limits.
    """

    ingest: Mapping[str, Any]
    statistics: Mapping[str, Mapping[str, Statistics]]
    anomalies: Sequence[Anomaly]
    comparisons: Sequence[Comparison]
    problems: Sequence[Problem]
    notes: Sequence[str]
    settings: DataGateSettings

    @property
    def made_by(self) -> dict[str, Any]:
        """The settings that decided which images there are."""
        return made_by.made_by(self.ingest)


def index(report: Report) -> dict[str, Any]:
    """The findings as plain values for JSON."""
    return {
        "disclaimer": DISCLAIMER,
        "problems": [dataclasses.asdict(one) for one in report.problems],
        "notes": list(report.notes),
        "anomalies": [dataclasses.asdict(one) for one in report.anomalies],
        "comparisons": [_comparison(one) for one in report.comparisons],
        "statistics": {
            split: {dataset: _statistics(one) for dataset, one in own.items()}
            for split, own in report.statistics.items()
        },
        "made_by": report.made_by,
        "settings": report.settings.model_dump(mode="json", exclude={"on_failure"}),
    }


def render_html(report: Report) -> str:
    """One HTML file: styles, scripts and data inline, no network.

    Every string out of the data is escaped, and a content security policy lets only Facets run.
    """
    script = facets.script()
    return page.render(
        "data_gate/report.html.jinja",
        filters={"number": format_number, "percent": _percent, "words": _words},
        ingest=report.ingest,
        problems=report.problems,
        notes=report.notes,
        anomalies=report.anomalies,
        settings=report.settings,
        class_names=report.ingest["class_names"],
        published=account.is_published(report.ingest),
        splits=report.ingest["splits"] | report.ingest["unsampled"],
        quarantined_share=account.quarantined_share,
        bad_rows_share=account.bad_rows_share,
        differences=_differences(report.comparisons),
        expected=_expected(report.comparisons),
        numbers=_rows(report.statistics, tables.numbers),
        names=_rows(report.statistics, tables.names),
        facets_templates=markupsafe.Markup(facets.templates()),
        facets_script=markupsafe.Markup(script),
        facets_hash=facets.script_hash(script),
        facets_data=facets.encode(
            {
                f"{split}: {dataset}": one
                for split, own in report.statistics.items()
                for dataset, one in own.items()
            }
        ),
    )


def format_number(value: float) -> str:
    """Three significant digits; whole numbers whole."""
    if not math.isfinite(value):
        return "–"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals <= 6 else f"{value:.1e}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _comparison(one: Comparison) -> dict[str, Any]:
    return dataclasses.asdict(one) | {"exceeded": [far.name for far in one.exceeded]}


def _statistics(one: Statistics) -> dict[str, Any]:
    return {
        "images": one.num_examples,
        "numbers": [dataclasses.asdict(row) for row in tables.numbers(one)],
        "names": [dataclasses.asdict(row) for row in tables.names(one)],
    }


@dataclasses.dataclass(frozen=True)
class _Cell:
    """A distance in a table, where there is one."""

    distance: Distance | None

    @property
    def judged(self) -> bool:
        return self.distance is not None and self.distance.judged

    @property
    def refused(self) -> bool:
        return self.distance is not None and self.distance.judged and self.distance.exceeds

    @property
    def share(self) -> float:
        """How much of its limit is reached, on [0, 1]."""
        if self.distance is None or not self.distance.value:
            return 0.0
        return min(1.0, self.distance.value / (self.distance.limit or self.distance.value))


@dataclasses.dataclass(frozen=True)
class _Table:
    """Comparisons side by side, a feature in a row."""

    comparisons: Sequence[Comparison]

    @property
    def rows(self) -> dict[str, list[_Cell]]:
        found: dict[str, list[_Cell]] = {}
        for number, one in enumerate(self.comparisons):
            for distance in one.distances:
                empty = [_Cell(None)] * len(self.comparisons)
                found.setdefault(distance.name, empty)[number] = _Cell(distance)
        return found


def _differences(comparisons: Sequence[Comparison]) -> dict[str, _Table]:
    """What is judged, by dataset."""
    found: dict[str, list[Comparison]] = {}
    for one in comparisons:
        if one.kind is not Kind.EXPECTED:
            found.setdefault(one.dataset, []).append(one)
    return {dataset: _Table(own) for dataset, own in found.items()}


def _expected(comparisons: Sequence[Comparison]) -> _Table | None:
    found = [one for one in comparisons if one.kind is Kind.EXPECTED]
    return _Table(found) if found else None


def _rows(
    statistics: Mapping[str, Mapping[str, Statistics]],
    table: Callable[[Statistics], Sequence[tables.Numbers | tables.Names]],
) -> dict[str, dict[str, list[tuple[str, Any]]]]:
    """By dataset and feature: the split and its row."""
    found: dict[str, dict[str, list[tuple[str, Any]]]] = collections.defaultdict(
        lambda: collections.defaultdict(list)
    )
    for split, own in statistics.items():
        for dataset, one in own.items():
            for row in table(one):
                found[dataset][row.feature].append((split, row))
    return {dataset: dict(sorted(rows.items())) for dataset, rows in found.items()}
