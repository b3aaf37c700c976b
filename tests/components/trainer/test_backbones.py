"""The contract that every registered backbone keeps."""

from __future__ import annotations

import itertools
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.applications import imagenet_utils

from components.errors import InputError
from components.explanation.layers import finer_layer
from components.explanation.maps import Explainer
from components.grad_cam.exported_model import ExplainingModel
from components.trainer.backbones import (
    BACKBONES,
    build_backbone,
    cut_backbone,
    weights_digest,
)
from components.trainer.calibration import Calibration
from components.trainer.classifier import HEAD, build_classifier
from components.trainer.frozen import freeze
from components.trainer.operating_point import OperatingPoint
from components.trainer.outputs import Output
from components.trainer.serving_module import Answers
from components.trainer.settings import TrainerSettings
from components.trainer.weights_file import load_weights_file
from components.transform.preprocessing import preprocess
from serving.client import GrpcClient, RestClient
from serving.server.config import ServerConfig
from serving.server.embedded import EmbeddedServer
from tests.components.grad_cam.pages import CONTRACT
from tests.components.trainer.samples import serve

SIDE = 64
IMAGES = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)

# One of each family; their larger siblings are slow.
QUICK = {"DenseNet121", "EfficientNetB0", "ResNet50V2", "MobileNetV3Small", "ConvNeXtTiny"}
# Exported with maps of the finer grid; the others with those of the last.
WITH_FINER = {"EfficientNetB0", "MobileNetV3Small"}
# Whose maps a server is asked for, too: one of either grid, since it runs whatever is exported.
SERVED = {"DenseNet121", "EfficientNetB0"}
# What holds for a family by the kinds of its layers, which its members share.
of_each_family = pytest.mark.parametrize("name", sorted(QUICK), indirect=True, scope="module")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow])
        for name in sorted(BACKBONES)
    ],
)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def backbone(name: str) -> keras.Model:
    return build_backbone(name, image_size=SIDE, weights="none", seed=1)


@pytest.fixture(scope="module")
def of_another_size(name: str) -> keras.Model:
    return build_backbone(name, image_size=75, weights="none", seed=1)


@pytest.fixture(scope="module")
def maps(backbone: keras.Model) -> np.ndarray:
    return backbone(IMAGES, training=False).numpy()


# --- The contract ----------------------------------------------------------------------------


def test_the_settings_know_every_backbone() -> None:
    annotation = TrainerSettings.model_fields["backbone"].annotation

    assert set(typing.get_args(annotation)) == set(BACKBONES)


