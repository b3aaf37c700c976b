"""Where backbones are cut."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from components.errors import InputError
from components.explanation.layers import cut, finer_layer

IMAGES = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)


def backbone_of(*layers: keras.Layer) -> keras.Model:
    """Built as the registry does it; a residual block of the network's own shape comes first."""
    inner = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(inner)
    x = keras.layers.Add(name="sum")([x, keras.layers.Conv2D(4, 1, name="branch")(x)])
    for layer in layers:
        x = layer(x)
    image = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(2.0)(image)
    return keras.Model(image, keras.Model(inner, x, name="network")(scaled))


def shrinking(name: str) -> keras.Layer:
    return keras.layers.Conv2D(4, 3, strides=2, padding="valid", name=name)


def test_its_parts_make_the_whole() -> None:
    backbone = backbone_of(shrinking("block"), keras.layers.ReLU())

    before, after = cut(backbone, "block")

    assert before.output_shape == (None, 16, 16, 4)
    np.testing.assert_allclose(after(before(IMAGES)), backbone(IMAGES), rtol=1e-5)


def test_the_finer_layer_reads_the_last_finer_activations() -> None:
    one = backbone_of(shrinking("first"), shrinking("second"), keras.layers.ReLU())
    flat = backbone_of(keras.layers.ReLU(name="between"), shrinking("first"))

    assert finer_layer(one) == "second"
    assert finer_layer(flat) == "first"


def test_padding_is_no_activation() -> None:
    padded = backbone_of(keras.layers.ZeroPadding2D(name="padding"), shrinking("first"))

    assert finer_layer(padded) == "padding"


def test_what_a_shortcut_goes_round_is_no_place_to_cut() -> None:
    inner = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", name="stem")(inner)
    side = keras.layers.ReLU(name="side")(x)
    small = keras.layers.Conv2D(4, 3, strides=2, padding="same", name="main")(side)
    short = keras.layers.MaxPooling2D(1, strides=2, name="short")(x)
    network = keras.Model(inner, keras.layers.Add(name="sum")([small, short]))
    image = keras.Input((32, 32, 3))
    backbone = keras.Model(image, network(keras.layers.Rescaling(2.0)(image)))

    layer = finer_layer(backbone)

    before, after = cut(backbone, layer)
    np.testing.assert_allclose(after(before(IMAGES)), backbone(IMAGES), rtol=1e-5)
    np.testing.assert_allclose(before(IMAGES), network.get_layer("stem")(2 * IMAGES), rtol=1e-5)


def test_a_network_as_coarse_as_its_output_has_none() -> None:
    with pytest.raises(InputError, match=r"trainer\.explanation\.layer: finer, but no .* use last"):
        finer_layer(backbone_of(keras.layers.ReLU()))


def test_an_unknown_layer_is_an_error() -> None:
    with pytest.raises(ValueError, match="No such layer: elsewhere"):
        cut(backbone_of(), "elsewhere")
