"""DICOM films as grey levels, and the files that hold none."""

import io
import os
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut, apply_windowing
from pydicom.sequence import Sequence as Items

from serving import dicom_image
from serving.dicom_image import DicomError, is_dicom, read_grey
from tests.components.example_gen import dicom_samples as dicoms
from tests.components.example_gen.dicom_samples import Stored, dicom, lookup_table, to_bytes
from tests.components.example_gen.samples import Pixels, encode

# pytest puts its own filters in the place of the module's.
pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")

DAMAGED = "image data is damaged or cut short"
TOO_LARGE = "image is too large to be a film"
NO_DICOM = "file is not a DICOM file"
NO_PIXELS = "DICOM file has no pixel data"
SEVERAL = "DICOM file has several frames"
COLOUR = "DICOM file is in colour"
ENCRYPTED = "DICOM file is encrypted"
SYNTAX = "DICOM transfer syntax is not supported"
FORMAT = "DICOM pixel format is not supported"

GREY = dicoms.film(bits=8)
FILM = dicoms.film(bits=12)
SIGNED = FILM.astype(np.int16) - 2048


def reason(data: bytes) -> str:
    with pytest.raises(DicomError) as error:
        read_grey(data)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


# --- From stored values to grey levels -------------------------------------------------------


def test_eight_bits_are_shown_as_they_are() -> None:
    grey = read_grey(dicom(GREY))
    assert grey.dtype == np.uint8
    np.testing.assert_array_equal(grey, GREY)
    np.testing.assert_array_equal(read_grey(dicom(GREY, RescaleSlope=1, RescaleIntercept=0)), GREY)


def test_monochrome1_is_turned_over() -> None:
    data = dicom(GREY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_grey(data), 255 - GREY)


@pytest.mark.parametrize("shape", ["IDENTITY", "INVERSE"])
def test_the_presentation_shape_does_not_turn_it_a_second_time(shape: str) -> None:
    data = dicom(GREY, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=shape)
    np.testing.assert_array_equal(read_grey(data), 255 - GREY)


def test_monochrome1_is_turned_after_the_window() -> None:
    window = {"WindowCenter": 1200, "WindowWidth": 900}
    shown = read_grey(dicom(FILM, 12, **window))
    turned = read_grey(dicom(FILM, 12, PhotometricInterpretation="MONOCHROME1", **window))
    np.testing.assert_array_equal(turned, 255 - shown)


def shown_by_pydicom(data: bytes) -> Pixels:
    """pydicom's own stages, which are right for a rising slope; their range made 8 bits."""
    film = pydicom.dcmread(io.BytesIO(data))
    values = apply_modality_lut(film.pixel_array, film)
    signed = film.PixelRepresentation
    stored = np.array([-(2 ** (film.BitsStored - 1)), 2 ** (film.BitsStored - 1) - 1])
    stored = stored if signed else np.array([0, 2**film.BitsStored - 1])
    low, high = apply_modality_lut(stored, film)
    return np.rint((apply_windowing(values, film) - low) / (high - low) * 255).astype(np.uint8)


@given(
    stored=st.sampled_from([GREY, FILM, SIGNED]),
    function=st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID"]),
    center=st.integers(-3000, 5000),
    width=st.integers(1, 6000),
    slope=st.sampled_from([None, 0.5, 1, 2.5]),
    intercept=st.integers(-2000, 2000),
)
def test_windows_are_those_of_pydicom(
    stored: Stored,
    function: str | None,
    center: int,
    width: int,
    slope: float | None,
    intercept: int,
) -> None:
    data = dicom(
        stored,
        8 if stored is GREY else 12,
        WindowCenter=center,
        WindowWidth=width,
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=None if slope is None else intercept,
    )
    difference = read_grey(data).astype(int) - shown_by_pydicom(data)
    assert np.abs(difference).max() <= 1  # where a rounding error meets a half


@pytest.mark.parametrize(
    ("function", "stored", "expected"),
    [
        # The examples of C.11.2.1.2.1 and C.11.2.1.3.2: where a window begins and ends.
        ("LINEAR", [0, 1536, 1537, 2047, 2048, 2559, 2560], [0, 0, 0, 127, 128, 255, 255]),
        ("LINEAR_EXACT", [0, 1536, 2048, 2560], [0, 0, 128, 255]),
        ("SIGMOID", [0, 2048, 4095], [0, 128, 255]),
    ],
)
def test_where_a_window_begins_and_ends(
    function: str, stored: list[int], expected: list[int]
) -> None:
    data = dicom(
        np.array([stored], np.uint16),
        12,
        WindowCenter=2048,
        WindowWidth=1024,
        VOILUTFunction=function,
    )
    assert read_grey(data)[0].tolist() == expected


