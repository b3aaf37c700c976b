"""Trained on one dataset, tested on another: the figures, as plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.disclaimer import DISCLAIMER
from components.plain import Plain
from components.statistics.interval import Interval
from components.statistics.proportions import wilson
from components.statistics.roc import auc_interval, compare_aucs
from components.trainer.calibration_error import expected_calibration_error

FILE_NAME = "matrix.json"


class Cell(Plain):
    """How well a head does on the test images of one dataset.

    What the images do not define is None: an AUC without images of both classes, a sensitivity
    without positives, a specificity without negatives, a calibration error without images.

    Attributes:
      tested_on: the dataset.
      n: test images.
      patients: they are of.
      positives: test images with pneumonia.
      auc: area under the ROC curve, by DeLong, to whom every image is a patient of its own.
      sensitivity: at the row's operating point.
      specificity: likewise.
      ece: expected calibration error, of probabilities calibrated on the row's datasets.
    """

    tested_on: str
    n: int
    patients: int
    positives: int
    auc: Interval | None
    sensitivity: Interval | None
    specificity: Interval | None
    ece: float | None


class Row(Plain):
    """One head.

    Attributes:
      trained_on: the datasets it learnt from.
      images: training images.
      positives: training images with pneumonia.
      validation_images: those that stopped the training, and calibrated it.
      threshold: the operating point, a calibrated probability, chosen on those validation images;
        None where there is no head.
      chosen_by: how the threshold was found.
      untrained: why there is no head; None where there is one.
      cells: one for each dataset; none without a head.
    """

    trained_on: tuple[str, ...]
    images: int
    positives: int
    validation_images: int
    threshold: float | None = None
    chosen_by: str | None = None
    untrained: str | None = None
    cells: tuple[Cell, ...] = ()


class Pooled(Plain):
    """The head of all datasets on all their test images at once, beside what needs no image.

    Datasets differ in prevalence, so that knowing where an image comes from is worth an AUC of
    its own. A pooled AUC says nothing unless that one stands beside it.

    Attributes:
      n: test images.
      positives: test images with pneumonia.
      prevalence: of pneumonia among each dataset's training images.
      dataset_identity: AUC of the score that is this prevalence, whatever the image shows.
      auc: of the head.
      lift: the head's AUC minus the other, on the same images.
    """

    n: int
    positives: int
    prevalence: Mapping[str, float]
    dataset_identity: Interval
    auc: Interval
    lift: Interval


class Matrix(Plain):
    """Every head on every dataset.

    Attributes:
      split: whose images the heads are tested on.
      datasets: that have training or test images, in the order of the cells.
      rows: a head for each dataset, and last the one of all of them.
      pooled: None without that head, or without test images of both classes.
      settings: of the Trainer, as far as they decide the figures.
      disclaimer: what none of it is for.
    """

    split: str
    datasets: tuple[str, ...]
    rows: tuple[Row, ...]
    pooled: Pooled | None
    settings: Mapping[str, Any]
    disclaimer: str = DISCLAIMER


def measure_cell(
    dataset: str,
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    patients: Sequence[str],
    threshold: float,
) -> Cell:
    """The figures of a head on one dataset.

    Args:
      dataset: its name.
      labels: [N], 0 or 1, of its test images.
      probabilities: [N], calibrated.
      patients: [N], whose image each is.
      threshold: from which on the head decides for pneumonia.
    """
    positive, decided = labels == 1, probabilities >= threshold
    n, positives = len(labels), int(positive.sum())
    negatives = n - positives
    return Cell(
        tested_on=dataset,
        n=n,
        patients=len(set(patients)),
        positives=positives,
        auc=auc_interval(labels, probabilities) if positives and negatives else None,
        sensitivity=wilson(int((decided & positive).sum()), positives) if positives else None,
        specificity=wilson(int((~decided & ~positive).sum()), negatives) if negatives else None,
        ece=expected_calibration_error(probabilities, labels) if n else None,
    )


def pool(
    datasets: Sequence[str],
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    prevalence: Mapping[str, float],
) -> Pooled | None:
    """The test images of all datasets at once.

    None if they are of one dataset, which is no pool, or of one class.

    Args:
      datasets: [N], whose each test image is.
      labels: [N], 0 or 1.
      probabilities: [N], of the head that learnt from all datasets.
      prevalence: of each dataset, among its training images.
    """
    if len(set(datasets)) < 2 or not 0 < labels.sum() < len(labels):
        return None
    identity = np.array([prevalence[dataset] for dataset in datasets])
    return Pooled(
        n=len(labels),
        positives=int(labels.sum()),
        prevalence=prevalence,
        dataset_identity=auc_interval(labels, identity),
        auc=auc_interval(labels, probabilities),
        lift=compare_aucs(labels, probabilities, identity).difference,
    )
