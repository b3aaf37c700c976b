"""The registry of backbones: networks that turn an image into activation maps.

Adding one is one line in `BACKBONES`, its name in `settings.py` (which may not import Keras), and
passing the shared contract test.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from components.errors import InputError
from components.trainer.weights import IMAGENET, NO_WEIGHTS

# Mean and standard deviation of ImageNet's RGB channels on [0, 1], the normalisation that
# DenseNet's published weights were trained with (keras.applications calls it "torch").
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class WeightsError(InputError):
    """The weights that were asked for cannot be had."""


@dataclasses.dataclass(frozen=True)
class Backbone:
    """One entry of the registry.

    Attributes:
      build: a constructor of `keras.applications`.
      input_range: what its published weights expect: `imagenet` standardises each channel,
        `bytes` is [0, 255] (the network normalises by itself).
    """

    build: Callable[..., keras.Model]
    input_range: Literal["imagenet", "bytes"]


BACKBONES: dict[str, Backbone] = {
    "DenseNet121": Backbone(keras.applications.DenseNet121, "imagenet"),
    "DenseNet169": Backbone(keras.applications.DenseNet169, "imagenet"),
    "EfficientNetB0": Backbone(keras.applications.EfficientNetB0, "bytes"),
}


def build_backbone(name: str, *, image_size: int, weights: str, seed: int) -> keras.Model:
    """A network from images to its last activation maps.

    Args:
      name: a key of `BACKBONES`.
      image_size: side of the square input, in pixels.
      weights: `imagenet` (downloaded by Keras), a path to a weights file, or `none` (random).
      seed: of the random initialisation.

    Returns:
      A model named `backbone`: float32 [N, image_size, image_size, 3] on [0, 1] to
      float32 [N, h, w, C], the activations that global average pooling and Grad-CAM read.

    Raises:
      WeightsError: if the weights cannot be downloaded, found or fitted to the network.
    """
    entry = BACKBONES[name]
    keras.utils.set_random_seed(seed)
    network = _with_weights(
        lambda source: entry.build(
            include_top=False, weights=source, input_shape=(image_size, image_size, 3)
        ),
        name,
        weights,
    )
    inputs = keras.Input((image_size, image_size, 3), name="image")
    maps = network(_normalise(entry.input_range)(inputs))
    return keras.Model(inputs, maps, name="backbone")


def weights_digest(model: keras.Model) -> str:
    """A hexadecimal digest of every weight of a model, by value and shape."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(str(value.shape).encode())
        digest.update(np.ascontiguousarray(value, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _normalise(input_range: str) -> keras.Layer:
    if input_range == "bytes":
        return keras.layers.Rescaling(255.0, name="to_bytes")
    variance = [std**2 for std in _IMAGENET_STD]
    return keras.layers.Normalization(mean=_IMAGENET_MEAN, variance=variance, name="standardise")


def _with_weights(
    build: Callable[[str | None], keras.Model], name: str, weights: str
) -> keras.Model:
    if weights == NO_WEIGHTS:
        return build(None)
    if weights == IMAGENET:
        try:
            return build(IMAGENET)
        except Exception as error:  # Keras raises a bare Exception for a failed download
            raise WeightsError(
                f"The ImageNet weights of {name} could not be downloaded ({error}). "
                "Where there is no network, get the file elsewhere (keras.io/api/applications) "
                "and pass its path: --set trainer.weights=FILE; or train from random weights: "
                "--set trainer.weights=none."
            ) from error
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"trainer.weights: no such file: {path}")
    network = build(None)
    try:
        network.load_weights(path)
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"trainer.weights: {path} does not hold the weights of {name} without its top: {error}"
        ) from error
    return network
