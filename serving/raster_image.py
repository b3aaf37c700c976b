"""Opening a film that is no DICOM file: PNG, JPEG, and the formats that are rewritten as PNG.

A model decodes its images by `tf.io.decode_image`, which turns none as its EXIF data ask, cuts
16 bits to the upper 8, so that a film of 12 is nearly black, and weighs the colours of a palette
in its own way. What it would read so is rewritten here, for training and for clients alike: a
model sees the same pixels of a file as it would have seen in training.
"""

from __future__ import annotations

import io

import cv2
import numpy as np
import PIL.ExifTags
import PIL.Image

# What `tf.io.decode_image` takes as it is, in 8 bits: format and Pillow's mode.
_SERVABLE = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}
# Those in which films come; MPO goes with JPEG. Pillow knows more, and hands one of them, EPS, to
# another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
# Pillow's modes of more than 8 bits.
SIXTEEN_BIT = frozenset({"I", "I;16", "I;16B", "I;16L"})
# What makes an image upright, by its EXIF orientation.
_TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
# Where a PNG file has them: EXIF, XMP, and EXIF as ImageMagick writes it.
_EXIF_IN_PNG = (b"eXIf", b"XML:com.adobe.xmp", b"Raw profile type")
_MOST_PIXELS = 100_000_000
DAMAGED = "image data is damaged or cut short"
# Pillow's own limit warns through a filter that threads share; ours is checked on every image.
PIL.Image.MAX_IMAGE_PIXELS = None


class RasterError(ValueError):
    """A file that holds no usable film; the message is the reason, in a few words."""


class NoImageError(RasterError):
    """A file that does not begin as an image."""


def open_raster(data: bytes) -> PIL.Image.Image:
    """Open an image file; its pixels are not decoded.

    Args:
      data: the file's bytes: JPEG, PNG, TIFF, BMP, GIF or WebP.

    Raises:
      NoImageError: if it is none of them.
      RasterError: if it is too large to be a film, or holds several frames.
    """
    if not data:
        raise NoImageError("file is empty")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=_FORMATS)
    except Exception as error:  # of many kinds for a header that is damaged
        raise NoImageError("file is not an image") from error
    if image.width * image.height > _MOST_PIXELS:
        raise RasterError("image is too large to be a film")
    if image.mode == "F":
        raise RasterError("grey levels without a scale (floating point)")
    # The second frame of an MPO is another view of the same photograph.
    if image.format != "MPO" and _frames(image) > 1:
        raise RasterError("image of several frames")
    return image


def is_servable(image: PIL.Image.Image, data: bytes) -> bool:
    """Whether a model reads a file rightly: an upright 8-bit grey or RGB JPEG or PNG.

    Args:
      image: the file, opened.
      data: its bytes.
    """
    return (image.format, image.mode) in _SERVABLE and _turn(image, data) is None


def read_grey(image: PIL.Image.Image, data: bytes) -> np.ndarray:
    """Decode what is not servable.

    Args:
      image: the file, opened.
      data: its bytes.

    Returns:
      Grey levels, uint8 [height, width], upright.

    Raises:
      RasterError: if the pixels are damaged.
    """
    try:
        turn = _turn(image, data)
        upright = image if turn is None else image.transpose(turn)
        if upright.mode in SIXTEEN_BIT:
            return _eight_bit(np.asarray(upright))
        return np.asarray(upright.convert("L"))
    # The decoders raise many kinds for damaged data: OSError, SyntaxError ...
    except Exception as error:
        raise RasterError(DAMAGED) from error


def servable_bytes(data: bytes) -> bytes:
    """The bytes that a model is given.

    Args:
      data: of an image file, see `open_raster`.

    Returns:
      `data` itself where it is servable; otherwise (RGBA, palette, 16-bit, CMYK, turned by EXIF,
      other formats) the image rewritten as an upright 8-bit grey PNG.

    Raises:
      RasterError: if it cannot be opened, or must be rewritten and is damaged.
    """
    with open_raster(data) as image:
        return data if is_servable(image, data) else encode_grey(read_grey(image, data))


def encode_grey(levels: np.ndarray) -> bytes:
    """Grey levels, uint8 [height, width], as a PNG."""
    return cv2.imencode(".png", levels)[1].tobytes()


def _frames(image: PIL.Image.Image) -> int:
    try:
        return getattr(image, "n_frames", 1)
    except Exception as error:  # counting reads on, and meets what is damaged
        raise RasterError(DAMAGED) from error


def _turn(image: PIL.Image.Image, data: bytes) -> PIL.Image.Transpose | None:
    # Pillow would decode a whole PNG to look for EXIF data behind it.
    if image.format == "PNG" and not any(mark in data for mark in _EXIF_IN_PNG):
        return None
    try:
        return _TURNS.get(image.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF data that are damaged; the pixels need not be
        return None


def _eight_bit(levels: np.ndarray) -> np.ndarray:
    """Grey levels of more bits as uint8; films have 10, 12 or 14 as well as 16."""
    levels = np.clip(levels, 0, 65_535)
    depth = next(bits for bits in (8, 10, 12, 14, 16) if levels.max() < 2**bits)
    return (levels >> (depth - 8)).astype(np.uint8)
