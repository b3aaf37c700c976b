"""What a model reaches on the slices of a split, with intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.evaluator import figures
from components.evaluator.judgement import Confusion, Performance, SlicePerformance
from components.example_gen import record
from components.scorer.scores import Scores
from components.statistics import bootstrap, proportions, repeated, roc
from components.statistics.interval import Interval
from components.trainer.calibration_error import bin_gaps


def measure_slices(
    scores: Scores, slices: Sequence[str], *, min_size: int, prevalence: Mapping[str, float]
) -> tuple[tuple[SlicePerformance, ...], int]:
    """All images, each dataset, and each value of the features that divide them further.

    Args:
      scores: of a split.
      slices: features; `a*b` crosses two.
      min_size: smaller slices are left out.
      prevalence: for each dataset that has one stated, the share of positives where the model is
        to be used.

    Returns:
      The slices in order, and how many were left out for their size.
    """
    found, too_small = [], 0
    for features, rows in _slices(scores, ["", record.DATASET, *slices]):
        if rows.sum() < min_size:
            too_small += 1
            continue
        found.append(measure(scores.where(rows), features, prevalence))
    return tuple(found), too_small


def measure(
    scores: Scores, features: Mapping[str, str], prevalence: Mapping[str, float]
) -> SlicePerformance:
    """What the model reaches on some images.

    Args:
      scores: of those images.
      features: what they have in common.
      prevalence: as for `measure_slices`.
    """
    stated = {prevalence.get(dataset) for dataset in set(scores.datasets)}
    at = stated.pop() if len(stated) == 1 else None
    return SlicePerformance(
        slice=features,
        n=len(scores),
        macro_auc=macro_auc(scores) if len(scores.outputs) > 1 else None,
        findings=tuple(_measure_one(scores, k, at) for k in range(len(scores.outputs))),
    )


def macro_auc(scores: Scores) -> Interval | None:
    """Mean of the findings' AUCs over those with images on both sides, by patients."""
    return _by_patient(scores, repeated.macro_auc(scores.labels, scores.probabilities))


def auc(scores: Scores, k: int) -> Interval | None:
    """Of one output; None without images of both classes."""
    labels = scores.labels[:, k]
    return roc.auc_interval(labels, scores.probabilities[:, k]) if np.ptp(labels) else None


def sensitivity(scores: Scores, k: int) -> Interval | None:
    """Of one output at its operating point; None without positives."""
    found = scores.decisions[scores.labels[:, k] == 1, k]
    return proportions.wilson(int(found.sum()), len(found)) if len(found) else None


def _ece(scores: Scores, k: int) -> Interval | None:
    gaps = repeated.mean_distance(*bin_gaps(scores.probabilities[:, k], scores.labels[:, k]))
    found = _by_patient(scores, gaps, centred=True)
    return found and found.model_copy(update={"lower": max(0.0, found.lower)})


def _by_patient(
    scores: Scores, figure: repeated.RepeatedFigure, *, centred: bool = False
) -> Interval | None:
    """With an interval over patients; None where the images are too few for one."""
    try:
        return bootstrap.repeated_bootstrap(figure, scores.patients, centred=centred)
    except ValueError:
        return None


def _slices(
    scores: Scores, slices: Sequence[str]
) -> Iterator[tuple[dict[str, str], NDArray[np.bool_]]]:
    columns = {record.DATASET: scores.datasets} | dict(scores.features)
    for keys in slices:
        features = [key for key in keys.split("*") if key]
        known = np.ones(len(scores), bool)
        for feature in features:
            known &= columns[feature] != ""
        values = sorted({tuple(columns[f][row] for f in features) for row in np.flatnonzero(known)})
        for value in values:
            rows = known.copy()
            for feature, one in zip(features, value, strict=True):
                rows &= columns[feature] == one
            yield dict(zip(features, map(str, value), strict=True)), rows


def _measure_one(scores: Scores, k: int, prevalence: float | None) -> Performance:
    labels, probabilities = scores.labels[:, k], scores.probabilities[:, k]
    counts = Confusion.of(labels, scores.decisions[:, k])
    tp, fp = counts.true_positives, counts.false_positives
    tn, fn = counts.true_negatives, counts.false_negatives
    positives, negatives = tp + fn, tn + fp
    both = bool(positives and negatives)
    rates = figures.Confusion(**counts.model_dump())
    area = auc(scores, k)
    # Resamples of few images, or of an area of 1, are nearly all alike, which is no certainty.
    resampled = area is not None and area.method == roc.DELONG

    return Performance(
        finding=scores.outputs[k],
        n=len(scores),
        patients=len(np.unique(scores.patients)),
        positives=positives,
        auc=area,
        auc_by_patient=_by_patient(scores, repeated.auc(labels, probabilities))
        if resampled
        else None,
        average_precision=_by_patient(scores, repeated.average_precision(labels, probabilities))
        if both
        else None,
        confusion=counts,
        sensitivity=sensitivity(scores, k),
        specificity=proportions.wilson(tn, negatives) if negatives else None,
        ppv=proportions.wilson(tp, tp + fp) if both and tp + fp else None,
        npv=proportions.wilson(tn, tn + fn) if both and tn + fn else None,
        ppv_at_prevalence=proportions.ppv_at(prevalence, **counts.model_dump())
        if prevalence is not None and both and tp + fp
        else None,
        f1=figures.f1(rates) if both else None,
        balanced_accuracy=figures.balanced_accuracy(rates) if both else None,
        brier=_by_patient(scores, repeated.mean((probabilities - labels) ** 2)),
        ece=_ece(scores, k),
    )
