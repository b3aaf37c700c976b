"""report.html: the page that is read first."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import markupsafe
from matplotlib.figure import Figure

from components import page
from components.evaluator.judgement import Gate, Judgement
from components.example_gen.split import TEST_UNSAMPLED
from components.report import explanations, tables
from components.report.caveats import caveats
from components.report.figures import Figures, auc_of, best_auc, finding_name
from components.report.plots import (
    calibration,
    confusion,
    discrimination,
    forest,
    robustness,
    training,
)
from components.report.plots import explanations as explanation_plots
from components.report.plots.svg import to_svg
from components.report.tables import Table

_SCRIPT = Path(__file__).with_name("sort.js.jinja")


@dataclasses.dataclass(frozen=True)
class Exhibit:
    """A plot with its numbers.

    Attributes:
      title: over it.
      svg: the plot.
      note: how to read it.
      table: the same numbers; None where they stand elsewhere on the page.
    """

    title: str
    svg: markupsafe.Markup
    note: str
    table: Table | None
    wide: bool = False


def render_html(figures: Figures, *, files: Mapping[str, str] | None = None) -> str:
    """One HTML file: styles, plots and the script that sorts tables inline, no network.

    Every string out of the data is escaped, and a content security policy lets nothing else run.

    Args:
      figures: what it says.
      files: pages beside it, file to title.
    """
    script = _SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    draw = _Drawer(figures)
    return page.render(
        "report/report.html.jinja",
        filters={"figure": tables.figure, "count": tables.count, "words": finding_name},
        figures=figures,
        judgement=figures.judgement,
        lineage=figures.lineage,
        contract=figures.contract,
        verdict=verdict(figures.judgement),
        gates=_by_dataset(figures.judgement),
        caveats=caveats(figures),
        cards=_cards(figures),
        headline=None if figures.several_findings else tables.headlines(figures),
        unsampled=_unsampled(figures),
        discrimination=list(draw.discrimination()),
        findings=list(draw.findings()),
        calibration=list(draw.calibration()),
        decisions=list(draw.decisions()),
        slices=draw.slices(),
        baselines=draw.baselines(),
        matrix=draw.matrix(),
        pooled=(figures.matrix or {}).get("pooled"),
        robustness=draw.robustness(),
        explanations=list(draw.explanations()),
        explained=_explained(figures),
        training=list(draw.training()),
        operating_points=tables.operating_points(figures),
        audit=tables.audit(figures),
        splits=tables.splits(figures),
        files=files or {},
        script=markupsafe.Markup(script),
        script_hash=digest,
    )


def verdict(judgement: Judgement) -> str:
    """The verdict in a few words."""
    if judgement.blessed and not judgement.report_only:
        return "Blessed"
    if judgement.blessed:
        refused = len(judgement.refused_by)
        return "Blessed: the gates only report" + (f", and {refused} refused" if refused else "")
    by = dict.fromkeys(f"{one.name} ({one.dataset})" for one in judgement.refused_by)
    return f"Refused by {', '.join(by)}" if by else "Refused"


@dataclasses.dataclass(frozen=True)
class _Card:
    """The figures of a dataset that are looked at first."""

    dataset: str
    n: int
    patients: int
    lines: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class _Explained:
    """What is said of the heat maps beside their plots."""

    sentences: tuple[str, ...]
    sanity: Table | None
    limits: str


def _cards(figures: Figures) -> list[_Card]:
    found = []
    for one in figures.headlines():
        first = one.findings[0]
        if figures.several_findings:
            measured = sum(each.auc is not None for each in one.findings)
            lines = [
                ("Macro AUC", tables.figure(auc_of(one))),
                ("Findings measured", f"{measured} of {len(one.findings)}"),
            ]
        else:
            lines = [
                ("AUC", tables.figure(best_auc(first))),
                ("Sensitivity", tables.figure(first.sensitivity)),
                ("Specificity", tables.figure(first.specificity)),
                ("Calibration error", tables.figure(first.ece)),
                ("Positive", tables.count(first.positives)),
            ]
        found.append(_Card(one.slice["dataset"], one.n, first.patients, tuple(lines)))
    return found


def _by_dataset(judgement: Judgement) -> dict[str, list[Gate]]:
    grouped = itertools.groupby(judgement.gates, key=lambda gate: gate.dataset)
    return {dataset: list(gates) for dataset, gates in grouped}


def _unsampled(figures: Figures) -> Table | None:
    if figures.several_findings or not figures.headlines(TEST_UNSAMPLED):
        return None
    return tables.headlines(figures, TEST_UNSAMPLED)


def _explained(figures: Figures) -> _Explained | None:
    found = figures.measures
    if found is None:
        return None
    return _Explained(
        sentences=tuple(explanations.sentences(found)),
        sanity=explanations.sanity(found) if found.sanity else None,
        limits=explanations.LIMITS,
    )


class _Drawer:
    """Draws the exhibits of a page, and numbers them."""

    def __init__(self, figures: Figures):
        self._figures = figures
        self._numbers = itertools.count(1)

    def discrimination(self) -> Iterator[Exhibit]:
        figures = self._figures
        if not figures.datasets:
            return
        if figures.several_findings:
            for dataset in figures.datasets:
                yield self._exhibit(
                    f"ROC curves, {dataset}",
                    discrimination.roc_panels(figures, dataset),
                    "Dotted: chance. The intervals are in the table of findings.",
                    wide=True,
                )
                yield self._exhibit(
                    f"Precision and recall, {dataset}",
                    discrimination.precision_recall_panels(figures, dataset),
                    "Dotted: the share of positive images, which is what chance reaches.",
                    wide=True,
                )
            return
        yield self._exhibit(
            "ROC curve",
            discrimination.roc(figures),
            "The band holds, at each specificity, the sensitivity over resamples of patients. The "
            "mark is the operating point, with the intervals of both figures. Dotted: chance.",
            tables.sensitivities(figures),
        )
        yield self._exhibit(
            "Precision and recall",
            discrimination.precision_recall(figures),
            "Precision depends on how many images are positive: it holds for these images alone. "
            "Dotted: their share of positives, which is what chance reaches.",
            tables.precisions(figures),
        )

    def findings(self) -> Iterator[Exhibit]:
        if not self._figures.several_findings:
            return
        for one in self._figures.headlines():
            dataset = one.slice["dataset"]
            yield self._exhibit(
                f"AUC of each finding, {dataset}",
                forest.findings(self._figures, dataset),
                "Square: the mean over the findings that have images with and without.",
                tables.findings(one),
                wide=True,
            )

    def calibration(self) -> Iterator[Exhibit]:
        several = self._figures.several_findings
        for dataset in self._figures.datasets:
            draw = calibration.reliability_panels if several else calibration.reliability
            yield self._exhibit(
                f"Reliability, {dataset}",
                draw(self._figures, dataset),
                "Where the points lie on the dotted line, probabilities are frequencies. Bars: 95 "
                "% intervals by Wilson.",
                tables.reliability(self._figures, dataset),
                wide=several,
            )

    def decisions(self) -> Iterator[tuple[Exhibit | None, str, Table]]:
        """Of each dataset the confusion matrix, a title, and the figures by class."""
        for one in self._figures.headlines():
            dataset = one.slice["dataset"]
            if self._figures.several_findings:
                yield None, f"Decisions, {dataset}", tables.confusions(one)
                continue
            negative, positive = self._figures.contract["class_names"]
            counts = one.findings[0].confusion
            exhibit = self._exhibit(
                f"Confusion matrix, {dataset}",
                confusion.confusion(counts, (negative, positive)),
                "Images, and their share of those labelled so.",
            )
            report = tables.classification(counts, (negative, positive))
            yield exhibit, f"Classification report, {dataset}", report

    def slices(self) -> Exhibit | None:
        if not self._figures.slices():
            return None
        return self._exhibit(
            "AUC by slice",
            forest.slices(self._figures),
            "Circles: datasets. Squares: what they are divided into. A slice with images of one "
            "class has no AUC; what it has instead is said.",
            tables.slices(self._figures),
            wide=True,
        )

    def baselines(self) -> Exhibit | None:
        if not self._figures.judgement.baselines:
            return None
        return self._exhibit(
            "Lift over other models",
            forest.lifts(self._figures),
            "Right of the line this model is better. Circles: trivial models, which see next to "
            "nothing of the lungs. Squares: the last blessed model.",
            tables.baselines(self._figures),
            wide=True,
        )

    def matrix(self) -> Exhibit | None:
        if self._figures.matrix is None:
            return None
        return self._exhibit(
            "Trained on one dataset, tested on another",
            forest.matrix(self._figures),
            "Circles: tested on what it learnt from, on other patients. Squares: on something "
            "else, or on one of several. Line: chance.",
            tables.matrix(self._figures),
            wide=True,
        )

    def robustness(self) -> Exhibit | None:
        if not self._figures.worsened():
            return None
        return self._exhibit(
            "Worse films",
            robustness.robustness(self._figures),
            "The same test images with something done to them.",
            tables.robustness(self._figures),
            wide=True,
        )

    def explanations(self) -> Iterator[Exhibit]:
        found = self._figures.measures
        if found is None:
            return
        if any(one.measures for one in found.localisation):
            yield self._exhibit(
                "Heat and boxes",
                explanation_plots.localisation(found),
                "Circles: the model’s maps. Squares: what is reached without a look at the film, "
                "by a random place, its centre, and where other patients have boxes.",
                explanations.localisation(found),
                wide=True,
            )
        if found.faithfulness:
            yield self._exhibit(
                "Deletion and insertion",
                explanation_plots.faithfulness(found),
                "If the model looks where its maps are hot, the solid line falls first on the "
                "left, and rises first on the right.",
                explanations.faithfulness(found),
                wide=True,
            )

    def training(self) -> Iterator[Exhibit]:
        for phase in self._figures.history:
            yield self._exhibit(
                f"Training: {phase}",
                training.training(self._figures, phase),
                "The weights of the epoch with the lowest validation loss were kept.",
                tables.epochs(self._figures, phase),
                wide=True,
            )

    def _exhibit(
        self,
        title: str,
        drawn: Figure,
        note: str,
        table: Table | None = None,
        *,
        wide: bool = False,
    ) -> Exhibit:
        svg = to_svg(drawn, name=f"plot{next(self._numbers)}", title=title, description=note)
        return Exhibit(title, svg, note, table, wide)
