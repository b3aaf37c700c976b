"""The perceptual hash: what it keeps, what it tells apart, and its distances."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.images.perceptual_hash import (
    HASH_BYTES,
    distances,
    local_contrast,
    orientation,
    perceptual_hash,
    to_words,
)
from tests.components.example_gen.samples import Pixels, film

hash_lists = st.lists(st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES), min_size=1, max_size=6)


def apart(first: Pixels, second: Pixels) -> int:
    both = to_words(perceptual_hash(first) + perceptual_hash(second))
    return int(distances(both[:, :1], both[:, 1:])[0, 0])


def smooth_film(seed: int, side: int = 240) -> Pixels:
    """Structures of several pixels, which a resize keeps, unlike the noise of `film`."""
    noise = np.random.default_rng(seed).normal(0, 1, (side, side))
    blurred = cv2.GaussianBlur(noise, (0, 0), side / 40)
    return np.clip(128 + 35 * blurred / blurred.std(), 1, 254).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (64, 64), (1024, 1024), (77, 1301)])
def test_has_one_length_for_every_size(shape: tuple[int, int]) -> None:
    assert len(perceptual_hash(film(1, *shape))) == HASH_BYTES


@pytest.mark.parametrize("level", [0, 117, 255])
def test_an_image_without_structure_has_no_bit(level: int) -> None:
    assert not any(perceptual_hash(np.full((90, 70), level, np.uint8)))


def test_same_film_at_another_size_and_exposure_is_close() -> None:
    whole = smooth_film(3)
    small = cv2.resize(whole, (150, 100), interpolation=cv2.INTER_AREA)
    darker = (whole * 0.7 + 5).astype(np.uint8)
    assert apart(whole, small) < 12
    assert apart(whole, darker) < 12


def test_other_films_are_far() -> None:
    films = [smooth_film(seed) for seed in range(12)]
    assert min(apart(a, b) for k, a in enumerate(films) for b in films[:k]) > 70


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("inverted", [False, True])
def test_mirrored_and_inverted_films_are_close_and_told(mirrored: bool, inverted: bool) -> None:
    original = smooth_film(4)
    copy = original[:, ::-1] if mirrored else original
    copy = 255 - copy if inverted else copy
    words = to_words(perceptual_hash(original) + perceptual_hash(copy))
    assert apart(original, copy) < 8
    assert orientation(words[:, 0], words[:, 1]) == (mirrored, inverted)


@given(hash_lists, hash_lists)
def test_distance_is_the_least_of_four(first: list[bytes], second: list[bytes]) -> None:
    found = distances(to_words(b"".join(first)), to_words(b"".join(second)))
    assert found.shape == (len(first), len(second))
    for row, a in zip(found, first, strict=True):
        for distance, b in zip(row, second, strict=True):
            x = int.from_bytes(a) ^ int.from_bytes(b)
            even, odd = (x >> 128).bit_count(), (x & (2**128 - 1)).bit_count()
            turns = (even + odd, 256 - even - odd, even + 128 - odd, 128 - even + odd)
            assert distance == min(turns)


def test_local_contrast_is_blind_to_exposure() -> None:
    original = smooth_film(5)
    contrast = local_contrast(original, 96)
    brighter = local_contrast(cv2.convertScaleAbs(original, alpha=0.8, beta=40), 96)
    assert contrast.shape == (96, 96)
    assert contrast.dtype == np.float32
    assert np.abs(contrast - brighter).mean() < 0.05
