"""Altered views of films: turned, shifted, of other contrast. Seeded: a view is always the same.

Never upside down; mirrored only if asked for, since that puts the heart on the right.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from components.trainer.settings import Augmentation


def alterations(
    images: Sequence[str], view: int, settings: Augmentation, *, seed: int, image_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """How a view differs from each image.

    Args:
      images: the sha256 of each.
      view: its number, from 1.
      settings: how much at most; each alteration is uniform up to that.
      seed: of the training.
      image_size: side of the square image, in pixels.

    Returns:
      The projective transforms that `keras.ops.image.affine_transform` takes, float32 [N, 8],
      which map places in the view to places in the image; and the factors of contrast, float32 [N].
    """
    transforms, contrasts = [], []
    for image in images:
        rng = np.random.default_rng([seed, view, int(image[:15], 16)])
        turn, right, down, contrast = rng.uniform(-1, 1, 4)
        mirrored = settings.horizontal_flip and rng.uniform() < 0.5
        transforms.append(
            _transform(
                angle=math.radians(turn * settings.rotation),
                right=right * settings.shift * image_size,
                down=down * settings.shift * image_size,
                mirrored=mirrored,
                middle=(image_size - 1) / 2,
            )
        )
        contrasts.append(1 + contrast * settings.contrast)
    return np.array(transforms, np.float32).reshape(-1, 8), np.array(contrasts, np.float32)


def alter(images: tf.Tensor, transforms: tf.Tensor, contrasts: tf.Tensor) -> tf.Tensor:
    """Make the views.

    Args:
      images: float32 [N, s, s, C] on [0, 1].
      transforms: see `alterations`.
      contrasts: see `alterations`; each film's own mean stays as it is.

    Returns:
      float32 [N, s, s, C] on [0, 1]; what was outside the film is black.
    """
    moved = keras.ops.image.affine_transform(
        images, transforms, interpolation="bilinear", fill_mode="constant", fill_value=0.0
    )
    mean = tf.reduce_mean(moved, axis=[1, 2, 3], keepdims=True)
    return tf.clip_by_value((moved - mean) * contrasts[:, None, None, None] + mean, 0.0, 1.0)


def _transform(
    *, angle: float, right: float, down: float, mirrored: bool, middle: float
) -> list[float]:
    """[a0, a1, a2, b0, b1, b2, 0, 0], with x' = a0 x + a1 y + a2 and y' = b0 x + b1 y + b2."""
    cos, sin = math.cos(angle), math.sin(angle)
    flip = -1.0 if mirrored else 1.0
    a0, a1, b0, b1 = flip * cos, -flip * sin, sin, cos
    # The middle of the view, moved back, is the middle of the film.
    x, y = middle + right, middle + down
    return [a0, a1, middle - a0 * x - a1 * y, b0, b1, middle - b0 * x - b1 * y, 0.0, 0.0]
