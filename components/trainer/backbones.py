"""The registry of backbones: networks that turn an image into activation maps.

Adding one is one line in `BACKBONES`, its name in `settings.py` (which may not import Keras), and
passing the shared contract test.

Where only the last blocks of a backbone train, it is cut in two: the frozen part then runs once
for each image, and only the rest in every epoch.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from components.errors import InputError
from components.trainer.settings import InputRange
from components.trainer.weights import IMAGENET, NO_WEIGHTS
from components.trainer.weights_file import load_weights_file

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
        `signed` is [-1, 1], `bytes` is [0, 255] (the network normalises by itself).
      blocks: the first layer of each of its blocks, in the order that data flows. All that comes
        after such a layer's input depends on nothing else that came before it: there the network
        can be cut. A layer between two blocks that only shrinks the maps belongs to the earlier
        one, which leaves less to keep at the cut. Without any, all of it trains, or nothing.
    """

    build: Callable[..., keras.Model]
    input_range: InputRange
    blocks: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cut:
    """A backbone in two parts that share its weights: suffix(prefix(image)) == backbone(image).

    Attributes:
      prefix: the frozen part, float32 [N, image_size, image_size, 3] on [0, 1] to activations,
        float32 [N, h, w, c]; None where all of the backbone trains.
      suffix: the part that trains, those activations (or the images) to the backbone's maps,
        float32 [N, h', w', C]; None where nothing of the backbone trains. Called with
        `training=False` it leaves the statistics of its batch normalisation as they are.
    """

    prefix: keras.Model | None
    suffix: keras.Model | None


_DENSENET = tuple(f"conv{stage}_block1_0_bn" for stage in (2, 3, 4, 5))
_EFFICIENTNET = ("block1a_dwconv", *(f"block{stage}a_expand_conv" for stage in range(2, 8)))
_EFFICIENTNET_V2 = (
    "block1a_project_conv",
    *(f"block{stage}a_expand_conv" for stage in range(2, 7)),
)
_RESNET_V2 = tuple(f"conv{stage}_block1_preact_bn" for stage in (2, 3, 4, 5))
# MobileNetV3 counts its residual blocks one by one; those of equal width are one block here.
_MOBILENET_V3_SMALL = (
    "expanded_conv_depthwise_pad",
    *(f"expanded_conv_{number}_expand" for number in (1, 3, 6, 8)),
)
_MOBILENET_V3_LARGE = (
    "expanded_conv_depthwise",
    *(f"expanded_conv_{number}_expand" for number in (1, 3, 6, 10, 12)),
)
_CONVNEXT_TINY = tuple(f"convnext_tiny_stage_{stage}_block_0_depthwise_conv" for stage in range(4))

BACKBONES: dict[str, Backbone] = {
    "DenseNet121": Backbone(keras.applications.DenseNet121, "imagenet", _DENSENET),
    "DenseNet169": Backbone(keras.applications.DenseNet169, "imagenet", _DENSENET),
    "DenseNet201": Backbone(keras.applications.DenseNet201, "imagenet", _DENSENET),
    # EfficientNets standardise by statistics that come with their weights: with random ones they
    # only bring the bytes back to [0, 1].
    "EfficientNetB0": Backbone(keras.applications.EfficientNetB0, "bytes", _EFFICIENTNET),
    "EfficientNetB1": Backbone(keras.applications.EfficientNetB1, "bytes", _EFFICIENTNET),
    "EfficientNetB2": Backbone(keras.applications.EfficientNetB2, "bytes", _EFFICIENTNET),
    "EfficientNetB3": Backbone(keras.applications.EfficientNetB3, "bytes", _EFFICIENTNET),
    "EfficientNetB4": Backbone(keras.applications.EfficientNetB4, "bytes", _EFFICIENTNET),
    "EfficientNetV2S": Backbone(keras.applications.EfficientNetV2S, "bytes", _EFFICIENTNET_V2),
    "ResNet50V2": Backbone(keras.applications.ResNet50V2, "signed", _RESNET_V2),
    "MobileNetV3Small": Backbone(keras.applications.MobileNetV3Small, "bytes", _MOBILENET_V3_SMALL),
    "MobileNetV3Large": Backbone(keras.applications.MobileNetV3Large, "bytes", _MOBILENET_V3_LARGE),
    "ConvNeXtTiny": Backbone(keras.applications.ConvNeXtTiny, "bytes", _CONVNEXT_TINY),
}


