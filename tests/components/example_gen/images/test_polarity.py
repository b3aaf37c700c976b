"""Films, their negatives, and what is neither."""

from collections.abc import Callable

import numpy as np
import pytest

from components.example_gen.images.polarity import polarity
from components.example_gen.settings import Quality
from components.example_gen.synthetic.anatomy import Style, View, sample_anatomy
from components.example_gen.synthetic.phantom import draw_film
from tests.components.example_gen.samples import Pixels, film

LIMIT = Quality().min_polarity
SEEDS = range(8)


def phantom(style: Style, view: View, seed: int) -> Pixels:
    rng = np.random.default_rng(seed)
    return draw_film(sample_anatomy(style, rng), rng, view=view).pixels


PHANTOMS = [
    phantom(style, view, seed)
    for style, view in (("pediatric", "AP"), ("nih", "AP"), ("nih", "PA"))
    for seed in SEEDS
]


def test_chest_films_look_like_films() -> None:
    assert min(map(polarity, PHANTOMS)) > 0.4


def test_their_negatives_look_like_negatives() -> None:
    assert max(polarity(255 - pixels) for pixels in PHANTOMS) < -0.4
    assert all(polarity(255 - pixels) < LIMIT for pixels in PHANTOMS)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda grey: (grey * 0.3 + 20).astype(np.uint8), id="little contrast"),
        pytest.param(lambda grey: (grey * 0.4 + 150).astype(np.uint8), id="bright"),
        pytest.param(lambda grey: grey[:, ::-1], id="mirrored"),
        pytest.param(lambda grey: grey[::3, ::3], id="small"),
        pytest.param(lambda grey: np.asfortranarray(grey), id="columns first in memory"),
    ],
)
def test_what_does_not_change_the_polarity(change: Callable[[Pixels], Pixels]) -> None:
    for pixels in PHANTOMS[::6]:
        assert polarity(change(pixels)) > 0.3
        assert polarity(change(255 - pixels)) < -0.3


@pytest.mark.parametrize("pad", [((90, 10), (150, 30)), ((0, 200), (0, 0)), ((5, 5), (250, 250))])
def test_a_film_is_judged_within_its_black_frame(pad: tuple[tuple[int, int], ...]) -> None:
    for pixels in PHANTOMS[::6]:
        assert polarity(np.pad(pixels, pad)) == pytest.approx(polarity(pixels), abs=0.1)
        assert polarity(np.pad(255 - pixels, pad)) < -0.3


def test_a_letter_burnt_into_the_frame_is_not_taken_for_the_film() -> None:
    framed = np.pad(PHANTOMS[0], 120)
    lettered = framed.copy()
    lettered[10:40, 10:40] = 255
    assert polarity(lettered) == pytest.approx(polarity(framed), abs=0.05)


def test_a_film_on_white_is_not_taken_for_a_negative() -> None:
    for pixels in PHANTOMS[::6]:
        assert polarity(np.pad(pixels, 100, constant_values=255)) > LIMIT


@pytest.mark.parametrize("level", [0, 3, 17, 128, 255])
def test_a_blank_image_has_none(level: int) -> None:
    assert polarity(np.full((100, 120), level, np.uint8)) == 0.0


def test_noise_has_next_to_none() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        noise = rng.integers(0, 256, (200, 200), dtype=np.uint8)
        assert abs(polarity(noise)) < 0.3


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (2, 3), (16, 16), (3000, 40)])
def test_any_shape_has_a_polarity(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    assert -1 <= polarity(pixels) <= 1


def test_the_samples_of_other_tests_are_no_negatives() -> None:
    assert all(polarity(film(seed)) > LIMIT for seed in SEEDS)
