"""Is an image such as the model was trained on? Warnings beside its answers.

A classifier answers to any image, and is often sure. What is no film, or none like those it learnt
from, is told by what the network sees: its colours, its contrast, its layout (a coarse drawing of
it), and how far embedding and layout lie from all training films.

All of it is constants in the served graph; `sanity_fitting` makes them.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import tensorflow as tf

# In the order in which an answer lists them.
COLOUR: Final = "colour"
BLANK: Final = "blank"
INVERTED: Final = "inverted"
UNLIKE_TRAINING: Final = "unlike_training"
CODES: Final = (COLOUR, BLANK, INVERTED, UNLIKE_TRAINING)

LAYOUT_SIDE = 16
# A layout without contrast stays near zero, and is not blown up to noise; grey levels.
_LEAST_DEVIATION = 0.02
# A JPEG decoded at an eighth of its size has the same colours, sooner.
_JPEG_RATIO = 8
# Of a PNG: the byte that says how pixels are coded; grey without and with alpha.
_PNG_COLOUR_TYPE = 25
_PNG_GREY = (b"\x00", b"\x04")


@dataclasses.dataclass(frozen=True)
class Reference:
    """What the training films are like.

    Attributes:
      layout: the mean layout, float32 [LAYOUT_SIDE ** 2].
      layout_scale: what a layout's difference from it is multiplied by.
      embedding: the mean embedding, float32 [d].
      embedding_scale: what an embedding's difference from it is multiplied by, float32 [d].
      centres: of groups of films, float32 [C, d + LAYOUT_SIDE ** 2], scaled so.
    """

    layout: np.ndarray
    layout_scale: float
    embedding: np.ndarray
    embedding_scale: np.ndarray
    centres: np.ndarray


@dataclasses.dataclass(frozen=True)
class Limits:
    """Where warnings begin.

    Attributes:
      colour: above it, see `colour`.
      blank: below it, the standard deviation of the grey levels, which are on [0, 1].
      inverted: below it, the correlation with the mean training film; None where the films have no
        layout in common that a negative could be told by.
      unlike_training: above it, see `distance`.
    """

    colour: float
    blank: float
    inverted: float | None
    unlike_training: float


class InputSanity:
    """The warnings, and the scalars that drift is watched by, as a graph."""

    def __init__(self, reference: Reference, limits: Limits):
        """Freeze the constants; each is stored once, however many signatures use it."""
        self._limits = limits
        layouts = tf.TensorSpec([None, LAYOUT_SIDE**2], tf.float32)
        embeddings = tf.TensorSpec([None, len(reference.embedding)], tf.float32)
        self._distance = tf.function(
            lambda drawn, embedding: distance(drawn, embedding, reference)
        ).get_concrete_function(layouts, embeddings)
        self._correlation = tf.function(
            lambda drawn: correlation(drawn, reference)
        ).get_concrete_function(layouts)

    def quality(self, encoded: tf.Tensor, image: tf.Tensor, embedding: tf.Tensor) -> tf.Tensor:
        """The warnings.

        Args:
          encoded: string [N].
          image: what the network sees of them, float32 [N, S, S, 3] on [0, 1].
          embedding: what it makes of that, float32 [N, d].

        Returns:
          String [N]: those of `CODES` that apply, joined by commas; empty for a sound film.
        """
        grey = image[..., :1]
        limits = self._limits
        blank = tf.math.reduce_std(grey, axis=[1, 2, 3]) < limits.blank
        # A blank image has no layout that could be turned over.
        lowest = -2.0 if limits.inverted is None else limits.inverted
        drawn = layout(grey)
        inverted = ~blank & (self._correlation(drawn) < lowest)
        unlike = self._distance(drawn, embedding) > limits.unlike_training
        found = tf.stack([colour(encoded) > limits.colour, blank, inverted, unlike], axis=1)
        bits = tf.reduce_sum(tf.cast(found, tf.int32) * [2**i for i in range(len(CODES))], axis=1)
        return tf.gather(tf.constant(_combinations()), bits)

    def measure(self, image: tf.Tensor, embedding: tf.Tensor) -> dict[str, tf.Tensor]:
        """The scalars that drift is watched by.

        Args:
          image: what the network sees, float32 [N, S, S, 3] on [0, 1].
          embedding: what it makes of that, float32 [N, d].

        Returns:
          Each float32 [N]: `mean`, `std`, `p01` and `p99` (percentiles) of the grey levels, which
          are on [0, 1]; `sharpness`, the variance of their Laplacian; `distance`.
        """
        grey = image[..., :1]
        return image_scalars(grey) | {"distance": self._distance(layout(grey), embedding)}


def layout(grey: tf.Tensor) -> tf.Tensor:
    """Coarse drawings, each at mean 0 and deviation 1.

    Args:
      grey: float32 [N, S, S, 1] on [0, 1].

    Returns:
      float32 [N, LAYOUT_SIDE ** 2]; near zero for an image without contrast.
    """
    small = tf.image.resize(grey, [LAYOUT_SIDE, LAYOUT_SIDE], method="area")
    levels = tf.reshape(small, [-1, LAYOUT_SIDE**2])
    mean = tf.reduce_mean(levels, axis=1, keepdims=True)
    deviation = tf.math.reduce_std(levels, axis=1, keepdims=True)
    return (levels - mean) / (deviation + _LEAST_DEVIATION)


def joined(layouts: tf.Tensor, embedding: tf.Tensor, reference: Reference) -> tf.Tensor:
    """Embedding and layout as one point, both at the scale of the training films.

    The embedding of a network that was trained on something else, or not at all, hardly sees that
    a film lies on its side; the layout does, and hardly sees that a photograph is none.

    Returns:
      float32 [N, d + LAYOUT_SIDE ** 2].
    """
    return tf.concat(
        [
            (embedding - reference.embedding) * reference.embedding_scale,
            (layouts - reference.layout) * reference.layout_scale,
        ],
        axis=1,
    )


def distance(layouts: tf.Tensor, embedding: tf.Tensor, reference: Reference) -> tf.Tensor:
    """From images to the nearest group of training films, float32 [N]; see `joined`."""
    point = joined(layouts, embedding, reference)
    products = tf.matmul(point, tf.constant(reference.centres.T))
    squares = tf.reduce_sum(point**2, axis=1, keepdims=True) - 2 * products
    nearest = tf.reduce_min(squares + np.sum(reference.centres**2, axis=1), axis=1)
    return tf.sqrt(tf.maximum(nearest, 0.0))


def correlation(layouts: tf.Tensor, reference: Reference) -> tf.Tensor:
    """Pearson's, of layouts with the mean training film, float32 [N]; 0 without contrast."""
    centred = reference.layout - reference.layout.mean()
    norm = tf.norm(layouts, axis=1) * np.linalg.norm(centred)
    return tf.math.divide_no_nan(tf.linalg.matvec(layouts, tf.constant(centred)), norm)


