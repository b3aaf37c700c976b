import struct

import cv2
import numpy as np
import pytest

from components.grad_cam import pictures


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def rgb(encoded: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), 4)


def rgba(encoded: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)


def grey_film(height: int, width: int, level: int = 128) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def colourfulness(image: np.ndarray) -> np.ndarray:
    return np.ptp(image.astype(int), axis=-1)


@pytest.mark.parametrize(
    ("original", "shown"),
    [((1000, 2000), (384, 768)), ((2700, 900), (768, 256)), ((248, 248), (248, 248))],
)
def test_a_film_keeps_its_aspect_ratio_and_is_never_enlarged(original, shown):
    film = pictures.read_film(png(grey_film(*original)))

    assert film.shape == shown
    heat = rgba(pictures.heat_png(np.ones((7, 7), np.float32), film.shape))
    assert heat.shape[1] / heat.shape[0] == pytest.approx(shown[1] / shown[0], 0.02)


def test_a_film_is_read_as_the_network_sees_it_whatever_exif_says():
    film = grey_film(40, 80)
    film[:, :20] = 255
    jpeg = cv2.imencode(".jpg", film)[1].tobytes()
    # Orientation (0x0112) 6: rotate by 90 degrees to display.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (80, 40)

    assert pictures.read_film(turned).shape == (40, 80)


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="not a readable"):
        pictures.read_film(b"%PDF-1.7")


def test_heat_is_drawn_where_it_lies():
    heat = np.zeros((7, 7), np.float32)
    heat[6, 0] = 1

    colour = colourfulness(pictures.lay_on(grey_film(140, 280), heat, 0.6))

    row, column = np.unravel_index(colour.argmax(), colour.shape)
    assert row >= 120
    assert column < 40
    assert not colour[:100].any(), "cold places stay film"


def test_opacity_and_heat_add_colour():
    film = grey_film(28, 28)

    def colour(level: float, opacity: float) -> float:
        heat = np.full((7, 7), level, np.float32)
        return float(colourfulness(pictures.lay_on(film, heat, opacity)).mean())

    assert 0 == colour(0, 0.6) < colour(0.5, 0.6) < colour(1, 0.6) < colour(1, 0.9)


def test_cold_film_is_unchanged():
    film = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)

    drawn = pictures.lay_on(film, np.zeros((7, 7), np.float32), 1.0)

    np.testing.assert_array_equal(drawn, np.repeat(film[..., np.newaxis], 3, axis=-1))


def test_the_layer_laid_on_a_film_at_an_opacity_is_the_overlay():
    rng = np.random.default_rng(1)
    film = rng.integers(0, 256, (96, 96), dtype=np.uint8)
    heat = rng.random((7, 7), dtype=np.float32)

    layer = rgba(pictures.heat_png(heat, film.shape))

    alpha = 0.6 * layer[..., 3:] / 255
    composed = film[..., np.newaxis] * (1 - alpha) + layer[..., :3] * alpha
    np.testing.assert_allclose(composed, pictures.lay_on(film, heat, 0.6), atol=1.5)


def test_an_overlay_file_has_boxes_and_a_colour_bar():
    drawn = rgb(
        pictures.overlay_png(
            grey_film(200, 400),
            np.zeros((7, 7), np.float32),
            0.6,
            boxes=[(0.25, 0.5, 0.25, 0.25)],
            ends=("0", ">= 0.5 logits"),
        )
    )

    cyan = (drawn[..., 2] > 200) & (drawn[..., 0] < 50)
    rows, columns = np.nonzero(cyan)
    assert rows.min() == pytest.approx(100, abs=2)
    assert rows.max() == pytest.approx(150, abs=2)
    assert columns.min() == pytest.approx(100, abs=2)
    assert columns.max() == pytest.approx(200, abs=2)
    assert not cyan[110:140, 110:190].any(), "an outline hides nothing"
    assert drawn.shape[1] == 400
    legend = colourfulness(drawn[200:])
    assert legend.max() > 100
    assert legend[:, 30].max() < legend[:, 350].max()


def test_a_narrow_film_has_room_for_its_legend():
    heat = np.zeros((7, 7), np.float32)

    drawn = rgb(pictures.overlay_png(grey_film(300, 60), heat, 1.0, ends=("0", ">= 0.5")))

    assert drawn.shape[1] == 60


def test_one_scale_keeps_a_faint_map_faint():
    faint, strong = np.full((7, 7), 0.01, np.float32), np.full((7, 7), 5.0, np.float32)

    assert pictures.to_heat(faint, 1.0).max() == pytest.approx(0.01)
    assert pictures.to_heat(strong, 1.0).max() == 1
    assert not pictures.to_heat(strong, 0.0).any()


@pytest.mark.parametrize(
    ("cell", "place"),
    [((0, 0), "upper left"), ((3, 3), "middle centre"), ((6, 6), "lower right")],
)
def test_hottest_place(cell, place):
    cam = np.zeros((7, 7), np.float32)
    cam[cell] = 1

    assert pictures.hottest_place(cam) == place


def test_an_empty_map_is_hot_nowhere():
    assert pictures.hottest_place(np.zeros((7, 7), np.float32)) == "nowhere"


def test_the_colour_bar_runs_from_clear_to_full_colour():
    bar = rgba(pictures.colour_bar_png())[0]

    assert bar[0, 3] == 0
    assert bar[-1, 3] == 255
    assert (np.diff(bar[:, 3].astype(int)) >= 0).all()
