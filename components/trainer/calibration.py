"""From scores to probabilities, fitted on validation.

Class weights, sampling, dropout and early stopping distort a network's scores. What weights and
sampling did is known, and taken out first; a line or a rising curve mends the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from components.trainer import settings

# With fewer images of a class, two fitted numbers would be noise.
_FEWEST_FOR_PLATT = 5
# A curve bends after each handful of images: it takes more of them than a line to do better.
_FEWEST_FOR_ISOTONIC = 50


@dataclasses.dataclass(frozen=True)
class Calibration:
    """From a logit to a probability.

        corrected   = logit - prior_shift
        log-odds    = slope * corrected + intercept, or the curve's value at `corrected`
        probability = sigmoid(log-odds + prevalence_shift)

    Attributes:
      method: `platt`, `isotonic`, `prior` (the prior shift alone) or `none` (the score as it is).
      reason: why it is not what was asked for; None where it is.
      prior_shift: what class weights or sampling added to the logit, see `fit_calibration`.
      slope: of Platt's line.
      intercept: of Platt's line.
      curve: of isotonic regression, as points (corrected, log-odds) that rise; straight between
        them, level beyond. Empty for a line.
      prevalence_shift: from validation's prevalence to the one stated, in log-odds.
    """

    method: Literal["platt", "isotonic", "prior", "none"]
    reason: str | None = None
    prior_shift: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0
    curve: Sequence[Sequence[float]] = ()
    prevalence_shift: float = 0.0

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Logits, float [N], to probabilities, float32 [N]."""
        corrected = np.asarray(logits, np.float64) - self.prior_shift
        if self.curve:
            log_odds = np.interp(corrected, *np.transpose(self.curve))
        else:
            log_odds = self.slope * corrected + self.intercept
        return expit(log_odds + self.prevalence_shift).astype(np.float32)


def calibrate(logits: tf.Tensor, calibrations: Sequence[Calibration]) -> tf.Tensor:
    """The same numbers in a graph.

    Args:
      logits: float32 [N, K].
      calibrations: one for each of the K outputs.

    Returns:
      Probabilities, float32 [N, K].
    """
    # In float64, as NumPy has it: an image at the threshold must fall on the same side of it.
    exact = tf.cast(logits, tf.float64)
    log_odds = [_log_odds(exact[:, k], one) for k, one in enumerate(calibrations)]
    return tf.cast(tf.sigmoid(tf.stack(log_odds, axis=1)), tf.float32)


def _log_odds(logits: tf.Tensor, calibration: Calibration) -> tf.Tensor:
    corrected = logits - calibration.prior_shift
    if calibration.curve:
        log_odds = _interpolate(corrected, calibration.curve)
    else:
        log_odds = calibration.slope * corrected + calibration.intercept
    return log_odds + calibration.prevalence_shift


def _interpolate(x: tf.Tensor, curve: Sequence[Sequence[float]]) -> tf.Tensor:
    """`np.interp` in a graph."""
    xs, ys = tf.unstack(tf.constant(curve, tf.float64), axis=1)
    right = tf.clip_by_value(tf.searchsorted(xs, x), 1, len(curve) - 1)
    left_x, left_y = tf.gather(xs, right - 1), tf.gather(ys, right - 1)
    share = tf.clip_by_value((x - left_x) / (tf.gather(xs, right) - left_x), 0, 1)
    return left_y + share * (tf.gather(ys, right) - left_y)


def fit_calibration(
    logits: np.ndarray,
    labels: np.ndarray,
    how: settings.Calibration,
    prior_shift: float = 0.0,
) -> Calibration:
    """Fit one output.

    A network that was trained on other odds than those of its data is off by their ratio
    (Elkan 2001; Saerens et al. 2002): that shift is taken out first. On what remains, Platt
    scaling (Platt 1999) with his smoothed targets, or isotonic regression (Zadrozny and Elkan
    2002), kept within those targets so that no answer is certain. Where validation has too few
    images for the method that is asked for, or its scores do not rise with the label, a simpler
    one takes its place, with the reason.

    A stated prevalence shifts the log-odds from that of validation (Saerens et al. 2002).

    Args:
      logits: float [N].
      labels: int [N], 0 or 1.
      how: method and prevalence.
      prior_shift: log(effective training odds / actual training odds); with class weights
        log(w1 / w0).
    """
    if how.method == "none":
        return Calibration("none")
    fitted = _fit(np.asarray(logits, np.float64) - prior_shift, labels, how.method)
    # Smoothed, since validation may lack a class (Laplace's rule of succession).
    prevalence = (np.sum(labels == 1) + 1) / (len(labels) + 2)
    shift = 0.0 if how.prevalence is None else float(logit(how.prevalence) - logit(prevalence))
    return dataclasses.replace(fitted, prior_shift=prior_shift, prevalence_shift=shift)


def _fit(
    corrected: np.ndarray, labels: np.ndarray, method: Literal["platt", "isotonic"]
) -> Calibration:
    positives, negatives = int(np.sum(labels == 1)), int(np.sum(labels == 0))
    found = f"validation has {positives} positives and {negatives} negatives"
    if min(positives, negatives) < _FEWEST_FOR_PLATT:
        return Calibration("prior", f"{found}, and {method} takes {_FEWEST_FOR_PLATT} of each")
    # Platt's targets: the rates with one more image of either class.
    low, high = 1 / (negatives + 2), (positives + 1) / (positives + 2)
    reason = None
    if method == "isotonic":
        if min(positives, negatives) >= _FEWEST_FOR_ISOTONIC:
            return _isotonic(corrected, labels, low, high)
        reason = f"{found}, and isotonic takes {_FEWEST_FOR_ISOTONIC} of each"
    slope, intercept = _platt(corrected, np.where(labels == 1, high, low))
    if slope <= 0:
        return _not_rising()
    return Calibration("platt", reason, slope=slope, intercept=intercept)


def _platt(corrected: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    # A target between 0 and 1 is the same image counted on both sides, with weights.
    line = LogisticRegression(C=np.inf)
    line.fit(
        np.concatenate([corrected, corrected])[:, None],
        np.repeat([1, 0], len(corrected)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return float(line.coef_[0, 0]), float(line.intercept_[0])


def _isotonic(corrected: np.ndarray, labels: np.ndarray, low: float, high: float) -> Calibration:
    fitted = IsotonicRegression(y_min=low, y_max=high).fit(corrected, labels.astype(np.float64))
    xs, rates = fitted.X_thresholds_, fitted.y_thresholds_
    if rates[0] == rates[-1]:
        return _not_rising()
    points = np.stack([xs, logit(rates)], axis=1)
    return Calibration("isotonic", curve=tuple((x, y) for x, y in points.tolist()))


def _not_rising() -> Calibration:
    return Calibration("prior", "scores do not rise with the label on validation")
