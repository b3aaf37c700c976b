"""Weights from files of every kind, and the files that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pydantic
import pytest
from keras.applications import imagenet_utils
from keras.src.legacy.saving import legacy_h5_format

from components.trainer.backbones import WeightsError, build_backbone, weights_digest
from components.trainer.classifier import build_classifier, build_head
from components.trainer.settings import InputRange, TrainerSettings
from tests.components.trainer.test_backbones import IMAGES, SIDE, normalised


def build_small(weights: str, seed: int = 2) -> keras.Model:
    return build_backbone("DenseNet121", image_size=SIDE, weights=weights, seed=seed)


def network_of(backbone: keras.Model) -> keras.Model:
    return backbone.layers[-1]


def with_top(backbone: keras.Model) -> keras.Model:
    """The network and a top in one, as `include_top=True` gives it."""
    network = network_of(backbone)
    pooled = keras.layers.GlobalAveragePooling2D()(network.output)
    return keras.Model(network.input, keras.layers.Dense(3, name="predictions")(pooled))


def nested(backbone: keras.Model) -> keras.Model:
    """The Trainer's own classifier."""
    head = build_head(backbone.output_shape[-1], units=4, dropout=0.0, l2=0.0)
    return build_classifier(backbone, head)


def as_keras_2_saved_weights(model: keras.Model, file: Path) -> None:
    with h5py.File(file, "w") as h5:
        legacy_h5_format.save_weights_to_hdf5_group(h5, model)


# --- Accepted --------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("part", [network_of, with_top])
def test_a_whole_model_is_loaded(
    small_backbone: keras.Model, tmp_path: Path, part: Any, ending: str
) -> None:
    file = tmp_path / f"model{ending}"
    part(small_backbone).save(file)

    assert weights_digest(build_small(str(file))) == weights_digest(small_backbone)


@pytest.mark.parametrize(
    ("input_range", "fed"),
    [("signed", 2 * IMAGES - 1), ("unit", IMAGES), ("bytes", 255 * IMAGES)],
)
def test_a_file_may_expect_other_pixels(
    small_backbone: keras.Model, tmp_path: Path, input_range: InputRange, fed: np.ndarray
) -> None:
    file = tmp_path / "model.keras"
    network = network_of(small_backbone)
    network.save(file)

    loaded = build_backbone(
        "DenseNet121", image_size=SIDE, weights=str(file), seed=2, input_range=input_range
    )

    expected = network(fed).numpy()
    np.testing.assert_allclose(loaded(IMAGES), expected, rtol=1e-4, atol=1e-5 * expected.max())
    assert not np.allclose(small_backbone(IMAGES), expected, rtol=1e-2)


@pytest.mark.parametrize("weights", ["imagenet", "none"])
def test_other_weights_have_their_own_range(weights: str) -> None:
    with pytest.raises(pydantic.ValidationError, match="input_range is that of a weights file"):
        TrainerSettings(weights=weights, input_range="signed")


def test_a_classifier_of_the_trainer_is_loaded(small_backbone: keras.Model, tmp_path: Path) -> None:
    file = tmp_path / "densenet121.keras"
    nested(small_backbone).save(file)

    assert weights_digest(build_small(str(file))) == weights_digest(small_backbone)


@pytest.mark.parametrize("part", [network_of, with_top])
def test_a_file_of_weights_is_loaded(
    small_backbone: keras.Model, tmp_path: Path, part: Any
) -> None:
    file = tmp_path / "model.weights.h5"
    part(small_backbone).save_weights(file)

    assert weights_digest(build_small(str(file))) == weights_digest(small_backbone)


@pytest.mark.parametrize("file_name", ["densenet121_weights_tf_notop.h5", "old.weights.h5"])
@pytest.mark.parametrize("part", [network_of, with_top])
def test_a_file_as_keras_2_saved_it_is_loaded(
    small_backbone: keras.Model, tmp_path: Path, part: Any, file_name: str
) -> None:
    as_keras_2_saved_weights(part(small_backbone), tmp_path / file_name)

    loaded = build_small(str(tmp_path / file_name))

    assert weights_digest(loaded) == weights_digest(small_backbone)


def test_the_names_of_keras_2_do_not_matter(small_backbone: keras.Model, tmp_path: Path) -> None:
    """In Keras 2 the layer was called conv1/conv that is conv1_conv in Keras 3."""
    as_keras_2_saved_weights(network_of(small_backbone), tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "a") as file:
        file.move("convolution", "conv1/conv")
        names = list(file.attrs["layer_names"])
        del file.attrs["layer_names"]
        renamed = ["conv1/conv" if name == "convolution" else name for name in names]
        # A long list of names is in pieces.
        file.attrs["layer_names0"] = np.array(renamed[:2], "S")
        file.attrs["layer_names1"] = np.array(renamed[2:], "S")

    loaded = build_small(str(tmp_path / "old.h5"))

    assert weights_digest(loaded) == weights_digest(small_backbone)


