"""From encoded bytes to the tensor that every network here sees.

The one definition: training, evaluation, explanation and serving all run these functions, in
the TensorFlow graph. There is no second copy in Python, OpenCV or JavaScript.
"""

from __future__ import annotations

import tensorflow as tf

CHANNELS = 3


def preprocess(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """Decode, make grey, resize and scale a batch of images.

    The film is squeezed to a square, not cropped: lung bases and apices lie at the rim. Resizing
    is bilinear and antialiased, since most originals are five to ten times larger.

    Args:
      encoded: string [N]; each an 8-bit grey or RGB JPEG or PNG.
      image_size: side of the square result, in pixels.

    Returns:
      float32 [N, image_size, image_size, 3] on [0, 1]; the three channels are equal.

    Raises:
      tf.errors.InvalidArgumentError: if an image cannot be decoded.
    """
    grey = tf.map_fn(
        lambda one: preprocess_one(one, image_size),
        encoded,
        fn_output_signature=tf.TensorSpec([image_size, image_size, 1], tf.float32),
        parallel_iterations=16,
    )
    return tf.repeat(grey, CHANNELS, axis=-1)


def preprocess_one(encoded: tf.Tensor, image_size: int) -> tf.Tensor:
    """The same for one image, still one channel.

    Args:
      encoded: string scalar.
      image_size: side of the square result, in pixels.

    Returns:
      float32 [image_size, image_size, 1] on [0, 1].
    """
    pixels = tf.io.decode_image(encoded, channels=1, expand_animations=False)
    scaled = tf.cast(pixels, tf.float32) / 255.0
    resized = tf.image.resize(scaled, [image_size, image_size], antialias=True)
    return tf.clip_by_value(tf.ensure_shape(resized, [image_size, image_size, 1]), 0.0, 1.0)
