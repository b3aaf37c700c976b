"""Maps must equal what automatic differentiation says of the whole network."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.explanation.maps import Explainer
from components.explanation.methods import Method
from components.trainer import classifier

METHODS: tuple[Method, ...] = ("grad_cam", "grad_cam_plus_plus", "hires_cam")


def small_backbone(side: int = 32, channels: int = 6) -> keras.Model:
    image = keras.Input((side, side, 3))
    x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(image)
    x = keras.layers.BatchNormalization()(x)
    maps = keras.layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, maps, name="backbone")


def head_for(backbone: keras.Model) -> keras.Model:
    return classifier.build_head(backbone.output_shape[-1], units=16, dropout=0.5, l2=0.0)


def random_images(count: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, side, side, 3), dtype=np.float32)


def taped(
    model: keras.Model, images: np.ndarray, method: Method, layer: str = "", output: int = 0
) -> np.ndarray:
    """By the book, cell by cell: a tape through all layers up to the logit."""
    backbone, *rest, _sigmoid = model.layers[1:]
    with tf.GradientTape() as tape:
        tape.watch(x := tf.constant(images))
        if layer:
            *before, network = backbone.layers[1:]
            for step in before:
                x = step(x)
            read = network.get_layer(layer).input
            activations, x = keras.Model(network.input, [read, network.output])(x, training=False)
        else:
            activations = x = backbone(x, training=False)
        for step in rest:
            x = step(x, training=False)
        logit = x[:, output]
    gradient = tape.gradient(logit, activations).numpy().astype(np.float64)
    cells = activations.numpy().astype(np.float64)
    if method == "grad_cam":
        weights = gradient.mean(axis=(1, 2), keepdims=True)
    elif method == "hires_cam":
        weights = gradient
    else:
        squared, total = gradient**2, np.maximum(cells, 0).sum(axis=(1, 2), keepdims=True)
        with np.errstate(invalid="ignore"):
            alpha = squared / (2 * squared + gradient**3 * total)
        positive = np.where(gradient > 0, alpha * gradient, 0)
        weights = positive.mean(axis=(1, 2), keepdims=True)
    return np.maximum((weights * cells).sum(axis=-1), 0)


def explain(explainer: Explainer, images: np.ndarray) -> np.ndarray:
    """Maps of the first output."""
    return explainer(tf.constant(images))[1].numpy()[:, 0]


@pytest.fixture(scope="module")
def nested() -> keras.Model:
    """A classifier of a backbone as the registry builds them, whose maps are 4 by 4 and 8 by 8."""
    keras.utils.set_random_seed(4)
    inner = keras.Input((32, 32, 3))
    x = keras.layers.Conv2D(6, 3, strides=4, padding="same", activation="relu")(inner)
    x = keras.layers.Add()([x, keras.layers.Conv2D(6, 1, name="branch")(x)])
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="relu", name="block")(x)
    network = keras.Model(inner, keras.layers.Conv2D(5, 1, activation="swish")(x), name="small")
    image = keras.Input((32, 32, 3))
    scaled = keras.layers.Rescaling(2.0, offset=-1.0)(image)
    backbone = keras.Model(image, network(scaled), name="backbone")
    head = classifier.build_head(5, units=16, dropout=0.5, l2=0.0, outputs=3)
    return classifier.build_classifier(backbone, head)


@pytest.mark.parametrize("layer", ["", "block"])
@pytest.mark.parametrize("method", METHODS)
def test_equals_a_tape_through_the_whole_network(
    nested: keras.Model, method: Method, layer: str
) -> None:
    images = random_images(3, 32)
    explainer = Explainer(nested, method=method, layer=layer)

    _, maps = explainer(tf.constant(images))

    side = 8 if layer else 4
    assert explainer.grid == (side, side)
    assert maps.shape == (3, 3, side, side)
    for output in range(3):
        expected = taped(nested, images, method, layer, output)
        assert expected.max() > 0, "an empty map would prove nothing"
        np.testing.assert_allclose(maps[:, output], expected, atol=1e-5 * expected.max())


def test_methods_differ_where_cells_have_gradients_of_their_own(nested: keras.Model) -> None:
    images = random_images(2, 32)
    maps = [explain(Explainer(nested, method=one, layer="block"), images) for one in METHODS]

    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.abs(maps[one] - maps[other]).max() > 0.01 * maps[0].max()


def test_does_not_fade_where_the_sigmoid_saturates():
    keras.utils.set_random_seed(1)
    backbone = small_backbone()
    head = head_for(backbone)
    model = classifier.build_classifier(backbone, head)
    images = random_images(2, 32)
    before = explain(Explainer(model), images)

    kernel, bias = head.get_layer("logit").get_weights()
    head.get_layer("logit").set_weights([kernel, bias + 100])

    assert model(images).numpy().min() == 1
    np.testing.assert_allclose(explain(Explainer(model), images), before)


def linear_classifier(weights: list[float], bias: float) -> keras.Model:
    backbone = small_backbone(channels=len(weights))
    embedding = keras.Input((len(weights),))
    dense = keras.layers.Dense(1)
    head = keras.Model(embedding, dense(embedding), name="head")
    dense.set_weights([np.array(weights, np.float32)[:, np.newaxis], np.array([bias], np.float32)])
    return classifier.build_classifier(backbone, head)


def test_cells_are_in_logits_and_add_up():
    explainer = Explainer(linear_classifier([0.5, 1.0, 2.0], bias=-3.0))

    logits, maps = explainer(tf.constant(random_images(4, 32)))

    np.testing.assert_allclose(tf.reduce_sum(maps, axis=[2, 3]), logits + 3.0, rtol=1e-4)


def test_evidence_against_is_not_heat():
    explainer = Explainer(linear_classifier([-0.5, -1.0, -2.0], bias=3.0))

    assert not explain(explainer, random_images(2, 32)).any()


def test_logits_are_the_classifiers_own():
    keras.utils.set_random_seed(2)
    backbone = small_backbone()
    model = classifier.build_classifier(backbone, head_for(backbone))
    images = random_images(3, 32)

    logits, _ = Explainer(model)(tf.constant(images))

    np.testing.assert_allclose(tf.sigmoid(logits), model(images, training=False), rtol=1e-5)


def test_heat_lies_where_the_evidence_lies():
    backbone = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(8)], name="backbone"
    )
    embedding = keras.Input((3,))
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    head = keras.Model(embedding, dense(embedding), name="head")
    images = np.zeros((1, 32, 32, 3), np.float32)
    images[0, 24:, :8] = 1

    cam = explain(Explainer(classifier.build_classifier(backbone, head)), images)[0]

    assert np.unravel_index(cam.argmax(), cam.shape) == (3, 0)
    assert np.count_nonzero(cam) == 1


def test_refuses_another_pooling():
    backbone = small_backbone()
    head = head_for(backbone)
    image = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalMaxPooling2D(name="pool")(backbone(image))
    scores = keras.layers.Activation("sigmoid", name="score")(head(pooled))

    with pytest.raises(ValueError, match="global average pooling"):
        Explainer(keras.Model(image, scores))