def test_the_first_of_several_windows() -> None:
    one = dicom(FILM, 12, WindowCenter=900, WindowWidth=700)
    several = dicom(FILM, 12, WindowCenter=[900, 2000], WindowWidth=[700, 4000])
    np.testing.assert_array_equal(read_grey(several), read_grey(one))


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 2000, "WindowWidth": 0},
        {"WindowCenter": 2000, "WindowWidth": -5},
        {"WindowCenter": 2000, "WindowWidth": 0.5},
        {"WindowCenter": 2000, "WindowWidth": 0, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": None, "WindowWidth": 4000},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_a_window_that_is_none(window: dict[str, object]) -> None:
    np.testing.assert_array_equal(read_grey(dicom(FILM, 12, **window)), read_grey(dicom(FILM, 12)))


def test_rescaling_comes_before_the_window() -> None:
    plain = dicom(FILM, 12, WindowCenter=1000, WindowWidth=800, VOILUTFunction="LINEAR_EXACT")
    rescaled = dicom(
        FILM,
        12,
        RescaleSlope=0.25,
        RescaleIntercept=-100,
        WindowCenter=150,
        WindowWidth=200,
        VOILUTFunction="LINEAR_EXACT",
    )
    np.testing.assert_array_equal(read_grey(rescaled), read_grey(plain))


def test_a_falling_slope_turns_the_film_over() -> None:
    turned = dicom(FILM, 12, RescaleSlope=-1, RescaleIntercept=4095)
    difference = read_grey(turned).astype(int) - (255 - read_grey(dicom(FILM, 12)).astype(int))
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("bits", [12, 16])
def test_signed_values(bits: int) -> None:
    window = {"WindowCenter": 1000, "WindowWidth": 1500}
    shifted = {"WindowCenter": 1000 - 2048, "WindowWidth": 1500}
    np.testing.assert_array_equal(
        read_grey(dicom(SIGNED, bits, **shifted)), read_grey(dicom(FILM, 12, **window))
    )
    np.testing.assert_array_equal(read_grey(dicom(SIGNED, bits)), read_grey(dicom(FILM, bits)))


# --- Without a window ------------------------------------------------------------------------


def test_the_whole_range_is_used() -> None:
    ramp = np.linspace(500, 3000, 100 * 100).astype(np.uint16).reshape(100, 100)
    grey = read_grey(dicom(ramp, 12))
    assert (grey.min(), grey.max()) == (0, 255)
    expected = (ramp - 512.5) / (2987.5 - 512.5) * 255
    np.testing.assert_allclose(grey, np.clip(expected, 0, 255), atol=1)


def test_a_burnt_in_marker_and_a_dead_pixel_do_not_set_the_contrast() -> None:
    ramp = np.linspace(500, 3000, 100 * 100).astype(np.uint16).reshape(100, 100)
    marked = ramp.copy()
    marked[40:44, 50:60] = 4095
    marked[90, 90] = 0
    difference = read_grey(dicom(marked, 12)).astype(int) - read_grey(dicom(ramp, 12))
    difference[40:44, 50:60] = difference[90, 90] = 0
    assert np.abs(difference).max() <= 3
    assert (read_grey(dicom(marked, 12))[40:44, 50:60] == 255).all()


@pytest.mark.parametrize(
    ("padding", "limit", "of_monochrome1"), [(0, None, False), (0, 40, False), (4095, 4000, True)]
)
def test_padding_does_not_count(padding: int, limit: int | None, of_monochrome1: bool) -> None:
    photometric = "MONOCHROME1" if of_monochrome1 else "MONOCHROME2"
    inside = FILM.clip(1000, 3500)
    padded = np.full((60, 120), padding, np.uint16)
    padded[:, 110:] = padding if limit is None else limit
    padded[:, :80] = inside
    header = {"PhotometricInterpretation": photometric, "PixelPaddingValue": padding}
    grey = read_grey(dicom(padded, 12, PixelPaddingRangeLimit=limit, **header))

    alone = read_grey(dicom(inside, 12, PhotometricInterpretation=photometric))
    np.testing.assert_array_equal(grey[:, :80], alone)
    assert not grey[:, 80:].any()


def test_signed_padding() -> None:
    padded = np.hstack([SIGNED, np.full((60, 40), -2048, np.int16)])
    grey = read_grey(dicom(padded, 16, PixelPaddingValue=-2048))
    np.testing.assert_array_equal(grey[:, :80], read_grey(dicom(SIGNED, 16)))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_an_even_field_is_black(bits: int) -> None:
    assert not read_grey(dicom(np.full((9, 7), 700, np.uint16), bits)).any()
    assert not read_grey(dicom(np.full((9, 7), 700, np.uint16), bits, PixelPaddingValue=700)).any()


def test_next_to_nothing_on_an_even_field() -> None:
    field = np.full((100, 100), 700, np.uint16)
    field[3, 4] = 900
    grey = read_grey(dicom(field, 12))
    assert grey[3, 4] == 255
    assert grey.sum() == 255


# --- Lookup tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("implicit", [False, True])
def test_a_voi_table_wins_over_a_window(implicit: bool) -> None:
    curve = (np.sqrt(np.arange(4096) / 4095) * 65535).astype(int).tolist()
    made = dicoms.dataset(
        FILM, 12, VOILUTSequence=lookup_table(curve), WindowCenter=100, WindowWidth=50
    )
    data = to_bytes(made, uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian)

    film = pydicom.dcmread(io.BytesIO(data))
    expected = np.rint(apply_voi_lut(film.pixel_array, film) / 65535 * 255)
    np.testing.assert_array_equal(read_grey(data), expected)


@pytest.mark.parametrize("packed", [False, True])
def test_a_table_of_eight_bits_for_values_of_twelve(packed: bool) -> None:
    entries = (np.arange(4096) // 16).tolist()
    data = dicom(FILM, 12, VOILUTSequence=lookup_table(entries, bits=8, packed=packed))
    np.testing.assert_array_equal(read_grey(data), FILM // 16)


def test_a_table_that_announces_sixteen_bits_and_fills_twelve() -> None:
    data = dicom(FILM, 12, VOILUTSequence=lookup_table(range(4096), bits=16))
    np.testing.assert_array_equal(read_grey(data), np.rint(FILM / 4095 * 255))


def test_values_outside_of_a_table_get_its_ends() -> None:
    stored = np.array([[0, 99, 100, 101, 102, 103, 4000]], np.uint16)
    data = dicom(stored, 12, VOILUTSequence=lookup_table([10, 20, 255], first=100, bits=8))
    assert read_grey(data)[0].tolist() == [10, 10, 10, 20, 255, 255, 255]


@pytest.mark.parametrize("implicit", [False, True])
def test_a_table_that_begins_below_zero(implicit: bool) -> None:
    header = {"RescaleSlope": 1, "RescaleIntercept": -2048}
    table = lookup_table(range(4096), first=-2048, bits=12)
    if implicit:  # nothing says there whether the first input value is signed
        table[0].add_new("LUTDescriptor", "US", [4096, 2**16 - 2048, 12])
    made = dicoms.dataset(FILM, 12, VOILUTSequence=table, **header)
    data = to_bytes(made, uid.ImplicitVRLittleEndian if implicit else None)
    np.testing.assert_array_equal(read_grey(data), np.rint(FILM / 4095 * 255))


@pytest.mark.parametrize("bits", [12, 16])
def test_a_modality_table(bits: int) -> None:
    entries = np.arange(4096)[::-1] * 2 ** (bits - 12)
    header = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    data = dicom(FILM, 12, ModalityLUTSequence=lookup_table(entries.tolist(), bits=bits), **header)
    np.testing.assert_allclose(read_grey(data), (4095 - FILM) / 4095 * 255, atol=1)


def test_a_table_without_entries_gives_way_to_the_window() -> None:
    item = Dataset()
    item.LUTExplanation = "none"
    window = {"WindowCenter": 900, "WindowWidth": 700}
    data = dicom(FILM, 12, VOILUTSequence=Items([item]), **window)
    np.testing.assert_array_equal(read_grey(data), read_grey(dicom(FILM, 12, **window)))


# --- Transfer syntaxes -----------------------------------------------------------------------

LOSSLESS: dict[str, Callable[[Stored, int], bytes]] = {
    "implicit": lambda film, bits: to_bytes(dicoms.dataset(film, bits), uid.ImplicitVRLittleEndian),
    "deflated": lambda film, bits: to_bytes(
        dicoms.dataset(film, bits), uid.DeflatedExplicitVRLittleEndian
    ),
    "RLE": dicoms.run_length,
    "JPEG Lossless": lambda film, bits: dicoms.by_gdcm(film, uid.JPEGLossless, bits),
    "JPEG Lossless SV1": lambda film, bits: dicoms.by_gdcm(film, uid.JPEGLosslessSV1, bits),
    "JPEG-LS": lambda film, bits: dicoms.by_gdcm(film, uid.JPEGLSLossless, bits),
    "JPEG 2000": lambda film, bits: dicoms.by_gdcm(film, uid.JPEG2000Lossless, bits),
}


@pytest.mark.parametrize("to_file", LOSSLESS.values(), ids=LOSSLESS)
@pytest.mark.parametrize(
    ("stored", "bits"),
    [(GREY, 8), (FILM, 12), (FILM, 16), (SIGNED, 12), (SIGNED, 16)],
    ids=["8", "12", "16", "signed 12", "signed 16"],
)
def test_lossless(to_file: Callable[[Stored, int], bytes], stored: Stored, bits: int) -> None:
    data = to_file(stored, bits)
    assert is_dicom(data)
    np.testing.assert_array_equal(read_grey(data), read_grey(dicom(stored, bits)))


def test_jpeg_2000_of_pillow() -> None:
    np.testing.assert_array_equal(read_grey(dicoms.jpeg_2000(GREY)), GREY)


def test_big_endian() -> None:
    made = dicoms.dataset(FILM, 12, PixelData=FILM.byteswap().tobytes())
    made.set_original_encoding(False, False)
    np.testing.assert_array_equal(
        read_grey(to_bytes(made, uid.ExplicitVRBigEndian)), read_grey(dicom(FILM, 12))
    )


def test_lossy_jpeg() -> None:
    np.testing.assert_allclose(read_grey(dicoms.jpeg_baseline(GREY)).astype(int), GREY, atol=10)
    twelve = read_grey(dicoms.by_gdcm(FILM, uid.JPEGExtended12Bit, 12)).astype(int)
    np.testing.assert_allclose(twelve, read_grey(dicom(FILM, 12)), atol=2)
    eight = read_grey(dicoms.by_gdcm(GREY, uid.JPEGExtended12Bit, 8)).astype(int)
    np.testing.assert_allclose(eight, GREY, atol=2)


def test_a_stream_of_more_bits_than_are_stored() -> None:
    made = pydicom.dcmread(io.BytesIO(dicoms.by_gdcm(FILM, uid.JPEGLosslessSV1, 16)))
    made.BitsStored, made.HighBit = 12, 11
    np.testing.assert_array_equal(read_grey(to_bytes(made)), read_grey(dicom(FILM, 12)))


def test_a_frame_in_several_fragments() -> None:
    data = dicoms.by_gdcm(FILM, uid.JPEGLosslessSV1, 12)
    made = pydicom.dcmread(io.BytesIO(data))
    frame = dicoms.frame_of(data)
    made.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=3)
    np.testing.assert_array_equal(read_grey(to_bytes(made)), read_grey(dicom(FILM, 12)))


def test_overlay_bits_above_the_stored_ones_do_not_count() -> None:
    overlaid = FILM | (np.indices(FILM.shape).sum(0) % 2 << 15).astype(np.uint16)
    np.testing.assert_array_equal(read_grey(dicom(overlaid, 12)), read_grey(dicom(FILM, 12)))


def test_threads_share_nothing() -> None:
    seeds = range(12)
    files = [dicoms.by_gdcm(dicoms.film(n), uid.JPEGLosslessSV1, 12) for n in seeds]
    with ThreadPoolExecutor(4) as pool:
        for seed, grey in zip(seeds, pool.map(read_grey, files), strict=True):
            np.testing.assert_array_equal(grey, read_grey(dicom(dicoms.film(seed), 12)))


# --- Files without a film --------------------------------------------------------------------


def without(name: str) -> bytes:
    return dicom(FILM, 12, **{name: None})


def multi_frame() -> bytes:
    return dicom(FILM, 12, NumberOfFrames=2, PixelData=FILM.tobytes() * 2)


def rgb() -> bytes:
    header = {"SamplesPerPixel": 3, "PlanarConfiguration": 0, "PhotometricInterpretation": "RGB"}
    return dicom(np.dstack([GREY] * 3), **header)


def encrypted() -> bytes:
    item = Dataset()
    item.EncryptedContentTransferSyntaxUID = uid.ExplicitVRLittleEndian
    item.EncryptedContent = bytes(range(64))
    return dicom(FILM, 12, EncryptedAttributesSequence=Items([item]))


def with_syntax(syntax: str) -> bytes:
    return dicoms.with_frame(dicoms.dataset(FILM, 12), b"\0" * 64, syntax)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(lambda: b"", NO_DICOM, id="empty"),
        pytest.param(lambda: bytes(5000), NO_DICOM, id="zeros"),
        pytest.param(lambda: encode(GREY), NO_DICOM, id="PNG"),
        pytest.param(lambda: dicom(FILM, 12)[132:], NO_DICOM, id="without preamble"),
        pytest.param(lambda: bytes(128) + b"DICM", NO_PIXELS, id="nothing but the preamble"),
        pytest.param(lambda: without("PixelData"), NO_PIXELS, id="without pixel data"),
        pytest.param(multi_frame, SEVERAL, id="several frames"),
        pytest.param(rgb, COLOUR, id="RGB"),
        pytest.param(
            lambda: dicom(GREY, PhotometricInterpretation="PALETTE COLOR"), COLOUR, id="palette"
        ),
        pytest.param(encrypted, ENCRYPTED, id="encrypted"),
        pytest.param(
            lambda: dicom(GREY, Rows=60_000, Columns=60_000), TOO_LARGE, id="3.6 gigapixels"
        ),
        pytest.param(
            lambda: dicom(GREY, Rows=9_000, Columns=9_000), DAMAGED, id="81 megapixels, no data"
        ),
        pytest.param(lambda: with_syntax(uid.HTJ2KLossless), SYNTAX, id="HTJ2K"),
        pytest.param(lambda: with_syntax(uid.MPEG2MPML), SYNTAX, id="MPEG"),
        pytest.param(lambda: with_syntax("1.2.3.4.5"), SYNTAX, id="unknown syntax"),
        pytest.param(lambda: dicom(FILM, 12, HighBit=15), FORMAT, id="bits at the top"),
        pytest.param(lambda: dicom(FILM.astype(np.uint32), 32), FORMAT, id="32 bits"),
        pytest.param(lambda: dicom(FILM, 12, RescaleSlope=0), DAMAGED, id="slope of zero"),
        pytest.param(lambda: without("Rows"), DAMAGED, id="without rows"),
        pytest.param(lambda: without("BitsStored"), DAMAGED, id="without bits"),
        pytest.param(lambda: without("PixelRepresentation"), DAMAGED, id="without sign"),
        pytest.param(lambda: dicom(FILM, 12, Columns=0), DAMAGED, id="no columns"),
    ],
)
def test_bad_files(make: Callable[[], bytes], expected: str) -> None:
    assert reason(make()) == expected