def build_backbone(
    name: str,
    *,
    image_size: int,
    weights: str,
    seed: int,
    input_range: InputRange | None = None,
) -> keras.Model:
    """A network from images to its last activation maps.

    Args:
      name: a key of `BACKBONES`.
      image_size: side of the square input, in pixels.
      weights: `imagenet` (downloaded by Keras), a path to a weights file, or `none` (random).
      seed: of the random initialisation.
      input_range: what the weights expect of pixels; by default what the ImageNet weights of the
        same network do.

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
    maps = network(_normalise(input_range or entry.input_range)(inputs))
    return keras.Model(inputs, maps, name="backbone")


def cut_backbone(backbone: keras.Model, name: str, trainable: str) -> Cut:
    """Cut a backbone where its frozen part ends.

    The parts are made of the backbone's own layers: to train the suffix is to train the backbone.

    Args:
      backbone: as built by `build_backbone`, or taken out of a classifier.
      name: a key of `BACKBONES`.
      trainable: `head`, `last_block`, `last_N_blocks` or `all`, see `TrainerSettings`.

    Returns:
      Both parts; for `head` the prefix is the backbone, for `all` the suffix is.

    Raises:
      InputError: if the backbone has fewer blocks.
    """
    if trainable == "head":
        return Cut(backbone, None)
    if trainable == "all":
        return Cut(None, backbone)
    blocks = BACKBONES[name].blocks
    count = 1 if trainable == "last_block" else int(trainable.split("_")[1])
    if count > len(blocks):
        raise InputError(
            f"trainer.trainable: {trainable}, but {name} has {len(blocks)} blocks; "
            "`all` trains them and what comes before them"
        )
    image, normalise, network = backbone.layers
    activations = network.get_layer(blocks[-count]).input
    frozen = keras.Model(network.input, activations, name=network.name)
    return Cut(
        prefix=keras.Model(image.output, frozen(normalise(image.output)), name="prefix"),
        suffix=keras.Model(activations, network.output, name="suffix"),
    )


def weights_digest(model: keras.Model) -> str:
    """A hexadecimal digest of every weight of a model, by value and shape."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(str(value.shape).encode())
        digest.update(np.ascontiguousarray(value, dtype=np.float32).tobytes())
    return digest.hexdigest()


def _normalise(input_range: InputRange) -> keras.Layer:
    if input_range == "unit":
        return keras.layers.Identity(name="as_they_are")
    if input_range == "bytes":
        return keras.layers.Rescaling(255.0, name="to_bytes")
    if input_range == "signed":
        return keras.layers.Rescaling(2.0, offset=-1.0, name="to_signed")
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
        raise WeightsError(
            f"trainer.weights: no such file: {path}; give a weights file's path, {IMAGENET} or "
            f"{NO_WEIGHTS}"
        )
    network = build(None)
    try:
        load_weights_file(network, path)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise WeightsError(
            f"trainer.weights: {path} does not hold the weights of {name}: {error}"
        ) from error
    _standardise_as_published(network)
    return network


def _standardise_as_published(network: keras.Model) -> None:
    """Make good a fault of the EfficientNet files that Keras publishes.

    Where the variance of ImageNet's channels belongs, they hold the standard deviation
    (tensorflow/tensorflow#49930). Keras divides by its root once more, but only in a network that
    it downloads the weights for; in one that is filled from a file, they are set right.
    """
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            mean, variance, count = layer.get_weights()
            if np.allclose(variance, _IMAGENET_STD):
                layer.set_weights([mean, variance**2, count])
                layer.finalize_state()
