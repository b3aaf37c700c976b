"""A network that forgets: what it learnt, from the head downwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import numpy as np

from components.trainer.backbones import BACKBONES
from components.trainer.classifier import BACKBONE, HEAD

HEAD_STAGE, LAST_BLOCK_STAGE, ALL_STAGE = "head", "head and last block", "all layers"


@contextlib.contextmanager
def restored(classifier: keras.Model) -> Iterator[None]:
    """Give a network its weights back."""
    kept = classifier.get_weights()
    try:
        yield
    finally:
        classifier.set_weights(kept)


def forget(classifier: keras.Model, backbone: str, seed: int) -> Iterator[str]:
    """Randomise a network step by step, each including the former.

    The values of each weight tensor are shuffled. They keep their mean and spread, so that
    activations stay of a size, in networks of all kinds, with and without normalisation; what is
    lost is what was learnt. What only standardises the input or the embedding stays.

    Args:
      classifier: as built by `classifier.build_classifier`; it is changed.
      backbone: a key of `BACKBONES`; of another network the blocks are not known, and there is no
        step for the last one.
      seed: of the shuffles.

    Yields:
      The name of the step, when it is done.
    """
    rng = np.random.default_rng(seed)
    shuffled: set[int] = set()

    def shuffle(layers: list[keras.Layer]) -> None:
        for layer in layers:
            if id(layer) in shuffled or isinstance(layer, keras.layers.Normalization):
                continue
            shuffled.add(id(layer))
            layer.set_weights([_shuffled(value, rng) for value in layer.get_weights()])

    network = classifier.get_layer(BACKBONE)
    shuffle(_leaves(classifier.get_layer(HEAD)))
    yield HEAD_STAGE
    blocks = BACKBONES[backbone].blocks if backbone in BACKBONES else ()
    layers = _leaves(network)
    names = [layer.name for layer in layers]
    if blocks and blocks[-1] in names:
        shuffle(layers[names.index(blocks[-1]) :])
        yield LAST_BLOCK_STAGE
    shuffle(layers)
    yield ALL_STAGE


def _leaves(model: keras.Model) -> list[keras.Layer]:
    """Layers in the order that data flows, those of nested networks in their place."""
    found: list[keras.Layer] = []
    for layer in model.layers:
        found += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return found


def _shuffled(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(value.ravel()).reshape(value.shape)
