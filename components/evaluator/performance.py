"""What a model reaches on the slices of a split, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from components.evaluator.judgement import Confusion, Performance, SlicePerformance
from components.example_gen import record
from components.scorer.scores import Scores
from components.statistics import bootstrap, proportions, roc
from components.statistics.calibration import brier
from components.statistics.interval import Interval
from components.trainer.calibration_error import expected_calibration_error

Statistic = Callable[[NDArray[np.int64]], float]


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
    measured = [k for k in range(len(scores.outputs)) if np.ptp(scores.labels[:, k])]
    if not measured:
        return None
    return bootstrap.patient_bootstrap(
        lambda rows: mean_auc(scores.labels[rows], scores.probabilities[rows], measured),
        scores.patients,
    )


def mean_auc(
    labels: NDArray[np.int64], scores: NDArray[np.float64], measured: Sequence[int]
) -> float:
    """Mean AUC of some columns; not a number where one of them has one class.

    Args:
      labels: [N, K], 0 or 1.
      scores: [N, K].
      measured: columns.
    """
    if any(not np.ptp(labels[:, k]) for k in measured):
        return float("nan")
    return float(np.mean([roc.auc(labels[:, k], scores[:, k]) for k in measured]))


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
    decisions = scores.decisions[:, k]
    tp = int(np.sum((labels == 1) & (decisions == 1)))
    fp = int(np.sum((labels == 0) & (decisions == 1)))
    tn = int(np.sum((labels == 0) & (decisions == 0)))
    fn = int(np.sum((labels == 1) & (decisions == 0)))
    positives, negatives = tp + fn, tn + fp
    both = bool(positives and negatives)

    def by_patient(statistic: Statistic) -> Interval:
        return bootstrap.patient_bootstrap(statistic, scores.patients)

    return Performance(
        finding=scores.outputs[k],
        n=len(scores),
        patients=len(np.unique(scores.patients)),
        positives=positives,
        auc=roc.auc_interval(labels, probabilities) if both else None,
        auc_by_patient=by_patient(lambda r: _auc(labels[r], probabilities[r])) if both else None,
        average_precision=by_patient(lambda r: _average_precision(labels[r], probabilities[r]))
        if both
        else None,
        confusion=Confusion(
            true_positives=tp, false_positives=fp, true_negatives=tn, false_negatives=fn
        ),
        sensitivity=proportions.wilson(tp, positives) if positives else None,
        specificity=proportions.wilson(tn, negatives) if negatives else None,
        ppv=proportions.wilson(tp, tp + fp) if both and tp + fp else None,
        npv=proportions.wilson(tn, tn + fn) if both and tn + fn else None,
        ppv_at_prevalence=None
        if prevalence is None or not both
        else proportions.ppv_at(prevalence, tp=tp, fp=fp, tn=tn, fn=fn),
        f1=2 * tp / (2 * tp + fp + fn) if both else None,
        balanced_accuracy=(tp / positives + tn / negatives) / 2 if both else None,
        brier=by_patient(lambda r: brier(probabilities[r], labels[r])),
        ece=by_patient(lambda r: expected_calibration_error(probabilities[r], labels[r])),
    )
