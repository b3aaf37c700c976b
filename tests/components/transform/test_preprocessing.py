"""The one preprocessing, against Pillow and NumPy."""

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest
import tensorflow as tf

from components.transform.preprocessing import preprocess, preprocess_one
from tests.components.example_gen.samples import encode, film

Image = npt.NDArray[np.float32]
SIDE = 32

GREY = film(1, 90, 140)
COLOUR = np.random.default_rng(2).integers(0, 256, (70, 50, 3), dtype=np.uint8)


def run(*encoded: bytes, side: int = SIDE) -> Image:
    return preprocess(tf.constant(encoded), side).numpy()


def expected(data: bytes, side: int = SIDE) -> Image:
    """Grey by the luma weights of Pillow, and its triangle filter, which is antialiased."""
    with PIL.Image.open(io.BytesIO(data)) as image:
        grey = image.convert("L").convert("F")
    resized = grey.resize((side, side), PIL.Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32) / np.float32(255)


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        pytest.param(encode(GREY), 1e-4, id="grey PNG"),
        pytest.param(encode(np.dstack([GREY] * 3)), 1e-4, id="RGB PNG"),
        # libpng rounds the weighted sum down.
        pytest.param(encode(COLOUR), 1 / 255, id="PNG in colour"),
        # The two JPEG decoders differ by a few of 255 grey levels in single pixels.
        pytest.param(encode(GREY, "JPEG"), 2 / 255, id="grey JPEG"),
        pytest.param(encode(np.dstack([GREY] * 3), "JPEG"), 2 / 255, id="RGB JPEG"),
        pytest.param(encode(film(3, 20, 25)), 1e-4, id="smaller than the result"),
        pytest.param(encode(film(4, SIDE, SIDE)), 1e-6, id="as large as the result"),
    ],
)
def test_it_is_what_an_independent_computation_gives(data: bytes, tolerance: float) -> None:
    (found,) = run(data)
    np.testing.assert_allclose(found[..., 0], expected(data), atol=tolerance)


def test_shape_type_range_and_channels() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (300, 200)).astype(np.uint8) * 255
    found = run(encode(noise), encode(GREY, "JPEG"), side=48)
    assert found.shape == (2, 48, 48, 3)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_array_equal(found[..., :1].repeat(3, axis=-1), found)


@pytest.mark.parametrize("level", [0, 51, 255])
def test_grey_levels_are_scaled_to_one(level: int) -> None:
    found = run(encode(np.full((60, 90), level, np.uint8)))
    np.testing.assert_allclose(found, level / 255, atol=1e-6)


def test_a_fine_pattern_shrinks_to_the_grey_that_it_is() -> None:
    checks = (np.indices((SIDE * 8, SIDE * 8)).sum(0) % 2 * 255).astype(np.uint8)
    np.testing.assert_allclose(run(encode(checks)), 0.5, atol=0.02)


def test_the_film_is_squeezed_and_not_cropped() -> None:
    wide = np.zeros((40, 400), np.uint8)
    wide[:, :100] = wide[:, -100:] = 255
    row = run(encode(wide))[0, SIDE // 2, :, 0]
    quarter = SIDE // 4
    np.testing.assert_allclose(row[: quarter - 1], 1, atol=1e-6)
    np.testing.assert_allclose(row[quarter + 1 : -quarter - 1], 0, atol=1e-6)
    np.testing.assert_allclose(row[-quarter + 1 :], 1, atol=1e-6)


def test_a_batch_is_its_images_one_by_one() -> None:
    batch = [encode(film(n, 60 + 7 * n, 90 - 5 * n), ("PNG", "JPEG")[n % 2]) for n in range(5)]
    together = run(*batch)
    for one, data in zip(together, batch, strict=True):
        alone = preprocess_one(tf.constant(data), SIDE).numpy()
        assert alone.shape == (SIDE, SIDE, 1)
        np.testing.assert_array_equal(one[..., :1], alone)


def test_an_empty_batch() -> None:
    assert preprocess(tf.zeros([0], tf.string), SIDE).shape == (0, SIDE, SIDE, 3)


def damaged() -> Sequence[bytes]:
    jpeg, png = encode(GREY, "JPEG"), encode(GREY)
    return b"", b"no film", jpeg[:-2], jpeg[: len(jpeg) // 2], png[:-4], png[: len(png) // 2]


@pytest.mark.parametrize("data", damaged())
def test_damaged_bytes_are_an_error_and_never_an_image(data: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        run(encode(GREY), data)
