"""What a model reaches on the slices of a split, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.evaluator.judgement import Confusion, Performance, SlicePerformance
from components.example_gen import record
from components.scorer.scores import Scores
from components.statistics import bootstrap, proportions, roc
from components.statistics.calibration import brier
from components.statistics.interval import Interval
from components.trainer.calibration_error import expected_calibration_error

Column = NDArray[Any]
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
    return _by_patient(
        scores, lambda rows: roc.macro_auc(scores.labels[rows], scores.probabilities[rows])
    )


def auc(scores: Scores, k: int) -> Interval | None:
    """Of one output; None without images of both classes."""
    labels = scores.labels[:, k]
    return roc.auc_interval(labels, scores.probabilities[:, k]) if np.ptp(labels) else None


def sensitivity(scores: Scores, k: int) -> Interval | None:
    """Of one output at its operating point; None without positives."""
    found = scores.decisions[scores.labels[:, k] == 1, k]
    return proportions.wilson(int(found.sum()), len(found)) if len(found) else None


def _ece(scores: Scores, k: int) -> Interval | None:
    labels, probabilities = scores.labels[:, k], scores.probabilities[:, k]
    found = _by_patient(
        scores,
        lambda rows: expected_calibration_error(probabilities[rows], labels[rows]),
        centred=True,
    )
    return found and found.model_copy(update={"lower": max(0.0, found.lower)})


def _by_patient(scores: Scores, statistic: Statistic, *, centred: bool = False) -> Interval | None:
    """With an interval over patients; None where the images are too few for one."""
    try:
        return bootstrap.patient_bootstrap(statistic, scores.patients, centred=centred)
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

    def by_patient(statistic: Callable[[Column, Column], float]) -> Interval | None:
        return _by_patient(scores, lambda rows: statistic(labels[rows], probabilities[rows]))

    return Performance(
        finding=scores.outputs[k],
        n=len(scores),
        patients=len(np.unique(scores.patients)),
        positives=positives,
        auc=auc(scores, k),
        auc_by_patient=by_patient(roc.auc) if both else None,
        average_precision=by_patient(roc.average_precision) if both else None,
        confusion=counts,
        sensitivity=sensitivity(scores, k),
        specificity=proportions.wilson(tn, negatives) if negatives else None,
        ppv=proportions.wilson(tp, tp + fp) if both and tp + fp else None,
        npv=proportions.wilson(tn, tn + fn) if both and tn + fn else None,
        ppv_at_prevalence=proportions.ppv_at(prevalence, **counts.model_dump())
        if prevalence is not None and both and tp + fp
        else None,
        f1=2 * tp / (2 * tp + fp + fn) if both else None,
        balanced_accuracy=(tp / positives + tn / negatives) / 2 if both else None,
        brier=by_patient(lambda truth, found: brier(found, truth)),
        ece=_ece(scores, k),
    )
