"""Scores of images that were never taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from components.scorer.scores import Scores


def made_scores(
    images: int = 400,
    *,
    outputs: tuple[str, ...] = ("pneumonia",),
    separation: float = 3.0,
    share: float = 0.5,
    seed: int = 0,
    dataset: str = "nih",
    distortion: float = 1.0,
    threshold: float = 0.5,
    images_of_a_patient: int = 1,
    features: Mapping[str, NDArray[np.str_]] | None = None,
    last: NDArray[np.float64] | None = None,
) -> Scores:
    """Scores whose log-odds are those of two normal distributions, and so are calibrated.

    Args:
      images: how many.
      outputs: names of the findings; the first has the given share of positives, as all have.
      separation: of the classes' means, in standard deviations.
      share: of positives.
      seed: of the draws.
      dataset: that all are of.
      distortion: factor on the log-odds; 1 keeps them right.
      threshold: at which images are decided.
      images_of_a_patient: how many follow each other.
      features: what divides them.
      last: probabilities of the last blessed model.
    """
    rng = np.random.default_rng(seed)
    labels = (rng.random((images, len(outputs))) < share).astype(np.int64)
    measured = rng.normal(size=labels.shape) + separation * labels
    log_odds = separation * (measured - separation / 2) + np.log(share / (1 - share))
    probabilities = expit(distortion * log_odds)
    names = np.array([f"image_{number}" for number in range(images)])
    patients = np.array([f"patient_{number // images_of_a_patient}" for number in range(images)])
    return Scores(
        outputs=outputs,
        sha256=names,
        filenames=names,
        patients=patients,
        datasets=np.full(images, dataset),
        labels=labels,
        probabilities=probabilities,
        decisions=(probabilities >= threshold).astype(np.int64),
        last_probabilities=last,
        features=features or {},
    )
