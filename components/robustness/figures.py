"""How well a model tells worse films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from components.plain import Plain
from components.robustness.corruptions import CORRUPTIONS
from components.trainer.calibration_error import expected_calibration_error

UNTOUCHED = "none"


class Figure(Plain):
    """How well a finding is told on a dataset's films under a corruption.

    Attributes:
      corruption: its name; `none` for the films as they are.
      severity: 1, 2 or 3; 0 for the films as they are.
      level: see `Robustness.levels`; 0 for the films as they are.
      dataset: of the films.
      finding: out of the model's outputs.
      n: films.
      positives: films with the finding.
      auc: area under the ROC curve; None where the films are all of one class.
      ece: expected calibration error.
    """

    corruption: str
    severity: int
    level: float
    dataset: str
    finding: str
    n: int
    positives: int
    auc: float | None
    ece: float


class Robustness(Plain):
    """What `robustness.json` says.

    Attributes:
      split: which the films are of.
      seed: of the sample and of the corruptions.
      max_images: films of a dataset, at most.
      levels: what each corruption's level is, in words.
      figures: of the films as they are, then by corruption and severity.
    """

    split: str
    seed: int
    max_images: int
    levels: Mapping[str, str] = {one.name: one.level for one in CORRUPTIONS}
    figures: tuple[Figure, ...]


def figures(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    datasets: NDArray[np.str_],
    outputs: Sequence[str],
    *,
    corruption: str = UNTOUCHED,
    severity: int = 0,
    level: float = 0.0,
) -> list[Figure]:
    """The figures of some films, by dataset and finding.

    Args:
      probabilities: float64 [N, K], calibrated.
      labels: int64 [N, K], 0 or 1.
      datasets: str [N].
      outputs: names of the findings.
      corruption: what was done to the films.
      severity: of it.
      level: of it.
    """
    found = []
    for dataset in np.unique(datasets).tolist():
        rows = datasets == dataset
        for k, finding in enumerate(outputs):
            truth, scores = labels[rows, k], probabilities[rows, k]
            found.append(
                Figure(
                    corruption=corruption,
                    severity=severity,
                    level=level,
                    dataset=dataset,
                    finding=finding,
                    n=len(truth),
                    positives=int(truth.sum()),
                    auc=float(roc_auc_score(truth, scores)) if np.ptp(truth) else None,
                    ece=expected_calibration_error(scores, truth),
                )
            )
    return found
