"""How well the model does on each slice of the split: what the chosen cases cannot show."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from components.evaluator.results import Figures, load_multi_label, load_slices
from components.grad_cam.report import SlicePerformance


def read_slices(uri: str, features: Collection[str], finding: str = "") -> list[SlicePerformance]:
    """Read an evaluation.

    Args:
      uri: of TFX's `ModelEvaluation`.
      features: which may divide films; what crosses several of them is left out.
      finding: of a multi-label model, the name of the output; empty for a binary one.

    Returns:
      All films first, then the slices, by feature in the order given.
    """
    found: list[tuple[Mapping[str, str], Figures]]
    if finding:
        found = [
            (one.slice, figures)
            for one in load_multi_label(uri)
            for figures in one.findings
            if figures.finding == finding
        ]
    else:
        found = [(one.slice, one) for one in load_slices(uri)]
    order = ["", *features]
    single = [
        (order.index(next(iter(key), "")), key, figures)
        for key, figures in found
        if len(key) <= 1 and set(key) <= set(features)
    ]
    return [
        SlicePerformance(
            slice=dict(key),
            n=figures.n,
            positives=figures.positives,
            auc=figures.auc,
            sensitivity=figures.sensitivity,
            specificity=figures.specificity,
        )
        for _, key, figures in sorted(single, key=lambda one: one[0])
    ]
