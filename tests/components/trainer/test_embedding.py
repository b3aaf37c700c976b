"""The embedding pass: right, and once for each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from components.trainer.embedding import Embedder, embed
from components.trainer.embedding_cache import EmbeddingCache

from components.errors import InputError
from components.trainer import backbones
from components.trainer.backbones import BACKBONES, Backbone, build_backbone
from components.transform.preprocessing import preprocess
from tests.components.trainer.samples import (
    SIDE,
    image_of,
    make_example,
    sha256_of,
    small_network,
    write_records,
)

FILMS = [make_example(number, number % 2) for number in range(70)]
KEYS = [sha256_of(film) for film in FILMS]


def to_pixels(encoded: tf.Tensor) -> tf.Tensor:
    return preprocess(encoded, SIDE)


def build_embedder(
    backbone: keras.Model, precision: str = "float32", digest: str = "a"
) -> Embedder:
    return Embedder(backbone, to_pixels, preprocess_digest=digest, precision=precision)


def pooled_by_keras(backbone: keras.Model, films: Sequence[tf.train.Example]) -> np.ndarray:
    maps = backbone(to_pixels(tf.constant([image_of(film) for film in films])), training=False)
    return keras.layers.GlobalAveragePooling2D()(maps).numpy()


class Counting(Embedder):
    """Counts the images that it embeds."""

    images = 0

    def __call__(self, encoded: Sequence[bytes]) -> np.ndarray:
        self.images += len(encoded)
        return super().__call__(encoded)


@pytest.fixture
def counting(small_backbone: keras.Model) -> Counting:
    return Counting(small_backbone, to_pixels, preprocess_digest="a", precision="float32")


@pytest.fixture
def open_cache(tmp_path: Path, counting: Embedder) -> Callable[[], EmbeddingCache]:
    return lambda: EmbeddingCache(tmp_path / "cache", counting.key, counting.features)


# --- The embedder ----------------------------------------------------------------------------


def error_against_keras(backbone: keras.Model, precision: str) -> float:
    """The largest difference, as a share of the largest activation."""
    expected = pooled_by_keras(backbone, FILMS[:6])
    found = build_embedder(backbone, precision)([image_of(film) for film in FILMS[:6]])
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (6, backbone.output_shape[-1])
    return float(np.abs(found - expected).max() / expected.max())


def test_it_gives_what_keras_gives(small_backbone: keras.Model) -> None:
    assert error_against_keras(small_backbone, "float32") < 1e-5


def test_in_bfloat16_a_deep_network_is_one_percent_off_at_most() -> None:
    densenet = build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=1)

    assert 1e-5 < error_against_keras(densenet, "bfloat16") < 1e-2


def test_what_changes_an_embedding_changes_the_key(
    small_registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(seed: int = 1, image_size: int = SIDE) -> keras.Model:
        return build_backbone("DenseNet121", image_size=image_size, weights="none", seed=seed)

    key = build_embedder(build()).key
    others = {
        build_embedder(build(seed=2)).key,
        build_embedder(build(image_size=SIDE * 2)).key,
        build_embedder(build(), precision="bfloat16").key,
        build_embedder(build(), digest="b").key,
    }
    monkeypatch.setitem(BACKBONES, "DenseNet121", Backbone(small_network, "bytes"))
    others.add(build_embedder(build()).key)
    monkeypatch.setitem(BACKBONES, "DenseNet121", Backbone(small_network, "imagenet"))
    monkeypatch.setattr(backbones, "_IMAGENET_MEAN", (0.5, 0.5, 0.5))
    others.add(build_embedder(build()).key)
    monkeypatch.undo()

    assert len(others | {key}) == 7


def test_the_key_is_the_same_in_every_process(small_registry: None) -> None:
    keys = set()
    for _ in range(2):  # Keras numbers the layers of a process, across models
        backbone = build_backbone("DenseNet121", image_size=SIDE, weights="none", seed=1)
        keys.add(build_embedder(backbone).key)

    assert len(keys) == 1


# --- The pass --------------------------------------------------------------------------------


@pytest.mark.parametrize("shards", [1, 3])
def test_rows_follow_the_order_asked_for_whatever_the_shards(
    tmp_path: Path,
    counting: Counting,
    small_backbone: keras.Model,
    open_cache: Callable[[], EmbeddingCache],
    shards: int,
) -> None:
    files = write_records(tmp_path / "records", FILMS, shards)

    rows = embed(files, KEYS, counting, open_cache())

    np.testing.assert_allclose(rows, pooled_by_keras(small_backbone, FILMS), atol=1e-5)
    assert counting.images == len(FILMS)


def test_a_second_pass_computes_nothing(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], EmbeddingCache]
) -> None:
    files = write_records(tmp_path / "records", FILMS)
    first = embed(files, KEYS, counting, open_cache())
    second = embed(files, KEYS[::-1], counting, open_cache())

    np.testing.assert_array_equal(second, first[::-1])
    assert counting.images == len(FILMS)


def test_only_the_missing_are_computed(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], EmbeddingCache]
) -> None:
    embed(write_records(tmp_path / "some", FILMS[:40]), KEYS[:40], counting, open_cache())
    counting.images = 0
    embed(write_records(tmp_path / "all", FILMS), KEYS, counting, open_cache())

    assert counting.images == 30


def test_duplicates_are_computed_once(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], EmbeddingCache]
) -> None:
    films = [FILMS[0], FILMS[1], FILMS[0]]
    files = write_records(tmp_path / "records", films, shards=1)

    rows = embed(files + files, [sha256_of(film) for film in films], counting, open_cache())

    assert counting.images == 2
    np.testing.assert_array_equal(rows[0], rows[2])
    assert not np.array_equal(rows[0], rows[1])


def test_nothing_wanted_is_nothing_computed(
    counting: Counting, open_cache: Callable[[], EmbeddingCache]
) -> None:
    assert embed([], [], counting, open_cache()).shape == (0, counting.features)
    assert counting.images == 0


def test_an_image_that_is_not_in_the_files_is_named(
    tmp_path: Path, counting: Counting, open_cache: Callable[[], EmbeddingCache]
) -> None:
    files = write_records(tmp_path / "records", FILMS[:3], shards=1)

    with pytest.raises(InputError, match=f"1 of 4 images are not in the 1 files.*{KEYS[3]}"):
        embed(files, KEYS[:4], counting, open_cache())

    assert open_cache().keys() == set(KEYS[:3]), "what was computed is kept"
