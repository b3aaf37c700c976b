"""Opening an image file: is it sound, what does it tell, and which bytes go into the Example.

What goes into the Example as it is, TensorFlow decodes, as the served graph will: it refuses files
that Pillow and OpenCV would take, such as a PNG cut short by a few bytes. The rest is
`serving.dicom_image`'s and `serving.raster_image`'s, which the clients of a served model share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import PIL.Image
import tensorflow as tf

from components.example_gen.images.bad_image import BadImageError
from components.example_gen.images.polarity import polarity
from components.example_gen.record import ImageFacts
from serving import dicom_image, raster_image

_GREY = {"1", "L", "LA"} | raster_image.SIXTEEN_BIT
_BLACK = 8
_FRAME_SHARE = 0.05
_COMMON_SIZE = 256


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
    with _refusals():
        if dicom_image.is_dicom(data):
            grey = dicom_image.read_grey(data)
            return grey, _facts(data, "DICOM", grey, colour=0.0)
        with raster_image.open_raster(data) as image:
            grey = _grey(image, data)
            return grey, _facts(data, image.format or "", grey, _colour(image))


def servable_bytes(data: bytes) -> bytes:
    """The bytes for the Example.

    Args:
      data: the bytes of a file that `read_image` took.

    Returns:
      As `raster_image.servable_bytes`; DICOM is rewritten likewise.
    """
    with _refusals():
        if dicom_image.is_dicom(data):
            return raster_image.encode_grey(dicom_image.read_grey(data))
        return raster_image.servable_bytes(data)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (dicom_image.DicomError, raster_image.RasterError) as error:
        # Without its causes, whose words may hold values of a DICOM file's header.
        raise BadImageError(str(error)) from None


def _grey(image: PIL.Image.Image, data: bytes) -> np.ndarray:
    if not raster_image.is_servable(image, data):
        return raster_image.read_grey(image, data)
    try:
        return tf.io.decode_image(data, channels=1, expand_animations=False).numpy()[..., 0]
    except Exception as error:
        raise BadImageError(raster_image.DAMAGED) from error


def _colour(image: PIL.Image.Image) -> float:
    if image.mode in _GREY:
        return 0.0
    try:
        image.draft("RGB", (_COMMON_SIZE, _COMMON_SIZE))  # a JPEG is decoded small, and fast
        pixels = np.asarray(image.convert("RGB"))
    except Exception as error:
        raise BadImageError(raster_image.DAMAGED) from error
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
