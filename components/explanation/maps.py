"""Maps of what in an image adds to a logit.

Three methods, of one form: a cell's activations A[i, j, k], weighed by what the logit's gradient
g[i, j, k] = d logit / d A[i, j, k] says of channel k, summed over channels, and of that the
positive part.

- `grad_cam`, Selvaraju et al., ICCV 2017, arXiv:1610.02391:

      weight_k = mean_ij(g[i, j, k]),    map = relu(sum_k weight_k A_k)

- `grad_cam_plus_plus`, Chattopadhay et al., WACV 2018, arXiv:1710.11063, which averages positive
  gradients alone, and damps those of channels that are active in many places:

      weight_k = mean_ij(alpha[i, j, k] relu(g[i, j, k])),
      alpha    = g^2 / (2 g^2 + g^3 sum_ab(A[a, b, k])) = 1 / (2 + g sum_ab(A[a, b, k]))

  The paper derives alpha for exp(logit), whose derivatives of any order are powers of g where the
  network is linear piece by piece. Two things differ. Its factor exp(logit) is left out: it would
  stretch each image's map by its own score. And it sums over cells where the mean is taken here,
  a constant that makes the unit that of the others. Its activations are those of a ReLU; of other
  networks' the positive ones are summed, or alpha would have a pole.

- `hires_cam`, Draelos & Carin 2020, arXiv:2011.08891, in which each cell keeps its own gradient:

      map = relu(sum_k g[i, j, k] A[i, j, k])

At the backbone's last activations all is in closed form: a global average pooling stands between
them and the head, so that every cell of a channel has the same gradient, that of the pooled
activation p_k over the number of cells:

    g[i, j, k] = (d logit / d p_k) / (h w)

Only the small head is differentiated, and `hires_cam` and `grad_cam` are the same. At an earlier
layer the gradient goes back through the blocks behind it.

What is differentiated is the logit, never the sigmoid: its gradient vanishes for confident scores,
and the map with it.

Sign: evidence for the finding. Cells that speak against it are zero, not negative.
Scale: that of the logit. A cell of `hires_cam`, and of `grad_cam` at the last activations, tells
how much it adds to the logit, to first order; without the relu the cells sum to gradient times
activations. Where gradients are averaged before, or dropped, the unit is the same, but a cell is
no share of the logit.
Normalisation: none. Maps of different images can be compared, and none is stretched to its own
maximum: the faint map of a negative image stays faint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from components.explanation.layers import cut
from components.explanation.methods import Method


class Seen(NamedTuple):
    """What a classifier sees in images.

    Attributes:
      embedding: the pooled last activations, float32 [N, d].
      logits: uncalibrated, float32 [N, K].
      maps: float32 [N, K, h, w], at least 0, in logits.
    """

    embedding: tf.Tensor
    logits: tf.Tensor
    maps: tf.Tensor


class Explainer:
    """A classifier's logits, and a map for each of them."""

    def __init__(
        self, classifier: keras.Model, *, method: Method = "grad_cam", layer: str = ""
    ) -> None:
        """Take a classifier apart.

        Args:
          classifier: a backbone, global average pooling, a head and a sigmoid.
          method: see the module.
          layer: whose input is explained, by its name in the backbone's network; empty for the
            backbone's last activations.

        Raises:
          ValueError: if the classifier is built otherwise, or has no such layer.
        """
        backbone, self._head = _ends(classifier)
        self._weigh = _METHODS[method]
        self._before = backbone
        self._after: keras.Model | None = None
        if layer:
            self._before, self._after = cut(backbone, layer)
        height, width = self._before.output_shape[1:3]
        self.grid: tuple[int, int] = (height, width)

    def __call__(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Logits and maps.

        Args:
          images: float32 [N, S, S, 3] on [0, 1].

        Returns:
          Uncalibrated logits, float32 [N, K]; and maps, float32 [N, K, h, w], at least 0: what
          each cell of the `grid` adds to each logit.
        """
        _, logits, maps = self.see(images)
        return logits, maps

    def see(self, images: tf.Tensor) -> Seen:
        """The same, and the embedding."""
        before = self._before(images, training=False)
        # A backbone in mixed precision hands over half floats, too coarse to sum.
        activations = tf.cast(before, tf.float32)
        with tf.GradientTape(persistent=True) as tape:
            if self._after is None:
                pooled = _pool(activations)
                tape.watch(pooled)
            else:
                tape.watch(activations)
                last = self._after(tf.cast(activations, before.dtype), training=False)
                pooled = _pool(tf.cast(last, tf.float32))
            logits = tf.cast(self._head(pooled, training=False), tf.float32)
        if self._after is None:
            height, width = self.grid
            gradients = _gradients(tape, logits, pooled)[:, :, tf.newaxis, tf.newaxis, :]
            gradients /= height * width
        else:
            gradients = _gradients(tape, logits, activations)
        maps = tf.nn.relu(self._weigh(activations, gradients))
        return Seen(pooled, logits, maps)


def _pool(activations: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(activations, axis=[1, 2])


def _gradients(tape: tf.GradientTape, logits: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Of each logit, [N, K, ...]: images do not mix, so each row's gradient is its own."""
    if logits.shape[1] == 1:
        return tape.gradient(logits, at)[:, tf.newaxis]
    # One output after the other: all at once they would need K times the memory.
    return tape.batch_jacobian(logits, at, parallel_iterations=1, experimental_use_pfor=False)


# Activations [N, h, w, C] and their gradients [N, K, h, w, C], or [N, K, 1, 1, C] where all cells
# have the same, to the sum over channels, [N, K, h, w].


def _grad_cam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    weights = tf.reduce_mean(gradients, axis=[2, 3])
    return tf.einsum("nhwc,nkc->nkhw", activations, weights)


def _grad_cam_plus_plus(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    positive = tf.nn.relu(gradients)
    total = tf.reduce_sum(tf.nn.relu(activations), axis=[1, 2])[
        :, tf.newaxis, tf.newaxis, tf.newaxis
    ]
    weights = tf.reduce_mean(positive / (2 + positive * total), axis=[2, 3])
    return tf.einsum("nhwc,nkc->nkhw", activations, weights)


def _hires_cam(activations: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(activations[:, tf.newaxis] * gradients, axis=-1)


_METHODS: dict[Method, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "grad_cam": _grad_cam,
    "grad_cam_plus_plus": _grad_cam_plus_plus,
    "hires_cam": _hires_cam,
}


def _ends(classifier: keras.Model) -> tuple[keras.Model, keras.Model]:
    layers = [x for x in classifier.layers if not isinstance(x, keras.layers.InputLayer)]
    kinds = [keras.Model, keras.layers.GlobalAveragePooling2D, keras.Model, keras.layers.Activation]
    if len(layers) != len(kinds) or not all(map(isinstance, layers, kinds)):
        raise ValueError(
            "maps are explained of a backbone, global average pooling, a head and a sigmoid; "
            f"found {[layer.name for layer in layers]}"
        )
    backbone, _, head, _ = layers
    return backbone, head
