"""Which files are films, which bytes go into the Example, and what they tell."""

import hashlib
import io
import random
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import PIL.Image
import PIL.ImageFile
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from components.example_gen.images import imaging
from components.example_gen.images.polarity import polarity
from components.example_gen.quality import faults
from components.example_gen.record import ImageFacts
from components.example_gen.settings import Quality
from tests.components.example_gen.dicom_samples import dicom
from tests.components.example_gen.samples import Pixels, encode, film
from tests.examples import xray_file

GREY = film(1, 60, 80)
RGB = np.repeat(GREY[..., np.newaxis], 3, axis=-1)
DAMAGED = "image data is damaged or cut short"
NO_IMAGE = "file is not an image"
TOO_LARGE = "image is too large to be a film"
SEVERAL = "image of several frames"


def decode(data: bytes) -> Pixels:
    """Grey levels as the served graph decodes them."""
    pixels = tf.io.decode_image(data, channels=1, expand_animations=False)
    return pixels.numpy()[..., 0]


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    rows: Iterator[bytes],
    depth: int = 8,
    colour: int = 0,
    behind: bytes = b"",
) -> bytes:
    """A PNG file, chunk by chunk, in depths that Pillow does not write."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", data) + behind
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


def exif(orientation: int) -> bytes:
    tags = PIL.Image.Exif()
    tags[274] = orientation
    return tags.tobytes()


def frames(image_format: str, count: int = 3, **options: object) -> bytes:
    """An animation, or a file of several pages."""
    images = [PIL.Image.fromarray(film(seed)) for seed in range(count)]
    buffer = io.BytesIO()
    images[0].save(buffer, image_format, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


# --- Bytes for the Example -------------------------------------------------------------------

SERVABLE = {
    "grey JPEG": encode(GREY, "JPEG"),
    "RGB JPEG": encode(RGB, "JPEG"),
    "progressive JPEG": encode(GREY, "JPEG", progressive=True),
    "grey PNG": encode(GREY),
    "RGB PNG": encode(RGB),
    "upright by EXIF, JPEG": encode(GREY, "JPEG", exif=exif(1)),
    "upright by EXIF, PNG": encode(GREY, exif=exif(1)),
    "EXIF of no known orientation": encode(GREY, "JPEG", exif=exif(9)),
    "damaged EXIF, JPEG": encode(GREY, "JPEG", exif=b"Exif\0\0no such thing"),
    "damaged EXIF, PNG": encode(GREY, exif=b"Exif\0\0no such thing"),
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
        pytest.param(
            lambda grey: encode(grey, mode="P", transparency=int(grey[0, 0])),
            0,
            id="palette with transparency",
        ),
        pytest.param(sixteen_bit, 0, id="16 bits"),
        pytest.param(lambda grey: encode(grey, "TIFF"), 0, id="TIFF"),
        pytest.param(
            lambda grey: encode(grey.astype(np.uint16) * 257, "TIFF"), 0, id="TIFF of 16 bits"
        ),
        pytest.param(
            lambda grey: encode(grey.astype(np.int32) * 257, "TIFF"), 0, id="TIFF of 32 bits"
        ),
        pytest.param(lambda grey: encode(grey, "WEBP", lossless=True), 0, id="WebP"),
        pytest.param(lambda grey: encode(grey, exif=exif(1), mode="LA"), 0, id="LA with EXIF"),
        pytest.param(lambda grey: dicom(grey), 0, id="DICOM"),
        pytest.param(
            lambda grey: dicom(255 - grey, PhotometricInterpretation="MONOCHROME1"),
            0,
            id="MONOCHROME1",
        ),
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


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_more_bits_become_eight_from_black_to_white(depth: int) -> None:
    levels = np.linspace(0, 2**depth - 1, 64 * 64).astype(np.uint16).reshape(64, 64)
    rewritten = decode(imaging.servable_bytes(encode(levels)))
    np.testing.assert_allclose(rewritten, levels / (2**depth - 1) * 255, atol=1)
    assert (rewritten[0, 0], rewritten[-1, -1]) == (0, 255)


TURNS = {
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.T,
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).T,
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize(("orientation", "turn"), TURNS.items(), ids=map(str, TURNS))
def test_a_turned_png_is_rewritten_upright(
    orientation: int, turn: Callable[[Pixels], Pixels], depth: type
) -> None:
    turned = np.ascontiguousarray(turn(GREY)).astype(depth)
    data = encode(turned * 257 if depth is np.uint16 else turned, exif=exif(orientation))
    rewritten = imaging.servable_bytes(data)
    np.testing.assert_array_equal(decode(rewritten), GREY)
    _, found = imaging.read_image(data)
    assert (found.height, found.width) == GREY.shape
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_a_turned_jpeg_is_rewritten_upright() -> None:
    turned = np.ascontiguousarray(np.rot90(GREY))
    data = encode(turned, "JPEG", exif=exif(6), quality=95)
    pixels = decode(imaging.servable_bytes(data))
    # The two JPEG decoders round otherwise.
    np.testing.assert_allclose(pixels, np.rot90(decode(data), -1), atol=4)
    assert pixels.shape == GREY.shape


def test_exif_data_behind_the_pixels_of_a_png_count_too() -> None:
    turned = np.ascontiguousarray(GREY[::-1, ::-1])
    behind = png_chunk(b"eXIf", exif(3).removeprefix(b"Exif\0\0"))
    data = png(80, 60, (row.tobytes() for row in turned), behind=behind)
    np.testing.assert_array_equal(decode(imaging.servable_bytes(data)), GREY)


def test_of_two_pictures_in_an_mpo_the_first_is_the_film() -> None:
    data = frames("MPO", 2, quality=95)
    rewritten = imaging.servable_bytes(data)
    assert rewritten.startswith(b"\x89PNG")
    np.testing.assert_allclose(decode(rewritten), film(0), atol=25)
    assert imaging.read_image(data)[1].format == "MPO"


def test_the_wrong_suffix_does_not_matter() -> None:
    # Files are read by their content: a PNG called .jpeg is a PNG.
    assert imaging.read_image(SERVABLE["grey PNG"])[1].format == "PNG"
    assert imaging.read_image(SERVABLE["grey JPEG"])[1].format == "JPEG"


def test_a_sound_png_is_not_decoded_to_look_for_exif_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", refuse_to_load)
    assert imaging.servable_bytes(SERVABLE["grey PNG"]) == SERVABLE["grey PNG"]
    assert imaging.servable_bytes(SERVABLE["RGB PNG"]) == SERVABLE["RGB PNG"]


def refuse_to_load(image: PIL.Image.Image) -> None:
    raise AssertionError("the image was decoded")


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
        pytest.param(png(2**31 - 1, 2**31 - 1, iter([b""])), TOO_LARGE, id="4 exapixels"),
        pytest.param(png(0, 10, iter([b""])), NO_IMAGE, id="no width"),
        pytest.param(
            b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 60_000, 60_000, 1, 8, *[0] * 6),
            TOO_LARGE,
            id="BMP of 3.6 gigapixels",
        ),
        pytest.param(frames("GIF"), SEVERAL, id="animated GIF"),
        pytest.param(frames("PNG"), SEVERAL, id="animated PNG"),
        pytest.param(frames("WEBP"), SEVERAL, id="animated WebP"),
        pytest.param(frames("TIFF"), SEVERAL, id="TIFF of three pages"),
        pytest.param(
            encode(GREY.astype(np.float32), "TIFF"),
            r"grey levels without a scale \(floating point\)",
            id="TIFF of floating point",
        ),
        pytest.param(frames("GIF")[:-200], DAMAGED + "|" + SEVERAL, id="GIF cut short"),
        pytest.param(encode(GREY, "TIFF")[:-500], DAMAGED + "|" + NO_IMAGE, id="TIFF cut short"),
        pytest.param(encode(GREY, "BMP")[:-500], DAMAGED, id="BMP cut short"),
        pytest.param(encode(GREY, "WEBP")[:-50], DAMAGED + "|" + NO_IMAGE, id="WebP cut short"),
        pytest.param(encode(GREY, "EPS"), NO_IMAGE, id="PostScript"),
        pytest.param(encode(GREY, "PPM"), NO_IMAGE, id="PPM"),
        pytest.param(encode(GREY, "ICO"), NO_IMAGE, id="icon"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", NO_IMAGE, id="SVG"),
        pytest.param(b"%PDF-1.7\n", NO_IMAGE, id="PDF"),
        pytest.param(bytes(128) + b"DICM", ".+", id="DICOM without anything"),
        pytest.param(png(12_000, 9_000, iter([b""])), TOO_LARGE, id="108 megapixels"),
        pytest.param(png(9_000, 9_000, iter([b""])), DAMAGED, id="81 megapixels without data"),
    ],
)
def test_bad_files(data: bytes, reason: str) -> None:
    with pytest.raises(imaging.BadImageError, match=f"^({reason})$"):
        imaging.read_image(data)


@pytest.mark.parametrize(("width", "height"), [(60_000, 60_000), (100_000_001, 1)])
def test_what_is_too_large_is_not_decoded(
    monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    monkeypatch.setattr(PIL.ImageFile.ImageFile, "load", refuse_to_load)
    monkeypatch.setattr(tf.io, "decode_image", refuse_to_load)
    # Sound but for its size: a megabyte of zeros that would unfold to 3.6 gigabytes.
    data = png(width, height, iter([bytes(10**7)]))
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(imaging.BadImageError, match=TOO_LARGE):
        imaging.read_image(data)
    assert time.perf_counter() - start < 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6


@pytest.mark.parametrize("data", SERVABLE.values(), ids=SERVABLE)
def test_a_file_cut_short_anywhere_is_refused(data: bytes) -> None:
    reasons = set()
    for size in [*range(1, len(data) - 30, 97), *range(len(data) - 30, len(data))]:
        with pytest.raises(imaging.BadImageError) as error:
            imaging.read_image(data[:size])
        reasons.add(str(error.value))
    assert reasons == {NO_IMAGE, DAMAGED}


@given(
    data=st.sampled_from(
        [
            *SERVABLE.values(),
            with_alpha(GREY),
            sixteen_bit(GREY),
            encode(GREY, "TIFF"),
            encode(GREY, "BMP"),
            encode(GREY, "GIF"),
            encode(GREY, "WEBP"),
            encode(GREY, "JPEG", "CMYK"),
            encode(GREY, mode="P"),
            frames("PNG"),
            frames("GIF"),
            frames("MPO"),
        ]
    ),
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


def test_colour_is_nothing_for_grey_however_it_is_stored() -> None:
    for data in (*SERVABLE.values(), with_alpha(GREY), sixteen_bit(GREY), encode(GREY, mode="P")):
        assert imaging.read_image(data)[1].colour == 0


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF"])
def test_a_colour_photograph_has_colour(image_format: str) -> None:
    photograph = np.dstack([film(0, 300, 400), film(1, 300, 400) // 2, film(2, 300, 400) // 3])
    found = imaging.read_image(encode(photograph, image_format))[1]
    spread = (photograph.max(2).astype(int) - photograph.min(2)).mean() / 255
    assert found.colour == pytest.approx(spread, abs=0.03)
    assert "colour photograph, not a film" in list(faults(xray_file(), found, Quality()))


def test_a_coloured_marker_does_not_make_a_photograph() -> None:
    marked = np.repeat(film(0, 300, 400)[..., np.newaxis], 3, axis=-1)
    marked[5:35, 5:45] = (255, 0, 0)
    found = imaging.read_image(encode(marked))[1]
    assert 0 < found.colour < Quality().max_colour


def test_polarity_is_that_of_the_pixels() -> None:
    pixels = film(3, 256, 256)
    assert facts(pixels).polarity == pytest.approx(polarity(pixels), abs=0.01)
    assert facts(255 - pixels).polarity == pytest.approx(-facts(pixels).polarity, abs=0.02)


def test_a_large_film_is_read_with_little_more_than_its_pixels() -> None:
    # 16 megapixels of 16 bits: 32 MB as they are, 16 MB as grey levels.
    data = encode(np.zeros((4000, 4000), np.uint16))
    tracemalloc.start()
    imaging.read_image(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 160 * 10**6
