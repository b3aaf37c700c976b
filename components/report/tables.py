"""The numbers of the pages, as tables."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.evaluator.judgement import Confusion, Performance, SlicePerformance
from components.example_gen.split import TEST
from components.report.classification_report import classification_report
from components.report.figures import (
    Curve,
    Figures,
    auc_of,
    best_auc,
    finding_name,
    slice_name,
)
from components.statistics.interval import Interval

NOTHING = "–"

_SPECIFICITIES = (0.99, 0.95, 0.9, 0.8, 0.7, 0.5)
_RECALLS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)


@dataclasses.dataclass(frozen=True)
class Table:
    """Text in rows and columns.

    Attributes:
      headings: of the columns.
      rows: cells; the first names the row.
      caption: what it shows.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""


def figure(value: Interval | float | None) -> str:
    """A figure with its interval, where it is defined."""
    if value is None:
        return NOTHING
    return str(value) if isinstance(value, Interval) else f"{value:.3f}"


def count(value: int) -> str:
    """A whole number, in groups of three digits."""
    return f"{value:,}"


def headlines(figures: Figures, split: str = TEST) -> Table:
    """A model of one finding: a figure in each row, a dataset in each column."""
    found = [(one.slice["dataset"], one.findings[0]) for one in figures.headlines(split)]
    prevalence = figures.judgement.prevalence
    lines: list[tuple[str, list[str]]] = [
        ("Images", [count(one.n) for _, one in found]),
        ("Patients", [count(one.patients) for _, one in found]),
        ("Positive", [_positives(one) for _, one in found]),
        ("AUC, by patient", [figure(one.auc_by_patient) for _, one in found]),
        ("AUC, by image", [figure(one.auc) for _, one in found]),
        ("Average precision", [figure(one.average_precision) for _, one in found]),
        ("Sensitivity", [figure(one.sensitivity) for _, one in found]),
        ("Specificity", [figure(one.specificity) for _, one in found]),
        ("PPV, at the images’ prevalence", [figure(one.ppv) for _, one in found]),
        ("NPV, at the images’ prevalence", [figure(one.npv) for _, one in found]),
        (
            "PPV, at the stated prevalence",
            [_stated(one.ppv_at_prevalence, prevalence.get(name)) for name, one in found],
        ),
        ("F1", [figure(one.f1) for _, one in found]),
        ("Balanced accuracy", [figure(one.balanced_accuracy) for _, one in found]),
        ("Brier score", [figure(one.brier) for _, one in found]),
        ("Expected calibration error", [figure(one.ece) for _, one in found]),
    ]
    return Table(
        headings=("Figure", *(name for name, _ in found)),
        rows=tuple((name, *cells) for name, cells in lines),
    )


def findings(one: SlicePerformance) -> Table:
    """A model of several findings: a finding in each row."""
    rows = [
        (
            finding_name(each.finding),
            _positives(each),
            figure(best_auc(each)),
            figure(each.average_precision),
            figure(each.sensitivity),
            figure(each.specificity),
            figure(each.ppv),
            figure(each.ece),
        )
        for each in one.findings
    ]
    return Table(
        headings=(
            "Finding", "Positive", "AUC", "Average precision", "Sensitivity", "Specificity", "PPV",
            "ECE",
        ),
        rows=(*rows, ("macro", "", figure(one.macro_auc), *[""] * 5)),
    )  # fmt: skip


def confusions(one: SlicePerformance) -> Table:
    """Decisions beside labels: a finding in each row."""
    return Table(
        headings=(
            "Finding", "True positives", "False positives", "True negatives", "False negatives",
        ),
        rows=tuple(
            (finding_name(each.finding), *map(count, _counts(each.confusion)))
            for each in one.findings
        ),
    )  # fmt: skip


def sensitivities(figures: Figures) -> Table:
    """Sensitivity of each dataset along the ROC curve."""
    curves = [one for one in figures.curves if one.dataset in figures.datasets]
    return Table(
        headings=("At specificity", *(f"Sensitivity, {one.dataset}" for one in curves)),
        rows=tuple(
            (f"{at:.2f}", *(_on(one.roc, 1 - at) for one in curves)) for at in _SPECIFICITIES
        ),
    )


