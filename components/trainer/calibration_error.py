"""How far probabilities are from frequencies."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit
from sklearn.model_selection import StratifiedGroupKFold

# As in Naeini et al. (2015).
BINS = 10
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class CalibrationError:
    """Expected calibration errors on validation, see `cross_fit`.

    Attributes:
      ece_before: of the sigmoid of the raw logits.
      ece_after: of probabilities that were calibrated without the image in question.
      images: how many.
      folds: how many.
      bins: of equal width.
    """

    ece_before: float
    ece_after: float
    images: int
    folds: int
    bins: int


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> float:
    """The distance between probability and frequency, over bins of equal width.

        ECE = sum over bins b of n_b / N * |mean probability in b - share of positives in b|

    Naeini, Cooper and Hauskrecht (2015), for the probability of the positive class. (Guo et al.
    2017 take that of the predicted class, which hides a model's doubts about positives in its
    certainty about negatives.) Empty bins count for nothing. It grows with the number of bins, and
    shrinks with that of images, whatever the model: compare like with like.

    Args:
      probabilities: float [N] on [0, 1], of the positive class.
      labels: int [N], 0 or 1.
      bins: how many; one holds its lower end, the last also 1.

    Raises:
      ValueError: without an image.
    """
    if not len(probabilities):
        raise ValueError("the calibration error of no image")
    which, gaps = bin_gaps(probabilities, labels, bins)
    return float(np.abs(np.bincount(which, weights=gaps, minlength=bins)).sum() / len(gaps))


def bin_gaps(
    probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS
) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each image, and how far its probability is above its label.

    A bin's share of images times its gap is the sum of its images' gaps, over all images.

    Args:
      probabilities: as for `expected_calibration_error`.
      labels: likewise.
      bins: likewise.

    Returns:
      int [N] and float64 [N].
    """
    exact = np.asarray(probabilities, np.float64)
    return np.minimum((exact * bins).astype(int), bins - 1), exact - labels


def cross_fit(
    logits: np.ndarray,
    labels: np.ndarray,
    fit: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]],
    *,
    seed: int,
    patients: Sequence[str] | None = None,
) -> CalibrationError | None:
    """Calibration errors on images that the calibration was not fitted on.

    Validation is cut into stratified folds; each is calibrated with what was fitted on the
    others, and the error is that of all of them together.

    Args:
      logits: float [N].
      labels: int [N], 0 or 1.
      fit: logits and labels to a calibration.
      seed: of the folds.
      patients: [N]; one patient's images are in one fold. None: every image is a patient.

    Returns:
      None with fewer patients of a class than folds.
    """
    groups = np.arange(len(labels)) if patients is None else np.asarray(patients)
    if min(len(np.unique(groups[labels == label])) for label in (0, 1)) < FOLDS:
        return None
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    calibrated = np.empty(len(labels))
    for others, held_out in folds.split(logits, labels, groups):
        calibrated[held_out] = fit(logits[others], labels[others])(logits[held_out])
    return CalibrationError(
        ece_before=expected_calibration_error(expit(logits), labels),
        ece_after=expected_calibration_error(calibrated, labels),
        images=len(labels),
        folds=FOLDS,
        bins=BINS,
    )
