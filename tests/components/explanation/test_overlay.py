"""The graph draws what OpenCV draws."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import tensorflow as tf

from components.explanation.colours import blending_table, heat_colours
from components.explanation.overlay import MAX_SIDE, draw_overlays


def film_of(height: int, width: int) -> np.ndarray:
    """Smooth, as films are, of all grey levels."""
    coarse = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.float32)
    return np.clip(cv2.resize(coarse, (width, height)), 0, 255).astype(np.uint8)


def encode(film: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, film)[1].tobytes()


def seen(film: np.ndarray) -> np.ndarray:
    """By a network of 224 pixels."""
    image = cv2.resize(film, (224, 224), interpolation=cv2.INTER_AREA) / np.float32(255)
    return np.repeat(image[..., np.newaxis], 3, axis=-1)


def draw(
    film: np.ndarray, heat: np.ndarray, opacity: float = 0.6, suffix: str = ".png"
) -> np.ndarray:
    encoded = tf.constant([encode(film, suffix)])
    png = draw_overlays(encoded, seen(film)[np.newaxis], heat[np.newaxis], opacity=opacity)
    decoded = cv2.imdecode(np.frombuffer(png[0].numpy(), np.uint8), cv2.IMREAD_UNCHANGED)
    return decoded[..., ::-1].astype(int)


def drawn_by_opencv(film: np.ndarray, heat: np.ndarray, opacity: float) -> np.ndarray:
    scale = min(1, MAX_SIDE / max(film.shape))
    size = tuple(round(side * scale) for side in film.shape[::-1])
    small = np.round(cv2.resize(seen(film)[..., 0], size) * 255)
    smooth = cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)
    levels = np.round(smooth * 255).astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA)[..., ::-1]
    alpha = opacity * smooth[..., np.newaxis]
    return np.round(small[..., np.newaxis] * (1 - alpha) + colours * alpha).astype(int)


@pytest.mark.parametrize("shape", [(1000, 1300), (700, 500), (90, 140)])
@pytest.mark.parametrize("opacity", [0.6, 1.0])
def test_it_agrees_with_opencv(shape: tuple[int, int], opacity: float) -> None:
    film = film_of(*shape)
    heat = np.random.default_rng(1).random((7, 7), np.float32)

    found, expected = draw(film, heat, opacity), drawn_by_opencv(film, heat, opacity)

    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 2  # of 255: heat has 256 levels here


def test_jpegs_are_drawn_as_pngs_are() -> None:
    film = film_of(200, 260)
    heat = np.linspace(0, 1, 49, dtype=np.float32).reshape(7, 7)

    np.testing.assert_array_equal(draw(film, heat, suffix=".jpeg"), draw(film, heat))


def test_it_is_the_film_as_one_knows_it() -> None:
    """What was squeezed to a square is stretched back."""
    film = film_of(250, 310)

    difference = np.abs(draw(film, np.zeros((7, 7), np.float32))[..., 0] - film)

    assert difference.mean() < 0.5


def test_without_heat_it_is_the_film() -> None:
    drawn = draw(film_of(80, 100), np.zeros((7, 7), np.float32))

    assert not np.ptp(drawn, axis=-1).any()


def test_each_film_of_a_batch_has_its_own_heat_and_shape() -> None:
    films = [film_of(40, 60), film_of(70, 50)]
    heat = np.zeros((2, 2, 2), np.float32)
    heat[1] = 1

    encoded = tf.constant([encode(film) for film in films])
    pngs = draw_overlays(encoded, np.stack([seen(film) for film in films]), heat, opacity=1.0)

    cold, hot = (tf.io.decode_png(png).numpy() for png in pngs)
    assert cold.shape == (40, 60, 3)
    assert not np.ptp(cold, axis=-1).any()
    assert hot.shape == (70, 50, 3)
    assert (hot == heat_colours()[-1]).all()


def test_hotter_is_brighter_and_no_colour_is_grey() -> None:
    """What makes the colours uniform to the eye, and tells them from a film."""
    colours = heat_colours()
    lightness = cv2.cvtColor(colours[np.newaxis], cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)

    assert (np.diff(lightness) >= 0).all()
    assert np.ptp(colours.astype(int), axis=1).min() > 60


def test_opacity_is_in_proportion_to_heat() -> None:
    table = blending_table(0.5).astype(int)

    grey = np.arange(256)
    np.testing.assert_array_equal(table[0], np.repeat(grey[:, np.newaxis], 3, axis=1))
    halved = (grey[:, np.newaxis] + heat_colours()[255]) / 2
    assert np.abs(table[255] - halved).max() <= 0.5
