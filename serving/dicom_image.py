"""Opening a DICOM file: its header, and its film as grey levels, the way a viewer shows it.

pydicom reads the file and has the pixels decoded. From stored values to grey levels the film
goes through the stages of DICOM PS3.3: modality (C.11.1), values of interest (C.11.2), and the
photometric interpretation (C.7.6.3.1.2). They are computed here, on a table of all values that
occur, not on millions of pixels, and not by pydicom's `apply_modality_lut` and `apply_voi_lut`
(3.0): these give floats on a range that the caller has to guess, turn a film with a negative
slope, stumble over lookup tables of 12 bits, and cut the index of a table of 8 bits to 8 bits.
"""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import pydicom
import scipy.special
from pydicom import uid
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import Decoder, get_decoder

from serving import gdcm_decoder

# pydicom's complaints quote the values that they are about, which may be a patient's. Python's
# filters are shared by all threads, so that it is silenced here for good and not around calls.
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"pydicom\b")

_DAMAGED = "image data is damaged or cut short"
_NO_DICOM = "file is not a DICOM file"
_TOO_LARGE = "image is too large to be a film"
_UNSUPPORTED_PIXELS = "DICOM pixel format is not supported"
_UNSUPPORTED_SYNTAX = "DICOM transfer syntax is not supported"

_MOST_PIXELS = 100_000_000
_MOST_BYTES = 4 * _MOST_PIXELS
_META_START = 132
_PIXEL_DATA_TAG = b"\xe0\x7f\x10\x00"
_GREY = ("MONOCHROME1", "MONOCHROME2")

# Pillow refuses what is cut short, and cannot end the process as GDCM can.
_PILLOW = (uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.JPEG2000)
_NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
# Start-of-frame markers of JPEG (ITU-T T.81, table B.1) and of JPEG-LS.
_START_OF_FRAME = {*range(0xFFC0, 0xFFD0), 0xFFF7} - {0xFFC4, 0xFFC8, 0xFFCC}
_START_OF_JPEG_2000 = b"\xff\x4f\xff\x51"

# The share of pixels, at either end, that may be lost where no window is given.
_TAIL = 0.005


class DicomError(ValueError):
    """A file that holds no usable film; the message is the reason, in a few words.

    It never quotes the file, whose header tells of a patient.
    """


def is_dicom(data: bytes) -> bool:
    """Whether a file's bytes begin as DICOM's (PS3.10, 7.1)."""
    return data[128:_META_START] == b"DICM"


def read_header(file: BinaryIO, names: Sequence[str]) -> dict[str, str]:
    """Some values of a DICOM file's header; the pixels are not read.

    Args:
      file: at its beginning.
      names: DICOM's keywords, such as `PatientAge`.

    Returns:
      The first value of each, stripped; an empty string for what is absent or spoilt.

    Raises:
      DicomError: if it is not a DICOM file, or its header is damaged.
      OSError: if it cannot be read.
    """
    try:
        if not is_dicom(file.read(_META_START)):
            raise DicomError(_NO_DICOM)
        _check_deflated(file)
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(names))
        return {name: _text(header.get(name)) for name in names}
    except DicomError:
        raise
    except Exception as error:
        # pydicom raises OSErrors of its own for damage, without the system's number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DicomError(_DAMAGED) from None


def read_grey(data: bytes) -> np.ndarray:
    """Decode a DICOM film wholly.

    The stages, as PS3.3 has them:

    - Modality LUT, or rescale slope and intercept (C.11.1).
    - VOI LUT, or else the first window, by its function: linear, linear exact or sigmoid
      (C.11.2). Without any, a film of 8 bits is shown as it is, and any other from its darkest
      to its brightest pixel but for half a percent at each end, so that a burnt-in marker or a
      dead pixel does not set the contrast. Padding does not count (C.7.5.1.1.2).
    - MONOCHROME1 is turned over (C.7.6.3.1.2). Presentation LUT Shape says the same once more
      (C.8.11.3), and is not asked.

    Args:
      data: the file's bytes.

    Returns:
      Grey levels, uint8 [height, width], bone bright.

    Raises:
      DicomError: if the bytes hold no single grey film that can be decoded.
    """
    try:
        film = _read(data)
        return _show(_decode(film), film)
    except DicomError:
        raise
    # Damaged data makes pydicom and the decoders raise anything; their words may hold values of
    # the header.
    except Exception:
        raise DicomError(_DAMAGED) from None


# --- The file --------------------------------------------------------------------------------


