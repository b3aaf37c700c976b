"""Films become worse in the way that is said, and by as much."""

import cv2
import numpy as np
import pytest

from components.robustness.corruptions import CORRUPTIONS

BY_NAME = {one.name: one for one in CORRUPTIONS}


def chance(seed=0):
    return np.random.default_rng(seed)


def decode(encoded):
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)


def worsen(name, film, severity, seed=0):
    return decode(BY_NAME[name](film, severity, chance(seed)))


@pytest.fixture
def film():
    """Soft shapes on a grey ground, far enough from black and white; wider than high."""
    small = chance().uniform(90, 150, (12, 15)).astype(np.float32)
    return cv2.resize(small, (300, 240), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


@pytest.mark.parametrize("name", BY_NAME)
def test_severities_are_worse_and_worse_of_the_same_film(name, film):
    worse = [worsen(name, film, severity) for severity in (1, 2, 3)]

    distances = [np.abs(one.astype(float) - film).mean() for one in worse]
    assert [(one.shape, one.dtype) for one in worse] == [(film.shape, np.uint8)] * 3
    assert 0 < distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("name", BY_NAME)
def test_the_same_chance_gives_the_same_file(name, film):
    assert BY_NAME[name](film, 2, chance(5)) == BY_NAME[name](film, 2, chance(5))


def test_contrast_shrinks_about_the_mean(film):
    worse = worsen("contrast", film, 2)

    assert worse.mean() == pytest.approx(film.mean(), abs=0.5)
    assert worse.std() == pytest.approx(film.std() / 2, rel=0.02)


def test_brightness_is_added_up_to_white(film):
    film[0, 0] = 250

    worse = worsen("brightness", film, 1)

    assert worse[0, 0] == 255
    np.testing.assert_allclose(worse[1:], film[1:] + 25.5, atol=0.51)


@pytest.mark.parametrize("times", [1, 3])
def test_noise_is_as_strong_for_the_network_whatever_the_size_of_the_film(times):
    film = np.full((224 * times, 224 * times), 128, np.uint8)

    seen = cv2.resize(worsen("noise", film, 2), (224, 224), interpolation=cv2.INTER_AREA)

    assert seen.std() / 255 == pytest.approx(0.08, rel=0.03)
    assert seen.mean() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("size", [(224, 224), (672, 448)])
def test_blur_is_as_wide_for_the_network_whatever_the_size_of_the_film(size):
    height, width = size
    film = np.zeros(size, np.uint8)
    film[:, width // 2 :] = 255

    profile = worsen("blur", film, 2)[height // 2].astype(float)

    # The edge has become a normal distribution's: 68 % of it within a standard deviation.
    deviation = round(2 * width / 224)
    rise = profile[width // 2 + deviation] - profile[width // 2 - deviation]
    assert rise / 255 == pytest.approx(0.68, abs=0.06)


def test_a_jpeg_is_what_it_says(film):
    encoded = BY_NAME["JPEG"](film, 3, chance())

    assert encoded.startswith(b"\xff\xd8")
    assert len(encoded) < len(BY_NAME["JPEG"](film, 1, chance()))


def test_films_are_turned_either_way_about_their_centre():
    film = np.full((101, 101), 50, np.uint8)
    film[50, 50:] = 200
    ends = set()
    for seed in range(8):
        worse = worsen("rotation", film, 3, seed)
        assert worse[50, 50] > 150
        rows = np.flatnonzero(worse[:, 85] > 120)
        ends.add(int(np.sign(rows.mean() - 50)))
        # 35 pixels out, fifteen degrees are 9 pixels.
        assert abs(rows.mean() - 50) == pytest.approx(9.4, abs=1)
        # No corner is black.
        assert worse.min() >= 50

    assert ends == {-1, 1}
