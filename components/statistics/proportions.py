"""Shares of images, and the predictive value at a prevalence that is not the images' own."""

from __future__ import annotations

import math

from scipy.special import expit, ndtri

from components.statistics.interval import Interval


def wilson(successes: int, total: int, level: float = 0.95) -> Interval:
    """A share with the interval of Wilson (1927).

    It is the one that Newcombe (1998) and Brown, Cai and DasGupta (2001) recommend: it stays
    within [0, 1] and is no point for 0 or all of the total.

    Args:
      successes: 0 to total.
      total: of which.
      level: of confidence.

    Raises:
      ValueError: of nothing, or if more than all succeeded.
    """
    if not 0 <= successes <= total or not total:
        raise ValueError(f"{successes} of {total} is no share")
    share, squared = successes / total, float(ndtri((1 + level) / 2)) ** 2
    centre = (successes + squared / 2) / (total + squared)
    half_width = math.sqrt(squared * total * share * (1 - share) + squared**2 / 4) / (
        total + squared
    )
    return Interval(
        estimate=share,
        # In exact arithmetic they are 0 and 1; floats miss these.
        lower=centre - half_width if successes else 0.0,
        upper=centre + half_width if successes < total else 1.0,
        method="Wilson",
        level=level,
    )


def ppv_at(
    prevalence: float,
    *,
    true_positives: int,
    false_positives: int,
    true_negatives: int,
    false_negatives: int,
    level: float = 0.95,
) -> Interval:
    """The positive predictive value where the finding is as frequent as stated.

        PPV = sens * prev / (sens * prev + (1 - spec) * (1 - prev))

    The interval is the logit one of Mercaldo, Lau and Zhou (2007), for a known prevalence; where
    sensitivity or specificity is 0 or 1 it is their adjusted one, which adds z^2 / 2 images of
    either kind to both classes (Agresti and Coull 1998) and is stretched to hold the estimate.

    Args:
      prevalence: in (0, 1).
      true_positives: images with the finding, found.
      false_positives: images without, found.
      true_negatives: images without, not found.
      false_negatives: images with, not found.
      level: of confidence.

    Raises:
      ValueError: without images of either class; if nothing was found; for a prevalence of 0 or 1.
    """
    with_it, without = (true_positives, false_negatives), (false_positives, true_negatives)
    if not 0 < prevalence < 1:
        raise ValueError(f"a prevalence of {prevalence:g} leaves nothing to predict")
    if not (sum(with_it) and sum(without)):
        raise ValueError("a predictive value takes images with and without the finding")
    if not (true_positives or false_positives):
        raise ValueError("no image was called positive")
    deviate = float(ndtri((1 + level) / 2))
    true = true_positives / sum(with_it) * prevalence
    false = false_positives / sum(without) * (1 - prevalence)
    estimate = true / (true + false)
    adjusted = not all((*with_it, *without))
    lower, upper = _logit_interval(
        prevalence, with_it, without, deviate, added=deviate**2 / 2 if adjusted else 0.0
    )
    return Interval(
        estimate=estimate,
        lower=min(lower, estimate),
        upper=max(upper, estimate),
        method="Mercaldo, adjusted" if adjusted else "Mercaldo",
        level=level,
    )


def _logit_interval(
    prevalence: float,
    with_it: tuple[int, int],
    without: tuple[int, int],
    deviate: float,
    *,
    added: float,
) -> tuple[float, float]:
    """Ends of the interval, with that many images added to each of the four counts.

    The odds are sens / (1 - spec) * prevalence / (1 - prevalence), and the variance of the
    logarithm of a share p of n images is (1 - p) / (p n).
    """
    found, missed = (count + added for count in with_it)
    wrongly, spared = (count + added for count in without)
    total, other_total = found + missed, wrongly + spared
    odds = found / total / (wrongly / other_total) * prevalence / (1 - prevalence)
    variance = missed / found / total + spared / wrongly / other_total
    half_width = deviate * math.sqrt(variance)
    return float(expit(math.log(odds) - half_width)), float(expit(math.log(odds) + half_width))
