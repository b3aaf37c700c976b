"""Settings of the Tuner."""

from __future__ import annotations

from typing import Annotated

import pydantic

from components.settings import Settings

Range = Annotated[tuple[float, float], pydantic.AfterValidator(lambda found: _rising(found))]


class TunerSettings(Settings):
    """How the head's hyperparameters are searched for.

    Each trial trains a head on the embeddings that the Trainer uses, too: the backbone is not run
    again. What is found replaces `trainer.head` and `trainer.learning_rate`.

    Attributes:
      enabled: whether there is such a node.
      trials: how many heads are trained.
      units: sizes of the hidden layer to choose from.
      dropout: smallest and largest share.
      l2: smallest and largest weight decay, searched by its logarithm.
      learning_rate: smallest and largest, searched by its logarithm.
      seed: of the search.
    """

    enabled: bool = False
    trials: int = pydantic.Field(default=30, ge=1)
    units: tuple[Annotated[int, pydantic.Field(ge=1)], ...] = pydantic.Field(
        default=(64, 128, 256, 512), min_length=1
    )
    dropout: Range = (0.0, 0.7)
    l2: Range = (1e-6, 1e-2)
    learning_rate: Range = (1e-4, 1e-2)
    seed: int = 1


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the smallest, {limits[0]}, is above the largest, {limits[1]}")
    return limits