def _read(data: bytes) -> pydicom.Dataset:
    if not is_dicom(data):
        raise DicomError(_NO_DICOM)
    file = io.BytesIO(data)
    _check_deflated(file)
    film = pydicom.dcmread(file)
    # Whose film it is may be encrypted with the rest, and the label with it.
    if "EncryptedAttributesSequence" in film:
        raise DicomError("DICOM file is encrypted")
    if "PixelData" not in film:
        # Compressed data without its end is not in the dataset.
        cut = _PIXEL_DATA_TAG in data
        raise DicomError(_DAMAGED if cut else "DICOM file has no pixel data")
    if film.Rows * film.Columns > _MOST_PIXELS:
        raise DicomError(_TOO_LARGE)
    if int(film.get("NumberOfFrames") or 1) > 1:
        raise DicomError("DICOM file has several frames")
    if film.SamplesPerPixel > 1 or film.PhotometricInterpretation not in _GREY:
        raise DicomError("DICOM file is in colour")
    # Anything else was retired long ago, and would come out as noise.
    top = film.BitsStored - 1
    if film.BitsAllocated not in (8, 16) or film.get("HighBit", top) != top:
        raise DicomError(_UNSUPPORTED_PIXELS)
    return film


def _check_deflated(file: BinaryIO) -> None:
    """A deflated file may be a thousand times as large when it is inflated, as pydicom does."""
    file.seek(_META_START)
    meta = read_dataset(
        file,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag.group != 2,
    )
    if meta.get("TransferSyntaxUID") == uid.DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(file.read(), _MOST_BYTES)
        if inflater.unconsumed_tail:
            raise DicomError(_TOO_LARGE)
    file.seek(0)


# --- Stored values ---------------------------------------------------------------------------


def _decoders() -> dict[uid.UID, Decoder]:
    decoders = {syntax: get_decoder(syntax) for syntax in (*_NATIVE, *_PILLOW, uid.RLELossless)}
    for syntax in map(uid.UID, gdcm_decoder.DECODER_DEPENDENCIES):
        # Another than pydicom's own decoder of the syntax, which is everybody's.
        decoders[syntax] = Decoder(syntax)
        decoders[syntax].add_plugin("gdcm", (gdcm_decoder.__name__, "decode_frame"))
    return decoders


_DECODERS = _decoders()


def _decode(film: pydicom.Dataset) -> np.ndarray:
    """The stored values, integers of 8 or 16 bits [height, width]."""
    syntax = film.file_meta.TransferSyntaxUID
    if syntax not in _DECODERS:
        raise DicomError(_UNSUPPORTED_SYNTAX)
    if syntax.is_encapsulated and syntax != uid.RLELossless:
        # Tables of where the frames begin help to find one of many, and may be wrong.
        for table in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            film.pop(table, None)
        _check_stream(get_frame(film.PixelData, 0, number_of_frames=1), film)
    plugin = "pillow" if syntax in _PILLOW else ""
    stored, _ = _DECODERS[syntax].as_array(film, index=0, decoding_plugin=plugin)
    return stored


def _check_stream(frame: bytes, film: pydicom.Dataset) -> None:
    """Whether the compressed data is of the size that the header promises.

    The decoders believe the data, which may claim any size, and allocate that.
    """
    rows, columns, components, precision = _stream_header(frame)
    fits = (rows, columns, components) == (film.Rows, film.Columns, 1)
    if not fits or precision > film.BitsAllocated:
        raise DicomError(_DAMAGED)


def _stream_header(frame: bytes) -> tuple[int, int, int, int]:
    """Rows, columns, components and bits, of a JPEG of any kind."""
    if frame.startswith(_START_OF_JPEG_2000):  # ITU-T T.800, A.5.1
        right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
        components, precision = struct.unpack_from(">HB", frame, 40)
        return bottom - top, right - left, components, (precision & 0x7F) + 1
    at = 2
    while True:  # until the frame's header, or the end of the data: a struct.error
        marker, length = struct.unpack_from(">HH", frame, at)
        if marker in _START_OF_FRAME:  # ITU-T T.81, B.2.2
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return rows, columns, components, precision
        at += 2 + length


# --- Grey levels -----------------------------------------------------------------------------


def _show(stored: np.ndarray, film: pydicom.Dataset) -> np.ndarray:
    lowest = int(stored.min())
    levels = np.arange(lowest, int(stored.max()) + 1)
    places = stored.astype(np.int32) - lowest
    values = _modality(levels, film)
    shown = _values_of_interest(values, film)
    if shown is None and _is_plain(film):
        shown = levels / 255
    if shown is None:
        counts = np.bincount(places.ravel(), minlength=levels.size)
        shown = _whole_range(values, np.where(_is_padding(levels, film), 0, counts))
    if film.PhotometricInterpretation == "MONOCHROME1":
        shown = 1 - shown
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)[places]


def _modality(levels: np.ndarray, film: pydicom.Dataset) -> np.ndarray:
    """PS3.3 C.11.1.1."""
    table = _table("ModalityLUTSequence", film, is_signed=film.PixelRepresentation == 1)
    if table is not None:
        return _look_up(levels, *table)
    slope, intercept = _rescale(film)
    if slope == 0:
        raise DicomError(_DAMAGED)
    return levels * slope + intercept


