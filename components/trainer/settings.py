"""Settings of the Trainer."""

from __future__ import annotations

from typing import Literal

import pydantic

from components.settings import Settings


class Head(Settings):
    """The layers that are trained.

    Attributes:
      units: of the hidden layer.
      dropout: share of hidden units dropped in training.
      l2: weight decay of the hidden layer.
    """

    units: int = pydantic.Field(default=128, ge=1)
    dropout: float = pydantic.Field(default=0.5, ge=0, lt=1)
    l2: float = pydantic.Field(default=0.0, ge=0)


class TrainerSettings(Settings):
    """How the classifier is made.

    Attributes:
      backbone: its name in the registry.
      weights: `imagenet` (Keras downloads them), a path to a weights file, or `none` (random).
      allow_random_weights: where `imagenet` cannot be downloaded, go on with random weights, and
        say so loudly, instead of stopping.
      precision: of the embedding pass. The model serves in float32; `bfloat16` is faster on
        processors that compute in it, but then about one decision in a hundred differs from
        those that the threshold was chosen on. `auto` takes it where the processor has it.
      head: the trained layers.
      batch_size: images a step of training.
      learning_rate: of Adam.
      epochs: at most so many.
      patience: epochs without a better validation loss before training stops.
      class_weight: `balanced` weighs each class by the inverse of its frequency.
      reduce_lr_on_plateau: halve the learning rate after half the patience without progress.
      target_sensitivity: the operating point's, on validation.
      seed: of initialisation, order and dropout.
      cache: folder of the embedding cache; by default the user's cache folder.
    """

    backbone: Literal["DenseNet121", "DenseNet169", "EfficientNetB0"] = "DenseNet121"
    weights: str = "imagenet"
    allow_random_weights: bool = False
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    head: Head = Head()
    batch_size: int = pydantic.Field(default=32, ge=1)
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    epochs: int = pydantic.Field(default=30, ge=1)
    patience: int = pydantic.Field(default=5, ge=1)
    class_weight: Literal["balanced", "none"] = "balanced"
    reduce_lr_on_plateau: bool = False
    target_sensitivity: float = pydantic.Field(default=0.9, gt=0, lt=1)
    seed: int = 1
    cache: str | None = None
