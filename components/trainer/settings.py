"""Settings of the Trainer."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from components.explanation.methods import Method
from components.settings import Settings

BackboneName = Literal[
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetV2S",
    "ResNet50V2",
    "MobileNetV3Small",
    "MobileNetV3Large",
    "ConvNeXtTiny",
]

# What a network expects of pixels: standardised by ImageNet's channels, on [-1, 1], [0, 1] or
# [0, 255].
InputRange = Literal["imagenet", "signed", "unit", "bytes"]

# `head`, `last_block`, `last_2_blocks`, ..., `all`.
Trainable = Annotated[str, pydantic.Field(pattern=r"^(head|last_block|last_[1-9]\d*_blocks|all)$")]


class Head(Settings):
    """The layers that are always trained.

    Attributes:
      units: of the hidden layer.
      dropout: share of hidden units dropped in training.
      l2: weight decay of the hidden layer.
    """

    units: int = pydantic.Field(default=128, ge=1)
    dropout: float = pydantic.Field(default=0.5, ge=0, lt=1)
    l2: float = pydantic.Field(default=0.0, ge=0)


class FineTuning(Settings):
    """The second phase, in which the unfrozen part of the backbone learns with the head.

    Attributes:
      learning_rate: of Adam; far below the head's, or the first steps undo what the backbone knows.
      epochs: at most so many.
      patience: epochs without a better validation loss before it stops.
    """

    learning_rate: float = pydantic.Field(default=1e-5, gt=0)
    epochs: int = pydantic.Field(default=10, ge=1)
    patience: int = pydantic.Field(default=3, ge=1)


class Focal(Settings):
    """Focal loss (Lin et al. 2017): (1 - p)^gamma times the cross-entropy of the true class.

    Attributes:
      gamma: how much the easy images are held back; 0 is plain cross-entropy.
      alpha: weight of the positives; the negatives have 1 - alpha.
    """

    gamma: float = pydantic.Field(default=2.0, ge=0)
    alpha: float = pydantic.Field(default=0.25, gt=0, lt=1)


class Augmentation(Settings):
    """Altered views of the training images.

    The frozen part of the network runs once for each view, and what it gives is kept: so the views
    are a fixed number, seeded, and the first pass costs `views` times as much again.

    Attributes:
      views: of each training image, beside the image itself; 0 for none.
      rotation: at most, in degrees to either side.
      shift: at most, as a share of the side, along either axis.
      contrast: at most, as a share, up or down.
      horizontal_flip: mirror half of the views; off, since it puts the heart on the right.
    """

    views: int = pydantic.Field(default=0, ge=0)
    rotation: float = pydantic.Field(default=7.0, ge=0, le=45)
    shift: float = pydantic.Field(default=0.05, ge=0, le=0.5)
    contrast: float = pydantic.Field(default=0.1, ge=0, lt=1)
    horizontal_flip: bool = False


class Calibration(Settings):
    """From score to probability.

    Attributes:
      method: `platt` (two numbers), `isotonic` (a monotone curve, for large validation splits), or
        `none`. Either is fitted on validation, after the shift that class weights or sampling put
        into the scores was taken out.
      prevalence: the share of positives where the model will be used, where it is not that of
        the validation split; none for that of validation.
    """

    method: Literal["platt", "isotonic", "none"] = "platt"
    prevalence: float | None = pydantic.Field(default=None, gt=0, lt=1)

    @pydantic.model_validator(mode="after")
    def _refuse_a_prevalence_of_raw_scores(self) -> Calibration:
        if self.method == "none" and self.prevalence is not None:
            raise ValueError(
                "scores that are not calibrated cannot be moved to a prevalence: leave "
                "`prevalence` out, or choose platt or isotonic"
            )
        return self


class OperatingPoint(Settings):
    """From probability to decision.

    Attributes:
      method: `sensitivity`, the highest threshold that finds the target's share of validation's
        positives; `youden`, the one with the largest sensitivity + specificity - 1; `fixed`.
      sensitivity: the target.
      threshold: the fixed one, a calibrated probability.
    """

    method: Literal["sensitivity", "youden", "fixed"] = "sensitivity"
    sensitivity: float = pydantic.Field(default=0.9, gt=0, lt=1)
    threshold: float = pydantic.Field(default=0.5, gt=0, lt=1)


class Explanation(Settings):
    """The maps that the exported model answers with.

    Attributes:
      method: `grad_cam`, `grad_cam_plus_plus` or `hires_cam`, see `components.explanation.maps`.
      layer: `last`, the activations that are pooled (7 by 7 at 224 pixels); `finer`, the last ones
        of a finer grid (14 by 14), which costs a pass back through what follows them.
      opacity: of the hottest colour on the film.
    """

    method: Method = "grad_cam"
    layer: Literal["last", "finer"] = "last"
    opacity: float = pydantic.Field(default=0.6, gt=0, le=1)


class Cache(Settings):
    """What the frozen part of the network gave for each image, on disk.

    Attributes:
      folder: by default the user's cache folder.
      max_gib: the least recently used go when there is more.
      dtype: of activation maps; `float16` is finer, `bfloat16` holds larger numbers. Pooled
        embeddings, which are small, are kept in float32.
    """

    folder: str | None = None
    max_gib: float = pydantic.Field(default=20.0, gt=0)
    dtype: Literal["float16", "bfloat16"] = "float16"


class Devices(Settings):
    """What the network is trained on.

    Attributes:
      strategy: `mirrored` fine-tunes on all GPUs of this machine, each on its share of a batch;
        `multi_worker` trains in several processes, each on its share of a batch and on a device of
        its own, on the machines that TF_CONFIG names, or on this one.
      workers: of `multi_worker`, the processes where no TF_CONFIG says otherwise.
      timeout: of `multi_worker`, for how long a worker waits for the others, in seconds.
      mixed_precision: fine-tune in float16 with float32 weights.
      memory_growth: take GPU memory as it is needed, and leave the rest to others.
    """

    strategy: Literal["one", "mirrored", "multi_worker"] = "one"
    workers: int = pydantic.Field(default=2, ge=1)
    timeout: float = pydantic.Field(default=300, gt=0)
    mixed_precision: bool = False
    memory_growth: bool = True

    @pydantic.model_validator(mode="after")
    def _refuse_half_precision_on_several_workers(self) -> Devices:
        if self.strategy == "multi_worker" and self.mixed_precision:
            raise ValueError(
                "the workers of multi_worker scale their gradients each for itself, so that they "
                "would part ways: leave mixed_precision off, or choose mirrored"
            )
        return self


class TrainerSettings(Settings):
    """How the classifier is made.

    Attributes:
      backbone: its name in the registry.
      weights: `imagenet` (Keras downloads them), a path to a weights file, or `none` (random).
      input_range: what a weights file expects of pixels, where it is something else than what the
        ImageNet weights of the same network do: `imagenet` (each channel standardised), `signed`
        (on [-1, 1]), `unit` (on [0, 1]) or `bytes` (on [0, 255]).
      allow_random_weights: where `imagenet` cannot be downloaded, go on with random weights, and
        say so loudly, instead of stopping.
      precision: in which the frozen network computes, in training and when served. `bfloat16`
        is faster on processors that compute in it, and rounds; `auto` takes it where the
        processor has it.
      trainable: `head`; or what is fine-tuned with it after the head was trained: `last_block`,
        `last_N_blocks`, or `all` of the backbone.
      head: the layers that are always trained.
      fine_tuning: the second phase.
      augmentation: altered views of the training images.
      imbalance: `class_weight` weighs each class by the inverse of its frequency; `focal` is
        the loss that holds back what is easy; `oversample` draws the rare class more often,
        `downsample` the frequent class less often, anew in every epoch; `none`.
      focal: the loss's parameters.
      batch_size: images a step of training.
      learning_rate: of Adam, for the head.
      epochs: at most so many, for the head.
      max_steps: at most so many steps (batches) of each phase, whatever its epochs; none for no
        limit.
      patience: epochs without a better validation loss before training stops.
      reduce_lr_on_plateau: halve the learning rate after half the patience without progress.
      calibration: from score to probability.
      operating_point: from probability to decision.
      explanation: the maps that the exported model answers with.
      warm_start: begin with the last blessed model's weights, where there is one.
      seed: of initialisation, order, dropout and views.
      cache: what the frozen part gave.
      devices: what it is trained on.
    """

    backbone: BackboneName = "DenseNet121"
    weights: str = "imagenet"
    input_range: InputRange | None = None
    allow_random_weights: bool = False
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    trainable: Trainable = "head"
    head: Head = Head()
    fine_tuning: FineTuning = FineTuning()
    augmentation: Augmentation = Augmentation()
    imbalance: Literal["class_weight", "focal", "oversample", "downsample", "none"] = "class_weight"
    focal: Focal = Focal()
    batch_size: int = pydantic.Field(default=32, ge=1)
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    epochs: int = pydantic.Field(default=30, ge=1)
    max_steps: int | None = pydantic.Field(default=None, ge=1)
    patience: int = pydantic.Field(default=5, ge=1)
    reduce_lr_on_plateau: bool = False
    calibration: Calibration = Calibration()
    operating_point: OperatingPoint = OperatingPoint()
    explanation: Explanation = Explanation()
    warm_start: bool = False
    seed: int = 1
    cache: Cache = Cache()
    devices: Devices = Devices()

    @pydantic.model_validator(mode="after")
    def _ask_for_a_file_that_expects_it(self) -> TrainerSettings:
        if self.input_range is not None and self.weights in ("imagenet", "none"):
            raise ValueError(
                f"input_range is that of a weights file, and weights is {self.weights}: leave it "
                "out"
            )
        return self
