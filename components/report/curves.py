"""From scores to curves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.report.figures import Bin, Curve, Curves
from components.scorer.scores import Scores
from components.statistics.bootstrap import Band, precision_recall_band, roc_band
from components.statistics.calibration import reliability
from components.statistics.roc import precision_recall_points, roc_points

# More points than this are not told apart on a page.
_POINTS = 400


def draw_curves(scores: Scores) -> tuple[Curves, ...]:
    """The curves of each dataset and finding.

    Bands, by bootstrap over patients, are for a model of one finding: of several, there is one
    small plot for each, and their intervals are in the table.

    Args:
      scores: of one split.
    """
    return tuple(
        _draw(scores.where(scores.datasets == dataset), dataset, column)
        for dataset in sorted(set(scores.datasets.tolist()))
        for column in range(len(scores.outputs))
    )


def _draw(scores: Scores, dataset: str, column: int) -> Curves:
    labels, probabilities = scores.labels[:, column], scores.probabilities[:, column]
    roc = precision_recall = None
    if 0 < labels.sum() < len(labels):
        points = roc_points(labels, probabilities)
        roc = _curve(points.false_positive_rate, points.sensitivity)
        precise = precision_recall_points(labels, probabilities)
        precision_recall = _curve(precise.recall, precise.precision)
        if len(scores.outputs) == 1:
            given = (labels, probabilities, scores.patients)
            roc = _with_band(roc, lambda: roc_band(*given))
            precision_recall = _with_band(precision_recall, lambda: precision_recall_band(*given))
    return Curves(
        dataset=dataset,
        finding=scores.outputs[column],
        roc=roc,
        precision_recall=precision_recall,
        reliability=tuple(
            Bin(probability=one.mean_probability, share=one.positives, n=one.n)
            for one in reliability(probabilities, labels)
        ),
    )


def _curve(x: NDArray[np.float64], y: NDArray[np.float64]) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, _POINTS).round().astype(int))
    return Curve(x=tuple(x[kept].tolist()), y=tuple(y[kept].tolist()))


def _with_band(curve: Curve, bootstrap: Callable[[], Band]) -> Curve:
    try:
        band = bootstrap()
    except ValueError:
        # Too few patients for resamples of them to have both classes.
        return curve
    return curve.model_copy(
        update={
            "band_x": tuple(band.x.tolist()),
            "lower": tuple(band.lower.tolist()),
            "upper": tuple(band.upper.tolist()),
        }
    )
