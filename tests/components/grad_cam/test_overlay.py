import struct

import cv2
import numpy as np
import pytest

from components.grad_cam import overlay


def decode(png: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), 4)


def grey_film(height: int, width: int, level: int = 128) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def colourfulness(rgb: np.ndarray) -> np.ndarray:
    return np.ptp(rgb.astype(int), axis=-1)


@pytest.mark.parametrize(
    ("original", "shown"),
    [((1000, 2000), (256, 512)), ((2700, 900), (512, 171)), ((248, 248), (248, 248))],
)
def test_a_film_keeps_its_aspect_ratio_and_is_never_enlarged(original, shown):
    film = overlay.read_film(overlay.to_png(grey_film(*original)))

    assert film.shape == shown
    assert overlay.draw_overlay(film, np.ones((7, 7), np.float32), opacity=0.5).shape == (*shown, 3)


def test_a_film_is_read_as_the_network_sees_it_whatever_exif_says():
    film = grey_film(40, 80)
    film[:, :20] = 255
    jpeg = cv2.imencode(".jpg", film)[1].tobytes()
    # Orientation (0x0112) 6: rotate by 90 degrees to display.
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_GRAYSCALE).shape == (80, 40)

    assert overlay.read_film(turned).shape == (40, 80)


def test_no_image_is_an_error():
    with pytest.raises(ValueError, match="not a readable"):
        overlay.read_film(b"%PDF-1.7")


def test_png_round_trip_keeps_colours_in_order():
    image = np.zeros((4, 6, 3), np.uint8)
    image[..., 0] = 200

    np.testing.assert_array_equal(decode(overlay.to_png(image)), image)


def test_heat_is_drawn_where_it_lies():
    heat = np.zeros((7, 7), np.float32)
    heat[6, 0] = 1

    drawn = overlay.draw_overlay(grey_film(140, 280), heat, opacity=0.6)

    colour = colourfulness(decode(overlay.to_png(drawn)))
    row, column = np.unravel_index(colour.argmax(), colour.shape)
    assert row >= 120
    assert column < 40
    assert not colour[:100].any(), "cold places stay film"


def test_opacity_and_heat_add_colour():
    film = grey_film(28, 28)

    def colour(level: float, opacity: float) -> float:
        heat = np.full((7, 7), level, np.float32)
        return float(colourfulness(overlay.draw_overlay(film, heat, opacity=opacity)).mean())

    assert 0 == colour(0, 0.6) < colour(0.5, 0.6) < colour(1, 0.6) < colour(1, 0.9)


def test_cold_film_is_unchanged():
    film = np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)

    drawn = overlay.draw_overlay(film, np.zeros((7, 7), np.float32), opacity=1.0)

    np.testing.assert_array_equal(drawn, np.repeat(film[..., np.newaxis], 3, axis=-1))


def test_a_known_box_is_outlined():
    film, cold = grey_film(200, 400), np.zeros((7, 7), np.float32)

    drawn = overlay.draw_overlay(film, cold, opacity=0.5, boxes=[(0.25, 0.5, 0.25, 0.25)])

    cyan = (drawn[..., 2] > 200) & (drawn[..., 0] < 50)
    rows, columns = np.nonzero(cyan)
    assert rows.min() == pytest.approx(100, abs=2)
    assert rows.max() == pytest.approx(150, abs=2)
    assert columns.min() == pytest.approx(100, abs=2)
    assert columns.max() == pytest.approx(200, abs=2)
    assert not cyan[110:140, 110:190].any(), "an outline hides nothing"


def test_one_scale_for_all_keeps_a_faint_map_faint():
    faint, strong = np.full((7, 7), 0.01, np.float32), np.full((7, 7), 1.0, np.float32)
    reference = overlay.reference_scale(np.stack([faint, strong]))

    assert reference == pytest.approx(1.0)
    assert overlay.to_heat(faint, reference).max() == pytest.approx(0.01)
    assert overlay.to_heat(strong * 5, reference).max() == 1


def test_the_scale_of_nearly_and_wholly_empty_maps():
    maps = np.zeros((20, 7, 7), np.float32)
    assert overlay.reference_scale(maps) == 0
    assert not overlay.to_heat(maps[0], 0).any()

    maps[3, 1, 1] = 0.5
    assert overlay.reference_scale(maps) == 0.5


@pytest.mark.parametrize(
    ("cell", "place"),
    [((0, 0), "upper left"), ((3, 3), "middle centre"), ((6, 6), "lower right")],
)
def test_hottest_place(cell, place):
    cam = np.zeros((7, 7), np.float32)
    cam[cell] = 1

    assert overlay.hottest_place(cam) == place


def test_an_empty_map_is_hot_nowhere():
    assert overlay.hottest_place(np.zeros((7, 7), np.float32)) == "nowhere"


def test_the_colour_bar_runs_from_film_to_full_colour():
    colour = colourfulness(overlay.draw_colour_bar(opacity=0.6))[0]

    assert colour[0] == 0
    assert colour[-1] > 100
