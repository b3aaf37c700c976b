"""Which files are films, which bytes go into the Example, and what they tell."""

import hashlib
import random
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen import imaging
from components.example_gen.record import ImageFacts
from tests.components.example_gen.samples import Pixels, encode, film

GREY = film(1, 60, 80)
RGB = np.repeat(GREY[..., np.newaxis], 3, axis=-1)
DAMAGED = "image data is damaged or cut short"
NO_IMAGE = "file is not an image"
TOO_LARGE = "image is too large to be a film"


def decode(data: bytes) -> Pixels:
    """Grey levels as the served graph decodes them."""
    pixels = tf.io.decode_image(data, channels=1, expand_animations=False)
    return pixels.numpy()[..., 0]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, rows: Iterator[bytes], depth: int = 8, colour: int = 0) -> bytes:
    """A PNG file, chunk by chunk, in depths that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


# --- Bytes for the Example -------------------------------------------------------------------

SERVABLE = {
    "grey JPEG": encode(GREY, "JPEG"),
    "RGB JPEG": encode(RGB, "JPEG"),
    "progressive JPEG": encode(GREY, "JPEG", progressive=True),
    "grey PNG": encode(GREY),
    "RGB PNG": encode(RGB),
}


@pytest.mark.parametrize("data", SERVABLE.values(), ids=SERVABLE)
def test_what_can_be_served_is_not_touched(data: bytes) -> None:
    grey, _ = imaging.read_image(data)
    assert imaging.servable_bytes(data) == data
    np.testing.assert_array_equal(grey, decode(data))


def sixteen_bit(pixels: Pixels) -> bytes:
    return encode(pixels.astype(np.uint16) * 257)


def with_alpha(pixels: Pixels) -> bytes:
    alpha = np.where(np.indices(pixels.shape).sum(0) % 2, 255, 10).astype(np.uint8)
    return encode(np.dstack([pixels, pixels, pixels, alpha]))


@pytest.mark.parametrize(
    ("convert", "tolerance"),
    [
        pytest.param(with_alpha, 0, id="RGBA"),
        pytest.param(lambda grey: encode(grey, mode="LA"), 0, id="grey with alpha"),
        pytest.param(lambda grey: encode(grey, mode="P"), 0, id="palette"),
        pytest.param(sixteen_bit, 0, id="16 bits"),
        pytest.param(lambda grey: encode(grey, "TIFF"), 0, id="TIFF"),
        pytest.param(lambda grey: encode(grey, "GIF"), 0, id="GIF"),
        pytest.param(lambda grey: encode(grey, "BMP"), 0, id="BMP"),
        # Lossy: the noise of the film is not kept to the level.
        pytest.param(lambda grey: encode(grey, "JPEG", "CMYK", quality=95), 10, id="CMYK"),
    ],
)
def test_anything_else_is_rewritten_as_grey_png_with_the_same_pixels(
    convert: Callable[[Pixels], bytes], tolerance: int
) -> None:
    data = convert(GREY)

    rewritten = imaging.servable_bytes(data)

    assert rewritten != data
    assert rewritten.startswith(b"\x89PNG")
    bit_depth, colour_type = rewritten[24:26]
    assert (bit_depth, colour_type) == (8, 0)
    np.testing.assert_allclose(decode(rewritten), GREY, atol=tolerance)
    np.testing.assert_array_equal(decode(rewritten), imaging.read_image(data)[0])


def test_one_bit_is_black_and_white() -> None:
    checks = (np.indices((40, 50)).sum(0) % 2 * 255).astype(np.uint8)
    data = encode(checks, mode="1")
    assert data[24] == 1
    np.testing.assert_array_equal(decode(imaging.servable_bytes(data)), checks)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(
            png(80, 60, ((RGB[y].astype(">u2") * 257).tobytes() for y in range(60)), 16, 2),
            id="RGB of 16 bits",
        ),
        pytest.param(
            png(80, 60, (bytes(r[::2] & 0xF0 | r[1::2] >> 4) for r in GREY), 4), id="grey of 4 bits"
        ),
    ],
)
def test_depths_that_the_decoder_mends_itself(data: bytes) -> None:
    grey, _ = imaging.read_image(data)
    np.testing.assert_array_equal(decode(imaging.servable_bytes(data)), grey)
    np.testing.assert_allclose(grey, GREY, atol=15)


# --- Files that are no film ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "file is empty", id="empty"),
        pytest.param(b"Not found. Please sign in.\n", NO_IMAGE, id="text"),
        pytest.param(bytes(5000), NO_IMAGE, id="zeros"),
        pytest.param(b"\xff\xd8\xff", NO_IMAGE, id="the first bytes of a JPEG"),
        pytest.param(b"\x89PNG\r\n\x1a\n", NO_IMAGE, id="the first bytes of a PNG"),
        pytest.param(png(60_000, 60_000, iter([b""])), TOO_LARGE, id="3.6 gigapixels"),
        pytest.param(png(12_000, 9_000, iter([b""])), TOO_LARGE, id="108 megapixels"),
        pytest.param(png(9_000, 9_000, iter([b""])), DAMAGED, id="81 megapixels without data"),
    ],
)
def test_bad_files(data: bytes, reason: str) -> None:
    with pytest.raises(imaging.BadImageError, match=f"^{reason}$"):
        imaging.read_image(data)


@pytest.mark.parametrize("data", SERVABLE.values(), ids=SERVABLE)
def test_a_file_cut_short_anywhere_is_refused(data: bytes) -> None:
    reasons = set()
    for size in [*range(1, len(data) - 30, 97), *range(len(data) - 30, len(data))]:
        with pytest.raises(imaging.BadImageError) as error:
            imaging.read_image(data[:size])
        reasons.add(str(error.value))
    assert reasons == {NO_IMAGE, DAMAGED}


@given(
    data=st.sampled_from([*SERVABLE.values(), with_alpha(GREY), sixteen_bit(GREY)]),
    seed=st.integers(0, 10**6),
    damages=st.integers(1, 8),
)
def test_what_is_accepted_can_be_served_and_nothing_else_is_raised(
    data: bytes, seed: int, damages: int
) -> None:
    rng = random.Random(seed)
    broken = bytearray(data)
    for _ in range(damages):
        broken[rng.randrange(len(broken))] = rng.randrange(256)
    try:
        grey, _ = imaging.read_image(bytes(broken))
    except imaging.BadImageError:
        return
    np.testing.assert_array_equal(decode(imaging.servable_bytes(bytes(broken))), grey)


# --- Facts -----------------------------------------------------------------------------------


def facts(pixels: Pixels) -> ImageFacts:
    return imaging.read_image(encode(pixels))[1]


@pytest.mark.parametrize("seed", range(3))
def test_facts_are_those_of_the_pixels(seed: int) -> None:
    pixels = film(seed, 90 + seed, 121)
    levels = pixels / 255

    found = facts(pixels)

    assert (found.height, found.width) == pixels.shape
    assert found.mean == pytest.approx(levels.mean())
    assert found.std == pytest.approx(levels.std())
    low, high = np.percentile(levels, [1, 99], method="inverted_cdf")
    assert (found.p01, found.p99) == pytest.approx((low, high))


def test_facts_of_the_file() -> None:
    data = encode(GREY, "JPEG")
    _, found = imaging.read_image(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.file_bytes == len(data)
    assert found.format == "JPEG"
    assert imaging.read_image(sixteen_bit(GREY))[1].format == "PNG"


def test_facts_of_a_rewritten_file_are_those_of_the_original() -> None:
    data = with_alpha(GREY)
    _, found = imaging.read_image(data)
    assert found.sha256 == hashlib.sha256(data).hexdigest()
    assert found.mean == pytest.approx(GREY.mean() / 255)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_an_even_field(level: int) -> None:
    found = facts(np.full((40, 60), level, np.uint8))
    assert found.mean == found.p01 == found.p99 == pytest.approx(level / 255)
    assert found.std == pytest.approx(0, abs=1e-7)
    assert found.sharpness == 0
    assert found.black_border == (level == 0)


def test_black_border_counts_the_frame_only() -> None:
    pixels = np.full((100, 200), 120, np.uint8)
    pixels[5:95, 10:190] = 0  # all but the frame
    assert facts(pixels).black_border == 0

    pixels = np.full((100, 200), 120, np.uint8)
    pixels[:, :10] = 8  # the left side of the frame, as black as film gets
    frame = 100 * 200 - 90 * 180
    assert facts(pixels).black_border == pytest.approx(100 * 10 / frame)


def test_sharpness_falls_with_blur() -> None:
    stripes = np.tile(np.repeat(np.array([60, 190], np.uint8), 8), (256, 16))
    kernel = np.ones(9) / 9
    blurred = np.apply_along_axis(np.convolve, 1, stripes, kernel, mode="same").astype(np.uint8)
    assert facts(blurred).sharpness < facts(stripes).sharpness / 4


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_tiny_images_have_facts(shape: tuple[int, int]) -> None:
    found = facts(np.full(shape, 50, np.uint8))
    assert (found.height, found.width) == shape
    assert found.mean == pytest.approx(50 / 255)
