"""What the Transform node runs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from components.example_gen import record
from components.transform import preprocessing

IMAGE = "image"


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, tf.Tensor]:
    """Raw features of the Example to what the network is fed.

    Args:
      inputs: batches of the raw features; `image/encoded` is string [N, 1] or sparse.
      custom_config: `image_size`, side of the square image in pixels.

    Returns:
      `image`, float32 [N, image_size, image_size, 3] on [0, 1].
    """
    encoded = inputs[record.IMAGE]
    if isinstance(encoded, tf.sparse.SparseTensor):
        encoded = tf.sparse.to_dense(encoded)
    return {IMAGE: preprocessing.preprocess(tf.reshape(encoded, [-1]), custom_config["image_size"])}