def test_what_is_inflated_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = to_bytes(dicoms.dataset(GREY), uid.DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr(dicom_image, "_MOST_BYTES", GREY.size)
    assert reason(data) == TOO_LARGE


def with_claim(data: bytes, rows: int, columns: int) -> bytes:
    """A JPEG whose own header claims another size than DICOM's."""
    frame = bytearray(dicoms.frame_of(data))
    if frame.startswith(b"\xff\x4f"):
        frame[8:16] = columns.to_bytes(4, "big") + rows.to_bytes(4, "big")
    else:
        size = GREY.shape[0].to_bytes(2, "big") + GREY.shape[1].to_bytes(2, "big")
        at = frame.index(size)
        frame[at : at + 4] = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    return dicoms.with_new_frame(data, bytes(frame))


@pytest.mark.parametrize(
    "data",
    [
        dicom(FILM, 12, Rows=60_000, Columns=60_000),
        dicoms.by_gdcm(FILM, uid.JPEGLosslessSV1, 12, Rows=60, Columns=80),
        dicoms.jpeg_baseline(GREY),
        dicoms.jpeg_2000(GREY),
    ],
    ids=["native", "JPEG Lossless", "JPEG", "JPEG 2000"],
)
def test_a_claim_of_gigapixels_allocates_nothing(data: bytes) -> None:
    if uid.UID(pydicom.dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID).is_compressed:
        data = with_claim(data, 60_000, 60_000)
    tracemalloc.start()
    try:
        assert reason(data) in (TOO_LARGE, DAMAGED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


# --- Damage ----------------------------------------------------------------------------------

KINDS = {
    "native": dicom(FILM, 12, WindowCenter=1000, WindowWidth=900),
    "table": dicom(FILM, 12, VOILUTSequence=lookup_table(range(4096))),
    **{name: to_file(FILM, 12) for name, to_file in LOSSLESS.items() if name != "JPEG Lossless"},
    "JPEG": dicoms.jpeg_baseline(GREY),
    "JPEG 2000 of Pillow": dicoms.jpeg_2000(GREY),
    "JPEG Extended": dicoms.by_gdcm(FILM, uid.JPEGExtended12Bit, 12),
}


@pytest.mark.parametrize("data", KINDS.values(), ids=KINDS)
def test_a_file_cut_short_anywhere_is_refused(data: bytes) -> None:
    reasons = {reason(data[:size]) for size in [*range(1, len(data), 499), len(data) - 9]}
    assert reasons <= {NO_DICOM, NO_PIXELS, DAMAGED}
    assert DAMAGED in reasons


@pytest.mark.parametrize(
    "data",
    [data for name, data in KINDS.items() if "JPEG" in name],
    ids=[name for name in KINDS if "JPEG" in name],
)
def test_a_frame_cut_short_in_a_whole_file_is_refused(data: bytes) -> None:
    frame = dicoms.frame_of(data)
    for size in (2, 9, len(frame) // 2, len(frame) - 20):
        assert reason(dicoms.with_new_frame(data, frame[:size])) == DAMAGED


@given(
    data=st.sampled_from(list(KINDS.values())),
    seed=st.integers(0, 10**6),
    damages=st.integers(1, 8),
)
def test_nothing_else_is_raised(data: bytes, seed: int, damages: int) -> None:
    rng = random.Random(seed)
    broken = bytearray(data)
    for _ in range(damages):
        # The header fills the first kilobyte, and has most of what can go wrong.
        end = rng.choice([1200, len(broken)])
        broken[rng.randrange(min(end, len(broken)))] = rng.randrange(256)
    try:
        grey = read_grey(bytes(broken))
    except DicomError:
        return
    assert grey.dtype == np.uint8
    assert grey.ndim == 2


@pytest.mark.parametrize("seed", [51, 79, 126])
def test_data_that_ends_the_decoder_does_not_end_the_reader(seed: int) -> None:
    """With these GDCM 3.2.6 calls `terminate`."""
    data = dicoms.by_gdcm(FILM, uid.JPEGLosslessSV1, 12)
    broken = bytearray(dicoms.frame_of(data))
    rng = random.Random(seed)
    for _ in range(4):
        broken[rng.randrange(60)] = rng.randrange(256)
    assert reason(dicoms.with_new_frame(data, bytes(broken))) == DAMAGED


def test_nothing_is_said_of_a_patient(tmp_path: Path) -> None:
    """The libraries' warnings and messages, in a process without pytest's own filters."""
    made = dicoms.dataset(FILM, 12)
    (tmp_path / "whole.dcm").write_bytes(to_bytes(made))
    noisy = to_bytes(made).replace(b"060Y", b"Jane").replace(b"\x08\0\x18\0UI", b"\x08\0\x18\0DS")
    (tmp_path / "noisy.dcm").write_bytes(noisy)
    frame = dicoms.frame_of(dicoms.by_gdcm(FILM, uid.JPEGLosslessSV1, 12))
    cut = dicoms.with_frame(made, frame[:900], uid.JPEGLosslessSV1)
    (tmp_path / "cut.dcm").write_bytes(cut)
    (tmp_path / "short.dcm").write_bytes(cut[:-40])
    program = """
import logging, pathlib, sys
from serving import dicom_image
logging.basicConfig(level=logging.DEBUG)
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        print(dicom_image.read_grey(path.read_bytes()).shape)
    except dicom_image.DicomError as error:
        print(error)
"""
    command = [sys.executable, "-W", "always", "-c", program, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert ended.stdout.splitlines() == [DAMAGED, "(60, 80)", DAMAGED, "(60, 80)"]
    assert ended.stderr == ""