def image_scalars(grey: tf.Tensor) -> dict[str, tf.Tensor]:
    """Those of `InputSanity.measure` that take no network; grey is float32 [N, S, S, 1]."""
    levels = tf.sort(tf.reshape(grey, [tf.shape(grey)[0], -1]), axis=1)
    last = tf.cast(tf.shape(levels)[1] - 1, tf.float32)
    p01, p99 = (levels[:, tf.cast(tf.round(share * last), tf.int32)] for share in (0.01, 0.99))
    kernel = tf.constant([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    laplacian = tf.nn.conv2d(grey, kernel[:, :, tf.newaxis, tf.newaxis], 1, "VALID")
    return {
        "mean": tf.reduce_mean(levels, axis=1),
        "std": tf.math.reduce_std(levels, axis=1),
        "p01": p01,
        "p99": p99,
        "sharpness": tf.math.reduce_variance(laplacian, axis=[1, 2, 3]),
    }


def colour(encoded: tf.Tensor) -> tf.Tensor:
    """How coloured images are, float32 [N] on [0, 1].

    Preprocessing makes everything grey, so the bytes are looked at: the mean difference between a
    pixel's strongest and weakest channel. What is stored in grey is not decoded again.

    Args:
      encoded: string [N], images that preprocessing takes.
    """
    return tf.map_fn(
        _colour_of,
        encoded,
        fn_output_signature=tf.TensorSpec([], tf.float32),
        parallel_iterations=16,
    )


def _colour_of(encoded: tf.Tensor) -> tf.Tensor:
    return tf.cond(
        tf.io.is_jpeg(encoded),
        lambda: tf.cond(
            tf.io.extract_jpeg_shape(encoded)[2] == 1,
            lambda: 0.0,
            lambda: _spread(tf.io.decode_jpeg(encoded, channels=3, ratio=_JPEG_RATIO)),
        ),
        lambda: tf.cond(
            tf.reduce_any(
                tf.strings.substr(encoded, _PNG_COLOUR_TYPE, 1) == tf.constant(_PNG_GREY)
            ),
            lambda: 0.0,
            lambda: _spread(tf.io.decode_image(encoded, channels=3, expand_animations=False)),
        ),
    )


def _spread(pixels: tf.Tensor) -> tf.Tensor:
    spread = tf.reduce_max(pixels, axis=-1) - tf.reduce_min(pixels, axis=-1)
    return tf.reduce_mean(tf.cast(spread, tf.float32)) / 255.0


def _combinations() -> list[str]:
    """For each sum of powers of two the codes that it stands for."""
    return [
        ",".join(code for i, code in enumerate(CODES) if bits >> i & 1)
        for bits in range(2 ** len(CODES))
    ]
