"""The closed form must equal what automatic differentiation says of the whole network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.grad_cam.grad_cam import GradCam
from components.trainer import backbones, classifier


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


def taped(model: keras.Model, images: np.ndarray, output: int = 0) -> np.ndarray:
    """Grad-CAM by the book: a tape through all layers up to the logit."""
    backbone, *rest, _sigmoid = model.layers[1:]
    with tf.GradientTape() as tape:
        maps = backbone(images, training=False)
        tape.watch(maps)
        x = maps
        for layer in rest:
            x = layer(x, training=False)
        logit = x[:, output]
    weights = tf.reduce_mean(tape.gradient(logit, maps), axis=[1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1)).numpy()


@pytest.mark.parametrize("name", ["small", "DenseNet121"])
def test_equals_a_tape_through_the_whole_network(name):
    keras.utils.set_random_seed(1)
    if name == "small":
        side, backbone = 32, small_backbone()
    else:
        side = 64
        backbone = backbones.build_backbone(name, image_size=side, weights="none", seed=1)
    model = classifier.build_classifier(backbone, head_for(backbone))
    images = random_images(3, side)

    maps = GradCam(model).explain(images).numpy()

    expected = taped(model, images)
    assert maps.shape == (3, *backbone.output_shape[1:3])
    assert expected.max() > 0, "an empty map would prove nothing"
    np.testing.assert_allclose(maps, expected, atol=1e-4 * expected.max())


def test_does_not_fade_where_the_sigmoid_saturates():
    keras.utils.set_random_seed(1)
    backbone = small_backbone()
    head = head_for(backbone)
    model = classifier.build_classifier(backbone, head)
    images = random_images(2, 32)
    before = GradCam(model).explain(images).numpy()

    kernel, bias = head.get_layer("logit").get_weights()
    head.get_layer("logit").set_weights([kernel, bias + 100])

    assert model(images).numpy().min() == 1
    np.testing.assert_allclose(GradCam(model).explain(images).numpy(), before)


def linear_classifier(weights: list[float], bias: float) -> keras.Model:
    backbone = small_backbone(channels=len(weights))
    embedding = keras.Input((len(weights),))
    dense = keras.layers.Dense(1)
    head = keras.Model(embedding, dense(embedding), name="head")
    dense.set_weights([np.array(weights, np.float32)[:, np.newaxis], np.array([bias], np.float32)])
    return classifier.build_classifier(backbone, head)


def test_cells_are_in_logits_and_add_up():
    grad_cam = GradCam(linear_classifier([0.5, 1.0, 2.0], bias=-3.0))
    images = random_images(4, 32)

    maps, logits = grad_cam.explain(images).numpy(), grad_cam.logits(images).numpy()

    np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits + 3.0, rtol=1e-4)


def test_evidence_against_is_not_heat():
    grad_cam = GradCam(linear_classifier([-0.5, -1.0, -2.0], bias=3.0))

    assert not grad_cam.explain(random_images(2, 32)).numpy().any()


def test_logits_are_the_classifiers_own():
    keras.utils.set_random_seed(2)
    backbone = small_backbone()
    model = classifier.build_classifier(backbone, head_for(backbone))
    images = random_images(3, 32)

    scores = tf.sigmoid(GradCam(model).logits(images)).numpy()

    np.testing.assert_allclose(scores, model(images, training=False).numpy()[:, 0], rtol=1e-5)


def test_heat_lies_where_the_evidence_lies():
    backbone = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.AveragePooling2D(8)], name="backbone"
    )
    embedding = keras.Input((3,))
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    head = keras.Model(embedding, dense(embedding), name="head")
    images = np.zeros((1, 32, 32, 3), np.float32)
    images[0, 24:, :8] = 1

    cam = GradCam(classifier.build_classifier(backbone, head)).explain(images).numpy()[0]

    assert np.unravel_index(cam.argmax(), cam.shape) == (3, 0)
    assert np.count_nonzero(cam) == 1


def test_refuses_another_pooling():
    backbone = small_backbone()
    head = head_for(backbone)
    image = keras.Input((32, 32, 3))
    pooled = keras.layers.GlobalMaxPooling2D(name="pool")(backbone(image))
    scores = keras.layers.Activation("sigmoid", name="score")(head(pooled))

    with pytest.raises(ValueError, match="global average pooling"):
        GradCam(keras.Model(image, scores))


def multi_label_classifier() -> keras.Model:
    keras.utils.set_random_seed(3)
    head = classifier.build_head(6, units=16, dropout=0.0, l2=0.0, outputs=14)
    return classifier.build_classifier(small_backbone(), head)


@pytest.mark.parametrize("output", [0, 5, 13])
def test_explains_the_output_that_is_asked_for(output):
    model = multi_label_classifier()
    images = random_images(3, 32)
    grad_cam = GradCam(model, output)

    maps, scores = grad_cam.explain(images).numpy(), tf.sigmoid(grad_cam.logits(images)).numpy()

    expected = taped(model, images, output)
    assert expected.max() > 0, "an empty map would prove nothing"
    np.testing.assert_allclose(maps, expected, atol=1e-4 * expected.max())
    np.testing.assert_allclose(scores, model(images, training=False)[:, output], rtol=1e-5)


@pytest.mark.parametrize("output", [-1, 14])
def test_refuses_an_output_that_is_not_there(output):
    with pytest.raises(ValueError, match=f"no output {output}: the head has 14"):
        GradCam(multi_label_classifier(), output)