def test_it_turns_images_into_maps(backbone: keras.Model, maps: np.ndarray) -> None:
    assert backbone.name == "backbone"
    assert backbone.input_shape == (None, SIDE, SIDE, 3)
    assert maps.shape == (2, SIDE // 32, SIDE // 32, backbone.output_shape[-1])
    assert maps.dtype == np.float32


def test_it_embeds_images(maps: np.ndarray) -> None:
    embeddings = maps.mean(axis=(1, 2))

    assert np.isfinite(embeddings).all()
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3 * np.abs(embeddings).max()


def test_it_is_fed_as_keras_feeds_it(name: str, backbone: keras.Model) -> None:
    _, normalise, _ = backbone.layers
    expected = sys.modules[BACKBONES[name].build.__module__].preprocess_input(IMAGES * 255)

    np.testing.assert_allclose(normalise(IMAGES), expected, atol=1e-4)


def test_its_first_convolution_sees_what_it_was_trained_on(
    name: str, backbone: keras.Model
) -> None:
    expected = {
        "DenseNet": imagenet_utils.preprocess_input(IMAGES * 255, mode="torch"),
        "EfficientNetB": IMAGES,  # with random weights; see the test of its published ones
        "EfficientNetV2": IMAGES * 255 / 128 - 1,
        "ResNet50V2": imagenet_utils.preprocess_input(IMAGES * 255, mode="tf"),
        "MobileNetV3": imagenet_utils.preprocess_input(IMAGES * 255, mode="tf"),
        "ConvNeXt": imagenet_utils.preprocess_input(IMAGES * 255, mode="torch"),
    }
    (family,) = (family for family in expected if name.startswith(family))

    np.testing.assert_allclose(normalised(backbone, IMAGES), expected[family], atol=1e-4)


def normalised(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """What is left of the images where the network itself has normalised them."""
    _, normalise, network = backbone.layers
    kinds = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)
    *_, last = itertools.takewhile(lambda layer: isinstance(layer, kinds), network.layers)
    return keras.Model(network.input, last.output)(normalise(images)).numpy()


@of_each_family
def test_any_size_will_do_and_the_seed_decides_the_weights(
    backbone: keras.Model, of_another_size: keras.Model
) -> None:
    assert of_another_size.output_shape[1:3] in {(2, 2), (3, 3)}
    assert weights_digest(of_another_size) == weights_digest(backbone)


@of_each_family
def test_its_weights_go_through_a_file(
    backbone: keras.Model, of_another_size: keras.Model, tmp_path: Path
) -> None:
    file = tmp_path / "network.weights.h5"
    backbone.layers[-1].save_weights(file)
    for variable in of_another_size.weights:
        variable.assign(variable + 1)

    load_weights_file(of_another_size.layers[-1], file)

    assert weights_digest(of_another_size) == weights_digest(backbone)


def test_it_can_be_cut_before_each_block(
    name: str, backbone: keras.Model, maps: np.ndarray
) -> None:
    whole = {id(variable) for variable in backbone.variables}
    sizes = []
    for blocks in range(1, len(BACKBONES[name].blocks) + 1):
        cut = cut_backbone(backbone, name, f"last_{blocks}_blocks")
        activations = cut.prefix(IMAGES, training=False)
        again = cut.suffix(activations, training=False).numpy()

        np.testing.assert_allclose(again, maps, rtol=0, atol=1e-5 * np.abs(maps).max())
        prefix, suffix = ({id(v) for v in part.variables} for part in (cut.prefix, cut.suffix))
        assert prefix | suffix == whole
        assert not prefix & suffix
        sizes.append(len(suffix))
    assert sizes == sorted(set(sizes))
    assert sizes


def test_the_last_block_trains_and_the_rest_does_not(name: str, backbone: keras.Model) -> None:
    before = backbone.get_weights()
    cut = cut_backbone(backbone, name, "last_block")
    activations = cut.prefix(IMAGES, training=False)
    with tf.GradientTape() as tape:
        again = cut.suffix(activations, training=False)
        loss = tf.reduce_mean(again**2) / tf.reduce_mean(tf.stop_gradient(again) ** 2)
    gradients = tape.gradient(loss, cut.suffix.trainable_variables)
    keras.optimizers.SGD(1.0).apply(gradients, cut.suffix.trainable_variables)

    assert all(np.isfinite(gradient).all() for gradient in gradients)
    trained = {id(variable) for variable in cut.suffix.trainable_variables}
    changed = {
        id(variable)
        for variable, old in zip(backbone.weights, before, strict=True)
        if not np.array_equal(variable, old)
    }
    backbone.set_weights(before)
    assert changed
    assert changed <= trained


@pytest.mark.slow
def test_it_is_frozen(backbone: keras.Model, maps: np.ndarray) -> None:
    """Of each family, the exported explanations below tell as much."""
    assert_frozen(backbone, maps, "float32", tolerance=1e-5)


@of_each_family
def test_it_is_frozen_in_bfloat16(backbone: keras.Model, maps: np.ndarray) -> None:
    assert_frozen(backbone, maps, "bfloat16", tolerance=0.05)


def assert_frozen(
    backbone: keras.Model, maps: np.ndarray, precision: str, tolerance: float
) -> None:
    frozen = freeze(backbone, precision)(tf.constant(IMAGES)).numpy()

    expected = maps.mean(axis=(1, 2))
    error = np.abs(frozen.mean(axis=(1, 2)) - expected).max()
    assert error <= tolerance * np.abs(expected).max()


def test_it_is_explained(backbone: keras.Model, maps: np.ndarray) -> None:
    classifier, corner = classifier_of_a_corner(backbone, maps)

    logits, explained = Explainer(classifier)(tf.constant(IMAGES))

    cells = maps.shape[1] * maps.shape[2]
    expected = np.maximum(maps @ corner, 0) / cells
    np.testing.assert_allclose(explained[:, 0], expected, rtol=0, atol=1e-5 * expected.max())
    assert expected[0].max() > expected[0].min()
    np.testing.assert_allclose(logits[:, 0], (maps @ corner).mean(axis=(1, 2)), rtol=1e-4)


def test_it_is_explained_on_a_finer_grid(backbone: keras.Model, maps: np.ndarray) -> None:
    classifier, _ = classifier_of_a_corner(backbone, maps)
    layer = finer_layer(backbone)
    explainer = Explainer(classifier, method="hires_cam", layer=layer)

    _, explained = explainer(tf.constant(IMAGES))

    assert explainer.grid == (SIDE // 16, SIDE // 16)
    activations, gradient = taped(classifier, layer, tf.constant(IMAGES))
    # HiRes-CAM by the book.
    expected = tf.nn.relu(tf.reduce_sum(gradient * activations, axis=-1)).numpy()
    np.testing.assert_allclose(explained[:, 0], expected, rtol=0, atol=1e-5 * expected.max())
    assert (np.ptp(explained, axis=(1, 2, 3)) > 0).all()


@of_each_family
def test_its_explanations_are_exported(
    name: str, backbone: keras.Model, maps: np.ndarray, tmp_path: Path
) -> None:
    """Tape, explainer, exported signature, report and server agree, as the Trainer builds it."""
    classifier, corner = classifier_of_a_corner(backbone, maps)
    layer = finer_layer(backbone) if name in WITH_FINER else ""
    films = [tf.io.encode_png(np.uint8(255 * image[..., :1])) for image in IMAGES]
    output = Output("pneumonia", Calibration("none"), OperatingPoint(0.5, "", None, None, 0, 0))
    answers = Answers("binary", ("normal", "pneumonia"), (output,))
    module = serve(classifier, Preprocessing(), answers, layer="finer" if layer else "last")

    folder = tmp_path / "cxr" / "1"
    module.save(str(folder))
    exported = tf.saved_model.load(str(folder)).signatures["explain"]

    found = exported(image_bytes=tf.stack(films))
    seen = preprocess(tf.stack(films), SIDE)
    logits, explained = Explainer(classifier, layer=layer)(seen)
    expected = explained[:, 0]
    assert tf.reduce_max(expected) > 0
    tolerance = 1e-4 * float(tf.reduce_max(expected))
    np.testing.assert_allclose(found["heatmap"], expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(found["probability"], tf.sigmoid(logits)[:, 0], rtol=1e-4)
    activations, gradient = taped(classifier, layer, seen)
    weights = tf.reduce_mean(gradient, axis=(1, 2))
    by_tape = tf.nn.relu(tf.einsum("nhwc,nc->nhw", activations, weights))
    np.testing.assert_allclose(found["heatmap"], by_tape, rtol=0, atol=tolerance)
    if not layer:
        by_hand = np.maximum(backbone(seen).numpy() @ corner, 0) / np.prod(maps.shape[1:3])
        np.testing.assert_allclose(found["heatmap"], by_hand, rtol=0, atol=tolerance)
    if name in SERVED:
        encoded = [film.numpy() for film in films]
        reported = ExplainingModel(str(folder), CONTRACT)(encoded)
        for served in (reported, *served_maps(folder, encoded)):
            np.testing.assert_allclose(served, expected, rtol=0, atol=tolerance)


def served_maps(folder: Path, films: list[bytes]) -> Iterator[np.ndarray]:
    """What a server answers by gRPC, and by REST."""
    config = ServerConfig(
        model_name="cxr", model_base_path=str(folder.parent), port=0, rest_api_port=0
    )
    with EmbeddedServer(config) as server:
        for client in (
            GrpcClient(f"127.0.0.1:{server.grpc_port}", timeout=120),
            RestClient(f"127.0.0.1:{server.rest_port}", timeout=120),
        ):
            with client:
                yield np.stack([one.heatmap for one in client.explain(films)])


def classifier_of_a_corner(
    backbone: keras.Model, maps: np.ndarray
) -> tuple[keras.Model, np.ndarray]:
    """A logit for what the first corner of the first image shows, so that its cell lights up."""
    channels = maps.shape[-1]
    embedding = keras.Input((channels,))
    head = keras.Model(embedding, keras.layers.Dense(1, name="logit")(embedding), name=HEAD)
    corner = maps[0, 0, 0] / np.linalg.norm(maps[0, 0, 0])
    head.get_layer("logit").set_weights([corner[:, np.newaxis], np.zeros(1)])
    return build_classifier(backbone, head), corner


def taped(classifier: keras.Model, layer: str, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Activations and the logit's gradient there, by a tape through the whole network."""
    _, backbone, pool, head, _ = classifier.layers
    _, normalise, network = backbone.layers
    read = network.get_layer(layer).input if layer else network.output
    with tf.GradientTape() as tape:
        tape.watch(images)
        whole = keras.Model(network.input, [read, network.output])
        activations, last = whole(normalise(images), training=False)
        logit = head(pool(last if layer else activations))
    return activations, tape.gradient(logit, activations)


class Preprocessing(tf.Module):
    """What the Transform node's layer does, without a pipeline."""

    def __call__(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return {"image": preprocess(features["image/encoded"][:, 0], SIDE)}


# --- Cutting, on a small network -------------------------------------------------------------


def test_of_all_and_of_nothing_there_is_one_part(small_backbone: keras.Model) -> None:
    head = cut_backbone(small_backbone, "DenseNet121", "head")
    everything = cut_backbone(small_backbone, "DenseNet121", "all")

    assert (head.prefix, head.suffix) == (small_backbone, None)
    assert (everything.prefix, everything.suffix) == (None, small_backbone)


def test_more_blocks_than_there_are_is_an_error(small_backbone: keras.Model) -> None:
    with pytest.raises(
        InputError, match=r"trainer\.trainable: last_3_blocks, but DenseNet121 has 2 blocks"
    ):
        cut_backbone(small_backbone, "DenseNet121", "last_3_blocks")


def test_a_backbone_that_was_cut_is_saved_whole(
    small_backbone: keras.Model, tmp_path: Path
) -> None:
    expected = small_backbone(IMAGES).numpy()
    cut_backbone(small_backbone, "DenseNet121", "last_block")
    small_backbone.save(tmp_path / "backbone.keras")

    loaded = keras.models.load_model(tmp_path / "backbone.keras")

    np.testing.assert_array_equal(loaded(IMAGES), expected)
    again = cut_backbone(loaded, "DenseNet121", "last_block")
    np.testing.assert_allclose(again.suffix(again.prefix(IMAGES)), expected, rtol=1e-5)


def test_the_seed_decides_the_weights(small_backbone: keras.Model) -> None:
    one, other = (
        build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=seed) for seed in (1, 2)
    )

    assert weights_digest(one) == weights_digest(small_backbone)
    assert weights_digest(other) != weights_digest(small_backbone)
