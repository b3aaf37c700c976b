"""Opening an image file: is it sound, what does it tell, and which bytes go into the Example.

Pillow tells what a file is. What goes into the Example as it is, TensorFlow decodes, as the
served graph will: it refuses files that Pillow and OpenCV would take, such as a PNG cut short by
a few bytes. DICOM is `serving.dicom_image`'s, which the clients of a served model share, and the
other formats are Pillow's.
"""

from __future__ import annotations

import hashlib
import io

import cv2
import numpy as np
import PIL.ExifTags
import PIL.Image
import tensorflow as tf

from components.example_gen.images.bad_image import BadImageError
from components.example_gen.images.polarity import polarity
from components.example_gen.record import ImageFacts
from serving import dicom_image

# What `tf.io.decode_image` takes as it is, in 8 bits: format and Pillow's mode.
_SERVABLE = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}
# Those in which films come; MPO goes with JPEG. Pillow knows more, and hands one of them, EPS, to
# another program.
_FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
_GREY = {"1", "L", "LA"}
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L"}
_BLACK = 8
_FRAME_SHARE = 0.05
_COMMON_SIZE = 256
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
_MAX_PIXELS = 100_000_000
_DAMAGED = "image data is damaged or cut short"
# Pillow's own limit warns through a filter that threads share; ours is checked on every image.
PIL.Image.MAX_IMAGE_PIXELS = None


def read_image(data: bytes) -> tuple[np.ndarray, ImageFacts]:
    """Decode an image file wholly.

    Args:
      data: the file's bytes: DICOM, JPEG, PNG, TIFF, BMP, GIF or WebP.

    Returns:
      Its grey levels, uint8 [height, width], and what they tell.

    Raises:
      BadImageError: if it is no image, is cut short, is too large to be a film, or holds several
        frames.
    """
    if dicom_image.is_dicom(data):
        grey = _dicom(data)
        return grey, _facts(data, "DICOM", grey, colour=0.0)
    with _open(data) as image:
        grey = _grey(image, data)
        return grey, _facts(data, image.format or "", grey, _colour(image))


def servable_bytes(data: bytes) -> bytes:
    """The bytes for the Example.

    Args:
      data: the bytes of a file that `read_image` took.

    Returns:
      `data` itself where it is an upright 8-bit grey or RGB JPEG or PNG; otherwise (RGBA, palette,
      16-bit, CMYK, turned by EXIF, DICOM, other formats) the image rewritten as an upright 8-bit
      grey PNG.
    """
    if dicom_image.is_dicom(data):
        grey = _dicom(data)
    else:
        with _open(data) as image:
            if _is_servable(image, data):
                return data
            grey = _grey(image, data)
    return cv2.imencode(".png", grey)[1].tobytes()


def _dicom(data: bytes) -> np.ndarray:
    try:
        return dicom_image.read_grey(data)
    except dicom_image.DicomError as error:
        # Without its causes, whose words may hold values of the header.
        raise BadImageError(str(error)) from None


def _open(data: bytes) -> PIL.Image.Image:
    if not data:
        raise BadImageError("file is empty")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=_FORMATS)
    except Exception as error:  # of many kinds for a header that is damaged
        raise BadImageError("file is not an image") from error
    if image.width * image.height > _MAX_PIXELS:
        raise BadImageError("image is too large to be a film")
    if image.mode == "F":
        raise BadImageError("grey levels without a scale (floating point)")
    # The second frame of an MPO is another view of the same photograph.
    if image.format != "MPO" and _frames(image) > 1:
        raise BadImageError("image of several frames")
    return image


def _frames(image: PIL.Image.Image) -> int:
    try:
        return getattr(image, "n_frames", 1)
    except Exception as error:  # counting reads on, and meets what is damaged
        raise BadImageError(_DAMAGED) from error