def precisions(figures: Figures) -> Table:
    """Precision of each dataset along the precision-recall curve."""
    curves = [one for one in figures.curves if one.dataset in figures.datasets]
    return Table(
        headings=("At recall", *(f"Precision, {one.dataset}" for one in curves)),
        rows=tuple(
            (f"{at:.2f}", *(_on(one.precision_recall, at, steps=True) for one in curves))
            for at in _RECALLS
        ),
    )


def reliability(figures: Figures, dataset: str) -> Table:
    """What was promised and what was found, for each finding."""
    return Table(
        headings=("Finding", "Mean probability", "Share of positives", "Images"),
        rows=tuple(
            (
                finding_name(curves.finding),
                figure(one.probability),
                figure(one.share),
                count(one.n),
            )
            for curves in figures.curves
            if curves.dataset == dataset
            for one in curves.reliability
        ),
    )


def classification(counts: Confusion, class_names: tuple[str, str]) -> Table:
    """Precision, recall, F1 and support of each class, as scikit-learn prints them."""
    report = classification_report(counts, class_names)
    lines = [
        (one.name, *map(figure, (one.precision, one.recall, one.f1)), count(one.support))
        for one in (*report.classes, *report.averages)
    ]
    accuracy = ("accuracy", "", "", figure(report.accuracy), count(report.support))
    return Table(
        headings=("Class", "Precision", "Recall", "F1", "Support"),
        rows=(*lines[:2], accuracy, *lines[2:]),
    )


def slices(figures: Figures, split: str = TEST) -> Table:
    """Each slice with its counts and figures."""
    several = figures.several_findings
    rows: list[tuple[str, ...]] = []
    for one in figures.slices(split):
        name = slice_name(one.slice) + (" (pooled)" if figures.is_pooled(one) else "")
        if several:
            measured = sum(each.auc is not None for each in one.findings)
            rows.append((name, count(one.n), count(measured), figure(auc_of(one))))
            continue
        each = one.findings[0]
        rows.append(
            (
                name,
                count(each.n),
                count(each.positives),
                figure(best_auc(each)),
                figure(each.sensitivity),
                figure(each.specificity),
                figure(each.ece),
            )
        )
    if several:
        return Table(("Slice", "Images", "Findings measured", "Macro AUC"), tuple(rows))
    return Table(
        ("Slice", "Images", "Positive", "AUC", "Sensitivity", "Specificity", "ECE"), tuple(rows)
    )


def baselines(figures: Figures) -> Table:
    """The trivial models and the last blessed one beside this one."""
    sees: Mapping[str, str] = (figures.probe or {}).get("sees", {})
    return Table(
        headings=("Dataset", "Other model", "What it sees", "Its AUC", "Lift of this model", "p"),
        rows=tuple(
            (
                one.dataset,
                one.name,
                sees.get(one.name, NOTHING),
                figure(one.auc),
                signed(one.lift),
                p_value(one.p_value),
            )
            for one in figures.judgement.baselines
        ),
    )


def matrix(figures: Figures) -> Table:
    """Heads that learnt from one dataset or all of them, on each dataset's test images."""
    found = figures.matrix or {}
    rows = []
    for row in found["rows"]:
        aucs = {cell["tested_on"]: cell["auc"] for cell in row["cells"]}
        rows.append(
            (
                " and ".join(row["trained_on"]),
                count(row["images"]),
                count(row["positives"]),
                *(figure(_interval(aucs.get(name))) for name in found["datasets"]),
            )
        )
    return Table(
        ("Trained on", "Images", "Positive", *(f"AUC on {name}" for name in found["datasets"])),
        tuple(rows),
    )


def robustness(figures: Figures) -> Table:
    """AUC and calibration error by corruption and severity."""
    return Table(
        ("Corruption", "Severity", "Dataset", "Images", "AUC", "ECE"),
        tuple(
            (
                one.corruption.replace("_", " ") if one.severity else "as they are",
                str(one.severity),
                one.dataset,
                count(one.n),
                figure(one.auc),
                figure(one.ece),
            )
            for one in figures.worsened()
        ),
    )


