"""The classifier: a backbone, global average pooling and a small head.

    image -> backbone -> maps -> pool -> head -> logit -> sigmoid

Backbone and head are models of their own inside it, found by name: the head is trained alone on
pooled activations, and Grad-CAM needs both ends of the pooling.
"""

from __future__ import annotations

import keras

BACKBONE = "backbone"
POOL = "pool"
HEAD = "head"
SCORE = "score"
STANDARDISE = "standardise_embedding"
HIDDEN = "hidden"


def build_head(
    features: int, *, units: int, dropout: float, l2: float, outputs: int = 1
) -> keras.Model:
    """The part that is trained.

    The embedding is standardised first: without it a head on a randomly initialised backbone,
    whose activations barely differ between films, learns next to nothing.

    Args:
      features: length of the pooled embedding.
      units: of the hidden layer.
      dropout: share of hidden units dropped in training.
      l2: weight decay of the hidden layer's kernel.
      outputs: how many logits.

    Returns:
      A model named `head`: float32 [N, features] to logits, float32 [N, outputs].
    """
    embedding = keras.Input((features,), name="embedding")
    x = keras.layers.Normalization(name=STANDARDISE)(embedding)
    x = keras.layers.Dense(
        units, activation="relu", kernel_regularizer=keras.regularizers.L2(l2), name=HIDDEN
    )(x)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(embedding, keras.layers.Dense(outputs, name="logit")(x), name=HEAD)


def build_tail(suffix: keras.Model, head: keras.Model) -> keras.Model:
    """The network from where its frozen part ends.

    Args:
      suffix: activations, float32 [N, h, w, c], to the backbone's maps.
      head: pooled maps to logits, see `build_head`.

    Returns:
      A model from activations to logits, float32 [N, outputs], that shares the weights of both. The
      suffix is in inference mode, also in training.
    """
    activations = keras.Input(suffix.input_shape[1:], name="activations")
    maps = _InInference(suffix, name="suffix")(activations)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(maps)
    return keras.Model(activations, head(pooled), name="tail")


def build_classifier(backbone: keras.Model, head: keras.Model) -> keras.Model:
    """The whole network.

    Args:
      backbone: images to maps, see `backbones.build_backbone`.
      head: pooled maps to logits, see `build_head`.

    Returns:
      A model from images, float32 [N, h, w, 3] on [0, 1], to scores, float32 [N, outputs] on
      [0, 1]. A score is not yet a probability: class weights distort it, and the exported
      model's calibration mends it.
    """
    image = keras.Input(backbone.input_shape[1:], name="image")
    logits = head(keras.layers.GlobalAveragePooling2D(name=POOL)(backbone(image)))
    scores = keras.layers.Activation("sigmoid", name=SCORE)(logits)
    return keras.Model(image, scores, name="cxr")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Give a network the weights of another that is built alike."""
    target.set_weights(source.get_weights())
    for layer in target._flatten_layers():
        # It standardises with constants that it made of its weights, and set_weights leaves them.
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()


class _InInference(keras.layers.Layer):
    """A network in inference mode, whatever the mode of the model that it is part of.

    To call it with `training=False` is not enough: in training, a functional model hands its own
    mode down to every layer in it.
    """

    def __init__(self, network: keras.Model, name: str):
        super().__init__(name=name)
        self.network = network

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The network's answer."""
        return self.network(inputs, training=False)
