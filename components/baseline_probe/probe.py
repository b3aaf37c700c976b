"""The trivial models: logistic regressions on what is known of an image without looking at lungs.

The opponent of a model on a dataset is the best that a trivial model could do there. One that was
trained on all images can tell which dataset an image is of, so it may treat each dataset by rules
of its own; and a small dataset may profit from the others. Every probe therefore has two
regressions for a dataset, one on the training images of that dataset alone and one on all of them,
and answers with the one that has the larger AUC on that dataset's validation images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from components.baseline_probe.features import Measured
from components.example_gen.split import TRAIN, VALIDATION

IDENTITY = "dataset identity"

# The variance of the normal prior of each weight, on standardised features. Of 0.0001 to 10, it
# gave the largest AUC on validation for thumbnails and border of 258 NIH films (0.77 and 0.77),
# and was within 0.004 of it on 3,508 pediatric ones (0.99, 0.89, and 0.93 for the metadata).
C = 0.01

TrainedOn = Literal["own", "all"]


@dataclasses.dataclass(frozen=True)
class Probe:
    """A trivial model, and what it says of the images.

    Attributes:
      name: of the probe.
      scores: by split the log odds of each finding, float64 [N, K]; nan where it has none.
      trained_on: for each dataset and output, whether the regression learnt from that dataset's
        training images or from all; None where neither have both classes.
    """

    name: str
    scores: Mapping[str, NDArray[np.float64]]
    trained_on: Mapping[str, tuple[TrainedOn | None, ...]]


@dataclasses.dataclass(frozen=True)
class Regression:
    """A logistic regression that takes both classes for equally frequent, and its correction.

    Attributes:
      model: standardisation and regression; its log odds are those of balanced classes.
      prior: log odds of the finding among the training images.
    """

    model: Pipeline
    prior: float

    def __call__(self, seen: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log odds at the prevalence of the training images, see King and Zeng (2001).

        Args:
          seen: float32 [N, features].

        Returns:
          float64 [N].
        """
        return self.model.decision_function(seen).astype(np.float64) + self.prior


def fit_regression(seen: NDArray[np.float32], labels: NDArray[np.int64]) -> Regression | None:
    """The regression of one finding; None where the images are all of one class, or none.

    It has one minimum, which Newton's method finds without chance: there is no seed.

    Args:
      seen: float32 [N, features].
      labels: int64 [N], 0 or 1.
    """
    if not _both_classes(labels):
        return None
    regression = LogisticRegression(C=C, class_weight="balanced", solver="newton-cholesky")
    model = make_pipeline(StandardScaler(), regression).fit(seen, labels)
    return Regression(model, float(np.log(labels.sum() / (1 - labels).sum())))


def run_probe(name: str, splits: Mapping[str, Measured]) -> Probe:
    """Fit a probe on the training images, and score the others.

    Args:
      name: out of what was measured.
      splits: by name, with train and val.
    """
    train, validation = splits[TRAIN], splits[VALIDATION]
    others = [split for split in splits if split != TRAIN]
    datasets = sorted({str(one) for split in splits.values() for one in split.datasets})
    outputs = train.labels.shape[1]
    scores = {split: np.full(splits[split].labels.shape, np.nan) for split in others}
    trained_on: dict[str, list[TrainedOn | None]] = {dataset: [] for dataset in datasets}
    for k in range(outputs):
        on_all = fit_regression(train.seen[name], train.labels[:, k])
        for dataset in datasets:
            of = train.datasets == dataset
            # Alone, a dataset is all of it.
            own = on_all if of.all() else fit_regression(train.seen[name][of], train.labels[of, k])
            candidates: dict[TrainedOn, Regression | None] = {"own": own, "all": on_all}
            chosen = _better(candidates, name, validation, dataset, k)
            trained_on[dataset].append(chosen)
            regression = candidates[chosen] if chosen else None
            for split in others:
                rows = splits[split].datasets == dataset
                if regression and rows.any():
                    scores[split][rows, k] = regression(splits[split].seen[name][rows])
    return Probe(name, scores, {dataset: tuple(found) for dataset, found in trained_on.items()})


def run_identity(splits: Mapping[str, Measured]) -> Probe:
    """What one can say of an image by its dataset alone: how frequent a finding is there.

    A logistic regression on the dataset's identity gives these log odds. Within one dataset it
    says the same of every image.

    Args:
      splits: by name, with train.
    """
    train = splits[TRAIN]
    datasets = sorted({str(one) for split in splits.values() for one in split.datasets})
    known = {one: _log_odds(train.labels[train.datasets == one]) for one in datasets}
    scores = {
        name: np.stack([known[str(one)] for one in split.datasets])
        for name, split in splits.items()
        if name != TRAIN
    }
    every: tuple[TrainedOn, ...] = ("all",) * train.labels.shape[1]
    return Probe(IDENTITY, scores, dict.fromkeys(datasets, every))


def auc(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float | None:
    """Area under the ROC curve; None where there is none.

    Args:
      labels: int64 [N], 0 or 1.
      scores: float64 [N]; nan where an image has none.
    """
    if not _both_classes(labels) or np.isnan(scores).any():
        return None
    return float(roc_auc_score(labels, scores))


def _better(
    candidates: Mapping[TrainedOn, Regression | None],
    name: str,
    validation: Measured,
    dataset: str,
    output: int,
) -> TrainedOn | None:
    """Which regression is better on a dataset's validation images; its own, where none can tell."""
    rows = validation.datasets == dataset
    labels, seen = validation.labels[rows, output], validation.seen[name][rows]
    best: TrainedOn | None = None
    best_auc = -np.inf
    for one, regression in candidates.items():
        if regression is None:
            continue
        found = roc_auc_score(labels, regression(seen)) if _both_classes(labels) else 0.0
        if found > best_auc:
            best, best_auc = one, found
    return best


def _both_classes(labels: NDArray[np.int64]) -> bool:
    return bool(len(labels)) and bool(np.ptp(labels))


def _log_odds(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of each finding, float64 [K]; half an image more of each class keeps them finite."""
    positives = labels.sum(axis=0)
    return np.log((positives + 0.5) / (len(labels) - positives + 0.5))
