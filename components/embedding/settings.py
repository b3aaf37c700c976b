"""Settings of the Embedder."""

from __future__ import annotations

from typing import Any

import pydantic

from components.settings import Settings
from components.trainer.settings import TrainerSettings


class EmbeddingSettings(Settings):
    """Whether a node of its own runs the frozen part of the network, on Beam.

    The Trainer, the Tuner and the cross-dataset matrix then read rows, and no images.

    Attributes:
      enabled: whether there is such a node. On one machine it gains nothing, unless that has
        several GPUs: the Trainer's own pass uses all cores, or one GPU, and has its cache.
      threads: cores that TensorFlow uses in each worker process of Beam. Where Beam runs in the
        node's own process TensorFlow has all cores, whatever is said here.
    """

    enabled: bool = False
    threads: int = pydantic.Field(default=1, ge=1)


def deciding(trainer: TrainerSettings) -> dict[str, Any]:
    """Those of the Trainer's settings that decide its frozen part's answers, as plain values.

    The others may change, and nothing is embedded anew.
    """
    names = {"backbone", "weights", "input_range", "allow_random_weights", "precision", "trainable"}
    if trainer.weights == "none" or trainer.allow_random_weights:
        names.add("seed")
    kept: dict[str, Any] = trainer.model_dump(mode="json", include=names)
    if trainer.trainable != "head":
        kept["cache"] = {"dtype": trainer.cache.dtype}
    return kept


def refusal(trainer: TrainerSettings) -> str | None:
    """Why the images cannot be run through the network before the Trainer is; None if they can."""
    if trainer.trainable == "all":
        return "trainer.trainable=all: nothing is frozen, and there is nothing to compute before"
    if trainer.warm_start:
        return (
            "trainer.warm_start: the weights to go on from are known to the Trainer alone, and may "
            "differ from those that the images were run through"
        )
    if trainer.precision == "auto":
        return (
            "trainer.precision=auto may be another precision on each machine: say float32 or "
            "bfloat16"
        )
    return None