def epochs(figures: Figures, phase: str) -> Table:
    """Loss and AUC by epoch."""
    history = figures.history[phase]
    keys = ("loss", "val_loss", "auc", "val_auc")
    return Table(
        headings=("Epoch", "Loss", "Validation loss", "AUC", "Validation AUC"),
        rows=tuple(
            (str(number), *(f"{value:.4f}" for value in values))
            for number, values in enumerate(zip(*(history[key] for key in keys), strict=True), 1)
        ),
    )


def audit(figures: Figures) -> Table:
    """What became of what was read: in every row, read is the sum of the rest."""
    datasets = figures.ingest["datasets"]
    fates = list(figures.ingest["fates"])
    return Table(
        headings=("Dataset", "Read", *(fate.capitalize() for fate in fates)),
        rows=tuple(
            (name, count(one["read"]), *(count(one["fates"][fate]) for fate in fates))
            for name, one in datasets.items()
        ),
    )


def splits(figures: Figures) -> Table:
    """Images, patients and classes of each split."""
    ingest = figures.ingest
    names = ingest["class_names"]
    found = [*ingest["splits"].items(), *ingest["unsampled"].items()]
    return Table(
        headings=("Split", "Dataset", "Images", "Patients", *(n.capitalize() for n in names)),
        rows=tuple(
            (
                split.replace("_", ", "),
                dataset,
                count(counts["images"]),
                count(counts["patients"]),
                *(count(counts["classes"][name]) for name in names),
            )
            for split, datasets in found
            for dataset, counts in datasets.items()
        ),
    )


def operating_points(figures: Figures) -> Table:
    """For each output: from which probability on it is positive, and how that was chosen."""
    rows = []
    for one in figures.contract["outputs"]:
        point, error = one["operating_point"], one.get("calibration_error")
        rows.append(
            (
                finding_name(one["name"]),
                f"{point['threshold']:.4f}",
                point["chosen_by"],
                f"{point['positives']:,} / {point['negatives']:,}",
                figure(point["sensitivity"]),
                figure(point["specificity"]),
                one["calibration"]["method"],
                f"{error['ece_before']:.3f} → {error['ece_after']:.3f}" if error else NOTHING,
            )
        )
    return Table(
        headings=(
            "Output", "Threshold", "Chosen by", "Positive / negative", "Sensitivity",
            "Specificity", "Calibration", "ECE before → after",
        ),
        rows=tuple(rows),
        caption="All of these are of validation images.",
    )  # fmt: skip


def signed(value: Interval) -> str:
    """A difference with its interval."""
    return f"{value.estimate:+.3f} ({value.lower:+.3f} to {value.upper:+.3f})"


def p_value(value: float | None) -> str:
    """A p value, never a rounded 0."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _interval(values: Mapping[str, Any] | None) -> Interval | None:
    return None if values is None else Interval.model_validate(values)


def _positives(one: Performance) -> str:
    return f"{one.positives:,} ({100 * one.positives / one.n:.1f} %)" if one.n else "0"


def _stated(value: Interval | None, prevalence: float | None) -> str:
    if value is None or prevalence is None:
        return NOTHING
    return f"{value} at {100 * prevalence:g} %"


def _counts(one: Confusion) -> Sequence[int]:
    return (one.true_positives, one.false_positives, one.true_negatives, one.false_negatives)


def _on(curve: Curve | None, x: float, *, steps: bool = False) -> str:
    """The height of a curve and its band."""
    if curve is None:
        return NOTHING
    if steps:
        y = curve.y[min(int(np.searchsorted(curve.x, x)), len(curve.y) - 1)]
    else:
        y = float(np.interp(x, curve.x, curve.y))
    if not curve.band_x:
        return f"{y:.3f}"
    lower, upper = (np.interp(x, curve.band_x, end) for end in (curve.lower, curve.upper))
    return f"{y:.3f} ({lower:.3f} to {upper:.3f})"
