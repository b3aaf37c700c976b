"""Made-up embeddings of two datasets, in which pneumonia looks as the test wants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from components.trainer.batches import Split, in_memory
from components.trainer.index import Index
from components.trainer.preparation import Prepared
from components.trainer.settings import TrainerSettings

FEATURES = 6


def make_settings(**changes: Any) -> TrainerSettings:
    quick = {
        "weights": "none",
        "epochs": 6,
        "learning_rate": 0.03,
        "batch_size": 8,
        "head": {"units": 16, "dropout": 0.1},
    }
    return TrainerSettings.model_validate(quick | changes)


def prepare(
    labels: Mapping[str, Sequence[int]], directions: Mapping[str, Sequence[float]], seed: int
) -> Prepared:
    """A split whose images of a dataset differ by label along a direction of their own.

    Args:
      labels: of each dataset's images.
      directions: float [FEATURES], by dataset: how far pneumonia lies from normal.
      seed: of the noise. Every two images are one patient's.
    """
    rng = np.random.default_rng(seed)
    whose = [name for name, own in labels.items() for _ in own]
    y = np.array([label for own in labels.values() for label in own], np.float32)[:, None]
    rows = rng.normal(size=(len(y), FEATURES)) + y * np.array([directions[one] for one in whose])
    # Neither dataset comes first: its rows are spread over the split.
    order = rng.permutation(len(y))
    names = [f"{seed}-{number}" for number in range(len(y))]
    patients = [f"{seed}-{number // 2}" for number in range(len(y))]
    index = Index((), names, y[order], patients, [whose[i] for i in order])
    return Prepared(index, Split(in_memory([rows[order].astype(np.float32)]), y[order]), None)


def spread(count: int, positives: int) -> list[int]:
    """Labels of so many images."""
    return [1] * positives + [0] * (count - positives)
