"""Frozen networks compute what Keras computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.trainer import frozen
from components.trainer.frozen import freeze
from tests.components.trainer.samples import SIDE


def random_images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, SIDE, SIDE, 3)).astype(np.float32)


def call(network: keras.Model, precision: str, images: np.ndarray) -> np.ndarray:
    """In a graph, as it is used."""
    return tf.function(freeze(network, precision))(tf.constant(images)).numpy()


@pytest.mark.parametrize("has_it", [True, False])
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    monkeypatch.setattr(frozen, "_processor_has_bfloat16", lambda: has_it)

    assert frozen.resolve_precision("auto") == ("bfloat16" if has_it else "float32")
    assert frozen.resolve_precision("float32") == "float32"


def trained_for_a_while(network: keras.Model) -> keras.Model:
    """Batch normalisation as it is initialised does nothing."""
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in network.get_weights()])
    return network


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-6), ("bfloat16", 2e-2)])
def test_a_nested_network_gives_what_keras_gives(
    small_backbone: keras.Model, precision: str, tolerance: float
) -> None:
    images = random_images(3)
    trained_for_a_while(small_backbone)
    expected = small_backbone(images, training=False).numpy()

    found = call(small_backbone, precision, images)

    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    "options", [{"scale": False}, {"center": False}, {"axis": 1}, {"axis": -1}], ids=str
)
def test_batch_normalisation_of_any_kind_is_what_it_was(options: dict[str, Any]) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    network = keras.Model(image, keras.layers.BatchNormalization(**options)(image))
    trained_for_a_while(network)
    images = random_images(2)

    np.testing.assert_allclose(
        call(network, "float32", images), network(images, training=False), atol=1e-5
    )


def test_a_network_that_was_trained_in_half_precision_is_served_in_single() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    convolution = keras.layers.Conv2D(4, 3, dtype="mixed_float16")
    network = keras.Model(image, convolution(image))
    kernel, bias = network.get_weights()
    images = random_images(1)

    expected = tf.nn.conv2d(images, kernel, 1, "VALID") + bias

    np.testing.assert_allclose(call(network, "float32", images), expected, atol=1e-5)


def test_what_a_layer_adapted_to_is_kept() -> None:
    numbers = np.random.default_rng(0).normal(5, 3, (100, 4)).astype(np.float32)
    standardise = keras.layers.Normalization()
    standardise.adapt(numbers)
    embedding = keras.Input((4,))
    network = keras.Model(embedding, standardise(embedding))

    found = call(network, "float32", numbers)

    np.testing.assert_allclose(found, (numbers - numbers.mean(0)) / numbers.std(0), atol=1e-5)


def test_in_bfloat16_what_standardises_and_pools_is_not_rounded() -> None:
    image = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(255.0)(image)
    x = keras.layers.Normalization(mean=[100.0] * 3, variance=[7.0] * 3)(x)
    network = keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))
    images = random_images(2)

    np.testing.assert_allclose(call(network, "bfloat16", images), network(images), rtol=1e-5)


def test_it_is_the_network_as_it_was(small_backbone: keras.Model) -> None:
    images = random_images(1)
    infer = freeze(small_backbone, "float32")
    before = infer(tf.constant(images)).numpy()

    small_backbone.set_weights([weight + 1 for weight in small_backbone.get_weights()])

    np.testing.assert_array_equal(infer(tf.constant(images)), before)


def test_two_functions_that_use_it_store_its_constants_once(tmp_path: Path) -> None:
    image = keras.Input((100,))
    network = keras.Model(image, keras.layers.Dense(5000)(image))  # 2 MB
    infer = freeze(network, "float32")
    module = tf.Module()
    spec = tf.TensorSpec([None, 100], tf.float32)
    module.one = tf.function(lambda x: {"y": infer(x)}, input_signature=[spec])
    module.two = tf.function(lambda x: {"y": infer(x) + 1}, input_signature=[spec])

    signatures = {"one": module.one, "two": module.two}
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)

    weights = 4 * network.count_params()
    assert weights < (tmp_path / "saved_model.pb").stat().st_size < 1.2 * weights
    loaded = tf.saved_model.load(str(tmp_path))
    one, two = (loaded.signatures[name](x=tf.ones([1, 100]))["y"] for name in ("one", "two"))
    np.testing.assert_allclose(two, one + 1)
