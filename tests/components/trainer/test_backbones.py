"""The contract that every registered backbone keeps."""

from __future__ import annotations

import sys
import typing
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from components.trainer.backbones import BACKBONES, WeightsError, build_backbone, weights_digest
from components.trainer.settings import TrainerSettings

SIDE = 64


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def backbone(name: str) -> keras.Model:
    return build_backbone(name, image_size=SIDE, weights="none", seed=1)


def network_of(backbone: keras.Model) -> keras.Model:
    (network,) = (layer for layer in backbone.layers if isinstance(layer, keras.Model))
    return network


# --- Every backbone --------------------------------------------------------------------------


def test_the_settings_know_every_backbone() -> None:
    annotation = TrainerSettings.model_fields["backbone"].annotation

    assert set(typing.get_args(annotation)) == set(BACKBONES)


def test_it_turns_images_into_maps(backbone: keras.Model) -> None:
    images = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    maps = backbone(images, training=False).numpy()

    assert backbone.name == "backbone"
    assert backbone.input_shape == (None, SIDE, SIDE, 3)
    assert maps.shape == (2, *backbone.output_shape[1:])
    assert maps.shape[1:3] == (SIDE // 32, SIDE // 32)
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()
    assert np.abs(maps[0] - maps[1]).max() > 0


def test_the_network_is_fed_what_its_weights_expect(name: str, backbone: keras.Model) -> None:
    images = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    expected = sys.modules[BACKBONES[name].build.__module__].preprocess_input(images * 255)

    normalisation = [layer for layer in backbone.layers if not isinstance(layer, keras.Model)][-1]
    np.testing.assert_allclose(normalisation(images), expected, atol=1e-4)


def test_a_weights_file_is_loaded(name: str, backbone: keras.Model, tmp_path: Path) -> None:
    file = tmp_path / "network.weights.h5"
    network_of(backbone).save_weights(file)

    loaded = build_backbone(name, image_size=SIDE, weights=str(file), seed=2)

    assert weights_digest(loaded) == weights_digest(backbone)


# --- Weights, on a small network -------------------------------------------------------------


def test_the_seed_decides_the_weights(small_backbone: keras.Model) -> None:
    assert weights_digest(build_small("none", seed=1)) == weights_digest(small_backbone)
    assert weights_digest(build_small("none", seed=2)) != weights_digest(small_backbone)


def build_small(weights: str, seed: int = 2) -> keras.Model:
    return build_backbone("DenseNet121", image_size=SIDE, weights=weights, seed=seed)


def test_a_file_as_keras_publishes_them_is_loaded(
    small_backbone: keras.Model, tmp_path: Path
) -> None:
    file = tmp_path / "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5"
    with h5py.File(file, "w") as h5:
        legacy_h5_format.save_weights_to_hdf5_group(h5, network_of(small_backbone))

    assert weights_digest(build_small(str(file))) == weights_digest(small_backbone)


def test_a_missing_file_is_named(small_registry: None, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"trainer\.weights: no such file: .*gone\.weights\.h5"):
        build_small(str(tmp_path / "gone.weights.h5"))


@pytest.mark.parametrize("file_name", ["other.weights.h5", "other.h5", "other.txt"])
def test_a_file_that_holds_no_weights_is_named(
    small_registry: None, tmp_path: Path, file_name: str
) -> None:
    (tmp_path / file_name).write_bytes(b"not weights")

    with pytest.raises(WeightsError, match=f"trainer.weights: .*{file_name}.*DenseNet121"):
        build_small(str(tmp_path / file_name))


def test_weights_of_another_network_are_refused(small_registry: None, tmp_path: Path) -> None:
    image = keras.Input((SIDE, SIDE, 3))
    other = keras.Model(image, keras.layers.Conv2D(4, 3)(image))
    file = tmp_path / "other.weights.h5"
    other.save_weights(file)

    with pytest.raises(WeightsError, match=r"other\.weights\.h5.*DenseNet121"):
        build_small(str(file))


def test_without_a_network_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*args: Any, **kwargs: Any) -> None:
        raise Exception("URL fetch failure on https://storage.googleapis.com")

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_network)

    with pytest.raises(WeightsError, match=r"(?s)DenseNet121.*URL fetch.*weights=FILE.*=none"):
        build_small("imagenet")
