"""The pass of the frozen part: right, once for each image, and the same in any batch."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.trainer import activations, backbones
from components.trainer.activation_cache import ActivationCache
from components.trainer.activations import compute, compute_view
from components.trainer.backbones import BACKBONES, Backbone, build_backbone
from components.trainer.frozen_part import FrozenPart
from components.trainer.index import Index, read_index
from components.trainer.network import build_network
from components.trainer.settings import Augmentation, TrainerSettings
from components.transform.preprocessing import preprocess
from tests.components.trainer.samples import (
    SIDE,
    SMALL_BLOCKS,
    image_of,
    make_example,
    sha256_of,
    small_network,
    write_records,
)

FILMS = [make_example(number, number % 2) for number in range(70)]
KEYS = sorted(sha256_of(film) for film in FILMS)
IMAGES = [image_of(film) for film in FILMS]


def to_pixels(encoded: tf.Tensor) -> tf.Tensor:
    return preprocess(encoded, SIDE)


def frozen_network(trainable: str = "head", image_size: int = SIDE, seed: int = 1) -> keras.Model:
    settings = TrainerSettings(weights="none", trainable=trainable, seed=seed)
    return build_network(settings, image_size).frozen


def build_part(network: keras.Model, precision: str = "float32", digest: str = "a") -> FrozenPart:
    return FrozenPart(network, to_pixels, preprocess_digest=digest, precision=precision)


def by_keras(network: keras.Model, images: Sequence[bytes] = IMAGES) -> np.ndarray:
    return np.asarray(network(to_pixels(tf.constant(images)), training=False))


class Counting(FrozenPart):
    """Counts the images that go through it."""

    images = 0

    def __call__(self, encoded: Sequence[bytes], altered: Any = None) -> np.ndarray:
        self.images += len(encoded)
        return super().__call__(encoded, altered)


@pytest.fixture
def network(small_registry: None) -> keras.Model:
    return frozen_network()


@pytest.fixture
def counting(network: keras.Model) -> Counting:
    return Counting(network, to_pixels, preprocess_digest="a", precision="float32")


@pytest.fixture
def open_cache(tmp_path: Path, counting: FrozenPart) -> Callable[[], ActivationCache]:
    return lambda: ActivationCache(tmp_path / "cache", counting.key, counting.shape)


@pytest.fixture(scope="module")
def densenet() -> keras.Model:
    return frozen_network()


@pytest.fixture(scope="module")
def frozen_densenet(densenet: keras.Model) -> Callable[[str], FrozenPart]:
    """By its precision; to freeze it takes ten seconds."""
    return functools.cache(lambda precision: build_part(densenet, precision))


# --- The frozen part -------------------------------------------------------------------------


def error_against_keras(network: keras.Model, part: FrozenPart) -> float:
    """The largest difference, as a share of the largest activation."""
    expected = by_keras(network, IMAGES[:6])
    found = part(IMAGES[:6])
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (6, *network.output_shape[1:])
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("trainable", ["head", "last_block", "last_2_blocks", "all"])
def test_it_gives_what_keras_gives(small_registry: None, trainable: str) -> None:
    network = frozen_network(trainable)

    assert error_against_keras(network, build_part(network)) < 1e-5


def test_in_bfloat16_a_deep_network_is_one_percent_off_at_most(
    densenet: keras.Model, frozen_densenet: Callable[[str], FrozenPart]
) -> None:
    assert 1e-5 < error_against_keras(densenet, frozen_densenet("bfloat16")) < 1e-2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_image_gives_the_same_bits_in_whatever_batch_it_is(
    frozen_densenet: Callable[[str], FrozenPart], precision: str
) -> None:
    part = frozen_densenet(precision)
    whole = part(IMAGES[:32])

    np.testing.assert_array_equal(np.concatenate([part([one]) for one in IMAGES[:4]]), whole[:4])
    np.testing.assert_array_equal(part(IMAGES[3:10]), whole[3:10])
    np.testing.assert_array_equal(part(IMAGES[31::-1]), whole[::-1])


# --- Its key ---------------------------------------------------------------------------------


def test_what_changes_an_activation_changes_the_key(
    small_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(precision: str = "float32", digest: str = "a", **changes: Any) -> str:
        return build_part(frozen_network(**changes), precision, digest).key

    keys = [
        key(),
        key(seed=2),
        key(image_size=SIDE * 2),
        key(trainable="last_block"),
        key(trainable="last_2_blocks"),
        key(trainable="all"),
        key(precision="bfloat16"),
        key(digest="b"),
    ]
    monkeypatch.setitem(BACKBONES, "DenseNet121", Backbone(small_network, "bytes", SMALL_BLOCKS))
    keys.append(key())
    monkeypatch.setitem(BACKBONES, "DenseNet121", Backbone(small_network, "imagenet", SMALL_BLOCKS))
    monkeypatch.setattr(backbones, "_IMAGENET_MEAN", (0.5, 0.5, 0.5))
    keys.append(key())

    assert len(set(keys)) == len(keys)


PRINT_KEY = """
from components.trainer.backbones import BACKBONES
from tests.components.trainer import test_activations as tests
from tests.components.trainer.conftest import SMALL
BACKBONES["DenseNet121"] = SMALL
print(tests.build_part(tests.frozen_network("last_block")).key)
"""


def test_the_key_is_the_same_in_every_process(small_registry: None) -> None:
    build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=3)  # layers are counted
    key = build_part(frozen_network("last_block")).key

    other = subprocess.run(
        [sys.executable, "-c", PRINT_KEY], capture_output=True, text=True, check=True
    )

    assert other.stdout.split()[-1] == key


# --- The index -------------------------------------------------------------------------------


def test_the_index_does_not_depend_on_the_shards(tmp_path: Path) -> None:
    one, three = (
        read_index(write_records(tmp_path / str(shards), FILMS, shards)) for shards in (1, 3)
    )

    assert one.sha256 == three.sha256 == tuple(KEYS)
    assert one.digest == three.digest
    np.testing.assert_array_equal(one.labels, three.labels)
    by_key = {sha256_of(film): number for number, film in enumerate(FILMS)}
    numbers = [by_key[key] for key in one.sha256]
    assert one.labels.tolist() == [[number % 2] for number in numbers]
    assert one.patients == tuple(f"pediatric:{number}" for number in numbers)


def test_other_images_or_labels_are_another_digest(tmp_path: Path) -> None:
    index = read_index(write_records(tmp_path / "all", FILMS))
    fewer = read_index(write_records(tmp_path / "fewer", FILMS[1:]))
    relabelled = dataclasses.replace(index, labels=1 - index.labels)

    assert len({index.digest, fewer.digest, relabelled.digest}) == 3


def test_no_records_are_an_empty_index(tmp_path: Path) -> None:
    index = read_index(write_records(tmp_path / "none", []), outputs=14)

    assert len(index.sha256) == 0
    assert index.labels.shape == (0, 14)


# --- The pass --------------------------------------------------------------------------------


def index_of(folder: Path, films: Sequence[tf.train.Example] = FILMS, shards: int = 2) -> Index:
    return read_index(write_records(folder, films, shards))


@pytest.mark.parametrize("shards", [1, 3])
def test_every_image_has_its_own_row_whatever_the_shards(
    tmp_path: Path,
    counting: Counting,
    network: keras.Model,
    open_cache: Callable[[], ActivationCache],
    shards: int,
) -> None:
    compute(index_of(tmp_path / "records", shards=shards), counting, open_cache(), "images")

    rows = open_cache().rows([sha256_of(film) for film in FILMS])
    np.testing.assert_allclose(rows, by_keras(network), atol=1e-5)
    assert counting.images == len(FILMS)


def test_a_second_pass_computes_nothing(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], ActivationCache]
) -> None:
    index = index_of(tmp_path / "records")
    for _ in range(2):
        compute(index, counting, open_cache(), "images")

    assert counting.images == len(FILMS)


def test_only_the_missing_are_computed_and_give_the_bits_of_one_pass(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], ActivationCache]
) -> None:
    compute(index_of(tmp_path / "some", FILMS[:37]), counting, open_cache(), "images")
    counting.images = 0
    compute(index_of(tmp_path / "all"), counting, open_cache(), "images")
    assert counting.images == 33

    undisturbed = ActivationCache(tmp_path / "other", counting.key, counting.shape)
    compute(index_of(tmp_path / "all"), counting, undisturbed, "images")
    np.testing.assert_array_equal(open_cache().rows(KEYS), undisturbed.rows(KEYS))


def test_duplicates_are_computed_once(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], ActivationCache]
) -> None:
    index = index_of(tmp_path / "records", [FILMS[0], FILMS[1], FILMS[0]])
    compute(index, counting, open_cache(), "images")

    assert len(index.sha256) == 3
    assert counting.images == 2


def test_an_image_that_is_not_in_the_files_is_named(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], ActivationCache]
) -> None:
    index = index_of(tmp_path / "records", FILMS[:3], shards=1)
    more = dataclasses.replace(index, sha256=[*index.sha256, "f" * 64])

    with pytest.raises(InputError, match=f"1 of 4 images are not in the 1 files.*{'f' * 64}"):
        compute(more, counting, open_cache(), "images")

    cache = open_cache()
    assert all(name in cache for name in index.sha256), "what was computed is kept"


def test_it_tells_how_far_it_is(
    tmp_path: Path,
    counting: Counting,
    open_cache: Callable[[], ActivationCache],
    caplog: pytest.LogCaptureFixture,
) -> None:
    compute(index_of(tmp_path / "some", FILMS[:40]), counting, open_cache(), "films")
    caplog.clear()
    compute(index_of(tmp_path / "all"), counting, open_cache(), "films")

    assert caplog.messages == ["70 of 70 films"]


# --- Views -----------------------------------------------------------------------------------


def view_rows(
    root: Path, index: Index, part: FrozenPart, view: int, seed: int = 1, **limits: Any
) -> np.ndarray:
    cache = ActivationCache(root, part.key, part.shape)
    compute_view(index, part, cache, view, Augmentation(views=2, **limits), seed)
    return cache.rows([activations.view_name(key, view) for key in index.sha256])


def test_a_view_is_always_the_same_and_like_no_other(tmp_path: Path, counting: Counting) -> None:
    index = index_of(tmp_path / "records")
    plain = ActivationCache(tmp_path / "plain", counting.key, counting.shape)
    compute(index, counting, plain, "images")
    variants = [
        plain.rows(index.sha256),
        view_rows(tmp_path / "1", index, counting, 1),
        view_rows(tmp_path / "2", index, counting, 2),
        view_rows(tmp_path / "3", index, counting, 1, seed=2),
        view_rows(tmp_path / "4", index, counting, 1, rotation=20.0),
        view_rows(tmp_path / "5", index, counting, 1, shift=0.2),
        view_rows(tmp_path / "6", index, counting, 1, contrast=0.5),
        view_rows(tmp_path / "7", index, counting, 1, horizontal_flip=True),
    ]

    np.testing.assert_array_equal(view_rows(tmp_path / "8", index, counting, 1), variants[1])
    for number, one in enumerate(variants):
        for other in variants[:number]:
            differs = (one != other).any(axis=1)
            # Half of the films are mirrored.
            assert differs.mean() > 0.3 if number == 7 else differs.all()


def test_a_view_does_not_depend_on_the_images_beside_it(tmp_path: Path, counting: Counting) -> None:
    whole, part = index_of(tmp_path / "all"), index_of(tmp_path / "some", FILMS[5:12])
    among_all = dict(zip(whole.sha256, view_rows(tmp_path / "1", whole, counting, 1), strict=True))

    rows = view_rows(tmp_path / "2", part, counting, 1)

    np.testing.assert_array_equal(rows, [among_all[key] for key in part.sha256])


def test_a_view_without_limits_is_the_image(tmp_path: Path, counting: Counting) -> None:
    index = index_of(tmp_path / "records", FILMS[:8])
    plain = ActivationCache(tmp_path / "plain", counting.key, counting.shape)
    compute(index, counting, plain, "images")

    rows = view_rows(tmp_path / "1", index, counting, 1, rotation=0.0, shift=0.0, contrast=0.0)

    np.testing.assert_allclose(rows, plain.rows(index.sha256), atol=1e-4)
