"""How long a phase may take, in steps."""

from __future__ import annotations

import numpy as np

from components.trainer.imbalance import Imbalance
from components.trainer.settings import TrainerSettings


def epochs_within(epochs: int, imbalance: Imbalance, settings: TrainerSettings) -> int:
    """So many epochs, or as many as are begun within the steps that are allowed."""
    if settings.max_steps is None:
        return epochs
    return min(
        epochs, -(-settings.max_steps // _steps(imbalance.order(settings.seed, 0), settings))
    )


def order_within(epoch: int, imbalance: Imbalance, settings: TrainerSettings) -> np.ndarray:
    """The images of an epoch, or those that the steps allow for: indices, int64 [n].

    Args:
      epoch: as `Batches` count them; Keras' fit goes on to the next one before it begins.
      imbalance: of the training split.
      settings: of the Trainer.
    """
    drawn = imbalance.order(settings.seed, epoch)
    if settings.max_steps is None:
        return drawn
    left = settings.max_steps - (epoch - 1) * _steps(drawn, settings)
    return drawn[: max(left, 0) * settings.batch_size]


def _steps(drawn: np.ndarray, settings: TrainerSettings) -> int:
    return -(-len(drawn) // settings.batch_size)