def _rescale(film: pydicom.Dataset) -> tuple[float, float]:
    slope, intercept = _first(film, "RescaleSlope"), _first(film, "RescaleIntercept")
    return 1.0 if slope is None else slope, intercept or 0.0


def _values_of_interest(values: np.ndarray, film: pydicom.Dataset) -> np.ndarray | None:
    """Shares of full brightness, by PS3.3 C.11.2.1; None if the film does not say."""
    table = _table("VOILUTSequence", film, is_signed=values.min() < 0)
    if table is not None:
        # The bits that the table uses. Tables that announce 16 bits and fill 12 are frequent,
        # and would come out black.
        bits = max(8, int(table[1].max()).bit_length())
        return _look_up(values, *table) / (2**bits - 1)
    center, width = _first(film, "WindowCenter"), _first(film, "WindowWidth")
    if center is None or width is None:
        return None
    return _window(values, center, width, _text(film.get("VOILUTFunction")).upper())


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray | None:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3; None for a width that it does not allow."""
    is_linear = function not in ("LINEAR_EXACT", "SIGMOID")
    if width < 1 if is_linear else width <= 0:
        return None
    if function == "SIGMOID":
        return scipy.special.expit(4 * (values - center) / width)
    if is_linear:
        center, width = center - 0.5, width - 1
    if width == 0:
        return (values > center).astype(np.float64)
    return np.clip((values - center) / width + 0.5, 0, 1)


def _is_plain(film: pydicom.Dataset) -> bool:
    """Whether the stored values are grey levels of 8 bits as they are."""
    return (
        (film.BitsStored, film.PixelRepresentation) == (8, 0)
        and _rescale(film) == (1.0, 0.0)
        and not film.get("ModalityLUTSequence")
    )


def _is_padding(levels: np.ndarray, film: pydicom.Dataset) -> np.ndarray:
    """PS3.3 C.7.5.1.1.2: one value, or all from it to a limit on either side."""
    padding = film.get("PixelPaddingValue")
    if padding is None:
        return np.zeros(levels.shape, bool)
    limit = film.get("PixelPaddingRangeLimit")
    low, high = sorted((padding, padding if limit is None else limit))
    return (levels >= low) & (levels <= high)


def _whole_range(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """From the darkest to the brightest pixel, but for a tail at each end."""
    order = np.argsort(values)
    present = order[counts[order] > 0]
    if not present.size:  # nothing but padding
        return np.zeros(values.shape)
    cumulative = np.cumsum(counts[present]) / counts.sum()
    low, high = (values[present[np.searchsorted(cumulative, q)]] for q in (_TAIL, 1 - _TAIL))
    if low == high:  # next to nothing but one level
        low, high = values[present[0]], values[present[-1]]
    return (values - low) / max(high - low, np.finfo(float).tiny)


# --- Values of the header --------------------------------------------------------------------


def _first(film: pydicom.Dataset, name: str) -> float | None:
    """The first of a header's numbers; None where it is absent, empty or no number."""
    value = _single(film.get(name))
    if value is None or value == "" or not math.isfinite(value):
        return None
    return float(value)


def _text(value: Any) -> str:
    """A header's text; empty where it is absent, or spoilt by control characters."""
    value = _single(value)
    text = "" if value is None else str(value).strip(" \0")
    return text if text.isprintable() else ""


def _single(value: Any) -> Any:
    """The first of several values."""
    if isinstance(value, MultiValue):
        return value[0] if value else None
    return value


def _table(name: str, film: pydicom.Dataset, *, is_signed: bool) -> tuple[int, np.ndarray] | None:
    """The first input value of a lookup table, and its entries.

    PS3.3 C.11.1.1.1 and C.11.2.1.1; whether the first input is signed depends on what goes in,
    which pydicom does not know.
    """
    item = next(iter(film.get(name) or ()), None)
    if item is None or not item.get("LUTDescriptor") or not item.get("LUTData"):
        return None
    length, first, _ = item.LUTDescriptor
    if is_signed and first >= 2**15:
        first -= 2**16
    length = length or 2**16
    entries = item.LUTData
    if isinstance(entries, bytes):
        # Entries of 8 bits stand two in a word, or one.
        wide = ">u2" if film.original_encoding[1] is False else "<u2"
        entries = np.frombuffer(entries, np.uint8 if len(entries) < 2 * length else wide)
    return first, np.atleast_1d(np.asarray(entries, np.int64))[:length]


def _look_up(values: np.ndarray, first: int, entries: np.ndarray) -> np.ndarray:
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, entries.size - 1)
    return entries[places]