def test_efficientnet_standardises_as_its_published_weights_expect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Keras's files hold the standard deviation for the variance, and a download mends it."""
    network = keras.applications.EfficientNetB0(include_top=False, weights=None)
    statistics = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 0]
    (layer,) = (x for x in network.layers if isinstance(x, keras.layers.Normalization))
    layer.set_weights([np.array(value) for value in statistics])
    file = tmp_path / "efficientnetb0_notop.h5"
    as_keras_2_saved_weights(network, file)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **kwargs: str(file))
    expected = imagenet_utils.preprocess_input(IMAGES * 255, mode="torch")

    downloaded, loaded = (
        build_backbone("EfficientNetB0", image_size=SIDE, weights=weights, seed=1)
        for weights in ("imagenet", str(file))
    )

    np.testing.assert_allclose(normalised(downloaded, IMAGES), expected, atol=1e-4)
    np.testing.assert_allclose(normalised(loaded, IMAGES), expected, atol=1e-4)


# --- Refused ---------------------------------------------------------------------------------


def test_a_missing_file_is_named(small_registry: None, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"trainer\.weights: no such file: .*gone\.weights\.h5"):
        build_small(str(tmp_path / "gone.weights.h5"))


@pytest.mark.parametrize("file_name", ["other.weights.h5", "other.h5", "other.keras", "other.txt"])
def test_a_file_that_holds_no_weights_is_named(
    small_registry: None, tmp_path: Path, file_name: str
) -> None:
    (tmp_path / file_name).write_bytes(b"not weights")

    with pytest.raises(WeightsError, match=f"trainer.weights: .*{file_name}.*DenseNet121"):
        build_small(str(tmp_path / file_name))


@pytest.mark.parametrize("file_name", ["part.keras", "part.h5"])
def test_a_file_that_ends_too_soon_is_refused(
    small_backbone: keras.Model, tmp_path: Path, file_name: str
) -> None:
    network = network_of(small_backbone)
    keras.Model(network.input, network.get_layer("relu").output).save(tmp_path / file_name)

    with pytest.raises(
        WeightsError,
        match=rf"{file_name}.*DenseNet121: it ends before convolution_2/kernel: "
        "it has 6 arrays, the network 12",
    ):
        build_small(str(tmp_path / file_name))


@pytest.mark.parametrize("file_name", ["other.keras", "other.h5"])
def test_weights_of_another_shape_are_refused(
    small_registry: None, tmp_path: Path, file_name: str
) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    other = keras.layers.Conv2D(4, 3, name="another")(image)
    keras.Model(image, other).save(tmp_path / file_name)

    with pytest.raises(
        WeightsError,
        match=r"where convolution/kernel of shape \(5, 5, 3, 8\) is expected, "
        r"it has .*another/kernel of shape \(3, 3, 3, 4\)",
    ):
        build_small(str(tmp_path / file_name))


def test_weights_alone_of_another_network_are_refused(small_registry: None, tmp_path: Path) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    other = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    file = tmp_path / "other.weights.h5"
    other.save_weights(file)

    with pytest.raises(
        WeightsError,
        match=r"other\.weights\.h5.*DenseNet121: it lacks layers/batch_normalization/vars/0",
    ):
        build_small(str(file))


def test_a_deeper_sibling_does_not_fit(tmp_path: Path) -> None:
    """EfficientNetB1 has every layer of B0, by the same names and with the same shapes."""
    file = tmp_path / "b1.weights.h5"
    deeper = build_backbone("EfficientNetB1", image_size=SIDE, weights="none", seed=1)
    network_of(deeper).save_weights(file)
    as_keras_2_saved_weights(network_of(deeper), tmp_path / "b1.h5")

    for weights in (file, tmp_path / "b1.h5"):
        with pytest.raises(WeightsError, match="does not hold the weights of EfficientNetB0"):
            build_backbone("EfficientNetB0", image_size=SIDE, weights=str(weights), seed=1)


def test_without_a_network_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise Exception("URL fetch failure on https://storage.googleapis.com")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_network)

    with pytest.raises(WeightsError, match=r"(?s)DenseNet121.*URL fetch.*weights=FILE.*=none"):
        build_small("imagenet")