def _is_servable(image: PIL.Image.Image, data: bytes) -> bool:
    # TensorFlow's decoder does not turn an image as its EXIF data ask.
    return (image.format, image.mode) in _SERVABLE and _turn(image, data) is None


def _turn(image: PIL.Image.Image, data: bytes) -> PIL.Image.Transpose | None:
    # Pillow would decode a whole PNG to look for EXIF data behind it.
    if image.format == "PNG" and not any(mark in data for mark in _EXIF_IN_PNG):
        return None
    try:
        return _TURNS.get(image.getexif().get(PIL.ExifTags.Base.Orientation, 1))
    except Exception:  # EXIF data that are damaged; the pixels need not be
        return None


def _grey(image: PIL.Image.Image, data: bytes) -> np.ndarray:
    try:
        if _is_servable(image, data):
            pixels = tf.io.decode_image(data, channels=1, expand_animations=False)
            return pixels.numpy()[..., 0]
        turn = _turn(image, data)
        upright = image if turn is None else image.transpose(turn)
        if upright.mode in _SIXTEEN_BIT:
            return _eight_bit(np.asarray(upright))
        return np.asarray(upright.convert("L"))
    # The decoders raise many kinds for damaged data: OSError, SyntaxError, tf.errors ...
    except Exception as error:
        raise BadImageError(_DAMAGED) from error


def _eight_bit(levels: np.ndarray) -> np.ndarray:
    """Grey levels of more bits as uint8; films have 10, 12 or 14 as well as 16."""
    levels = np.clip(levels, 0, 65_535)
    depth = next(bits for bits in (8, 10, 12, 14, 16) if levels.max() < 2**bits)
    return (levels >> (depth - 8)).astype(np.uint8)


def _colour(image: PIL.Image.Image) -> float:
    if image.mode in _GREY or image.mode in _SIXTEEN_BIT:
        return 0.0
    try:
        image.draft("RGB", (_COMMON_SIZE, _COMMON_SIZE))  # a JPEG is decoded small, and fast
        pixels = np.asarray(image.convert("RGB"))
    except Exception as error:
        raise BadImageError(_DAMAGED) from error
    small = cv2.resize(pixels, (_COMMON_SIZE, _COMMON_SIZE), interpolation=cv2.INTER_AREA)
    return float((small.max(2) - small.min(2)).mean() / 255.0)


def _facts(data: bytes, image_format: str, grey: np.ndarray, colour: float) -> ImageFacts:
    height, width = grey.shape
    small = cv2.resize(grey, (_COMMON_SIZE, _COMMON_SIZE), interpolation=cv2.INTER_AREA)
    # A histogram gives the moments and percentiles in one pass over millions of pixels.
    counts = cv2.calcHist([grey], [0], None, [256], [0, 256]).ravel().astype(np.float64)
    levels = np.arange(256) / 255.0
    mean = float(counts @ levels / grey.size)
    cumulative = np.cumsum(counts) / grey.size
    p01, p99 = (float(levels[np.searchsorted(cumulative, q)]) for q in (0.01, 0.99))
    return ImageFacts(
        sha256=hashlib.sha256(data).hexdigest(),
        format=image_format,
        height=height,
        width=width,
        file_bytes=len(data),
        mean=mean,
        std=float(np.sqrt(counts @ (levels - mean) ** 2 / grey.size)),
        p01=p01,
        p99=p99,
        black_border=_black_border(grey),
        sharpness=float(cv2.Laplacian(small.astype(np.float32) / 255.0, cv2.CV_32F).var()),
        colour=colour,
        polarity=polarity(small),
    )


def _black_border(grey: np.ndarray) -> float:
    height, width = grey.shape
    rows, columns = max(1, round(height * _FRAME_SHARE)), max(1, round(width * _FRAME_SHARE))
    frame = np.ones(grey.shape, bool)
    frame[rows : height - rows, columns : width - columns] = False
    return float(np.mean(grey[frame] <= _BLACK))
