"""The network that is trained: a backbone, cut where its frozen part ends."""

from __future__ import annotations

import dataclasses

import keras

from components.trainer.backbones import build_backbone, cut_backbone
from components.trainer.classifier import copy_weights
from components.trainer.settings import TrainerSettings


@dataclasses.dataclass(frozen=True)
class Network:
    """A backbone, cut where its frozen part ends.

    Attributes:
      backbone: images to maps.
      frozen: its frozen part, with the pooling where all of it is frozen.
      suffix: the unfrozen part: activations to maps; None where all is frozen.
    """

    backbone: keras.Model
    frozen: keras.Model
    suffix: keras.Model | None


def build_network(
    settings: TrainerSettings, image_size: int, start: keras.Model | None = None
) -> Network:
    """The backbone, and where it is cut.

    Args:
      settings: of the Trainer.
      image_size: side of the square input, in pixels.
      start: a backbone whose weights to begin with.

    Raises:
      WeightsError: if the weights cannot be had.
      InputError: if there are not so many blocks to unfreeze.
    """
    backbone = build_backbone(
        settings.backbone,
        image_size=image_size,
        weights=settings.weights,
        seed=settings.seed,
        input_range=settings.input_range,
    )
    if start is not None:
        copy_weights(start, backbone)
    cut = cut_backbone(backbone, settings.backbone, settings.trainable)
    image = keras.Input(backbone.input_shape[1:], name="image")
    if cut.suffix is None:
        pooled = keras.layers.GlobalAveragePooling2D(name="pool")(backbone(image))
        return Network(backbone, keras.Model(image, pooled), None)
    if cut.prefix is not None:
        return Network(backbone, cut.prefix, cut.suffix)
    # All of it learns: what is kept are the images, of whose equal channels one will do.
    grey = keras.Input((image_size, image_size, 1), name="grey")
    suffix = keras.Model(grey, backbone(keras.layers.Concatenate(name="channels")([grey] * 3)))
    return Network(backbone, keras.Model(image, image[..., :1]), suffix)
