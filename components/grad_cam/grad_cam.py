"""Grad-CAM of a logit, in closed form.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV 2017, arXiv:1610.02391.

The paper weighs each activation map A_k [h, w] of the last convolutional layer by the mean of
the class score's gradient over that map, and keeps the positive part of the sum:

    weight_k = mean_ij(d logit / d A_k[i, j]),    cam = relu(sum_k weight_k A_k)

Here a global average pooling stands between the maps and the head, so that every cell of a map
has the same gradient: that of the pooled activation p_k, divided by the number of cells:

    d logit / d A_k[i, j] = (d logit / d p_k) / (h w)

A gradient tape over the small head is all that is needed; the backbone runs once, forwards.

What is differentiated is the logit, never the sigmoid: the sigmoid's gradient vanishes for
confident scores, and the map with it.

Sign and scale: a cell tells how much it adds to the logit, to first order: without the relu, the
cells sum to gradient times embedding. So maps of different images can be compared, and are not
stretched one by one. Cells that speak against the positive class are zero, not negative.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from components.trainer import classifier


class GradCam:
    """The logits of one of a classifier's outputs, and their maps."""

    def __init__(self, model: keras.Model, output: int = 0) -> None:
        """Take a classifier apart.

        Args:
          model: as built by `classifier.build_classifier`: a backbone, global average pooling,
            a head, and a sigmoid.
          output: which of the head's logits is explained.

        Raises:
          ValueError: if the model is built otherwise, and the closed form would not hold; or if
            it has no such output.
        """
        self._backbone, self._head = _ends(model)
        outputs = self._head.output_shape[-1]
        if not 0 <= output < outputs:
            raise ValueError(f"there is no output {output}: the head has {outputs}")
        self._output = output
        images = tf.TensorSpec([None, *self._backbone.input_shape[1:]], tf.float32)
        self.logits = tf.function(self._logits, input_signature=[images])
        self.explain = tf.function(self._explain, input_signature=[images])

    def _logits(self, images: tf.Tensor) -> tf.Tensor:
        """Logits of the positive class, uncalibrated.

        Args:
          images: float32 [N, image_size, image_size, 3] on [0, 1].

        Returns:
          float32 [N].
        """
        return self._score(self._pool(self._maps(images)))

    def _explain(self, images: tf.Tensor) -> tf.Tensor:
        """Grad-CAM maps of the positive class.

        Args:
          images: float32 [N, image_size, image_size, 3] on [0, 1].

        Returns:
          float32 [N, h, w], at least 0: what each cell adds to the uncalibrated logit. The grid
          is the backbone's own (7 by 7 for DenseNet121 at 224 pixels).
        """
        maps = self._maps(images)
        pooled = self._pool(maps)
        with tf.GradientTape() as tape:
            tape.watch(pooled)
            logits = self._score(pooled)
        # Films do not mix in the head, so the gradient of the sum is each film's own.
        gradient = tape.gradient(logits, pooled)
        cells = tf.cast(tf.shape(maps)[1] * tf.shape(maps)[2], tf.float32)
        return tf.nn.relu(tf.einsum("nhwc,nc->nhw", maps, gradient) / cells)

    def _maps(self, images: tf.Tensor) -> tf.Tensor:
        # A backbone in mixed precision hands over half floats, too coarse to sum.
        return tf.cast(self._backbone(images, training=False), tf.float32)

    def _pool(self, maps: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(maps, axis=[1, 2])

    def _score(self, pooled: tf.Tensor) -> tf.Tensor:
        return tf.cast(self._head(pooled, training=False), tf.float32)[:, self._output]


def _ends(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    names = [layer.name for layer in layers]
    expected = [classifier.BACKBONE, "pool", classifier.HEAD, classifier.SCORE]
    if names != expected or not isinstance(layers[1], keras.layers.GlobalAveragePooling2D):
        raise ValueError(
            "Grad-CAM's closed form holds for backbone, global average pooling and head; "
            f"expected the layers {expected}, found {names}"
        )
    backbone, _, head, _ = layers
    return backbone, head
