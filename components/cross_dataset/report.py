"""The matrix for people: a page, a table in Markdown, and a sentence on the pooled figure."""

from __future__ import annotations

from components import page
from components.cross_dataset.matrix import Matrix, Row
from components.statistics.interval import Interval

# What the images do not define.
_UNDEFINED = "–"


def render_html(matrix: Matrix) -> str:
    """One HTML file: styles inline, no script, no network."""
    return page.render(
        "cross_dataset/report.html.jinja",
        filters={"number": format_number, "names": names, "bounds": _bounds, "share": _share},
        matrix=matrix,
        pooled_sentence=pooled_sentence(matrix),
    )


def render_markdown(matrix: Matrix) -> str:
    """A table of all cells, and the pooled figure beside its baseline."""
    lines = [
        "| trained on | images (pneumonia) | tested on | images (pneumonia) | AUC | sensitivity "
        "| specificity | ECE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in matrix.rows:
        head = f"| {names(row)} | {row.images} ({row.positives}) "
        if row.untrained:
            lines.append(f"{head}| no head: {row.untrained} | | | | | |")
        for cell in row.cells:
            lines.append(
                f"{head}| {cell.tested_on} | {cell.n} ({cell.positives}) "
                + "".join(
                    f"| {_UNDEFINED if one is None else one} "
                    for one in (cell.auc, cell.sensitivity, cell.specificity)
                )
                + f"| {format_number(cell.ece)} |"
            )
    return "\n".join([*lines, "", pooled_sentence(matrix)])


def pooled_sentence(matrix: Matrix) -> str:
    """The pooled figure, never without that of dataset identity."""
    pooled = matrix.pooled
    if pooled is None:
        return (
            "There is no pooled figure: no head learnt from all datasets, or all test images are "
            "of one class."
        )
    scores = ", ".join(f"{share:.3f} for {name}" for name, share in pooled.prevalence.items())
    return (
        f"Pooled over the test images of {' and '.join(pooled.prevalence)} ({pooled.n} images, "
        f"{pooled.positives} with pneumonia), the head of all datasets has AUC {pooled.auc}; "
        f"the dataset's training prevalence as the score ({scores}), which looks at no image, "
        f"has {pooled.dataset_identity}. The lift is {pooled.lift}."
    )


def names(row: Row) -> str:
    """What a head learnt from, in words."""
    return " and ".join(row.trained_on)


def format_number(value: float | None) -> str:
    """Three decimals."""
    return _UNDEFINED if value is None else f"{value:.3f}"


def _bounds(interval: Interval) -> str:
    return f"{interval.lower:.3f} to {interval.upper:.3f}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else _UNDEFINED
