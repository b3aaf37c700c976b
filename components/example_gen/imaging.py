"""Opening an image file: is it sound, what does it tell, and which bytes go into the Example.

Pillow tells what a file is. What goes into the Example as it is, TensorFlow decodes, as the
served graph will: it refuses files that Pillow and OpenCV would take, such as a PNG cut short by
a few bytes. The other formats are Pillow's.
"""

from __future__ import annotations

import hashlib
import io

import cv2
import numpy as np
import PIL.Image
import tensorflow as tf

from components.example_gen.record import ImageFacts

# What `tf.io.decode_image` takes as it is, in 8 bits: format and Pillow's mode.
_SERVABLE = {("JPEG", "L"), ("JPEG", "RGB"), ("PNG", "L"), ("PNG", "RGB")}
_SIXTEEN_BIT = {"I", "I;16", "I;16B", "I;16L"}
_BLACK = 8
_FRAME_SHARE = 0.05
_SHARPNESS_SIZE = 256
_MAX_PIXELS = 100_000_000
# Pillow's own limit warns through a filter that threads share; ours is checked on every image.
PIL.Image.MAX_IMAGE_PIXELS = None


class BadImageError(ValueError):
    """A file that holds no usable image; the message is the reason, in a few words."""


def read_image(data: bytes) -> tuple[np.ndarray, ImageFacts]:
    """Decode an image file wholly.

    Args:
      data: the file's bytes, in any format that Pillow knows.

    Returns:
      Its grey levels, uint8 [height, width], and what they tell.

    Raises:
      BadImageError: if it is no image, is cut short, or is too large to be a film.
    """
    with _open(data) as image:
        grey = _grey(image, data)
        return grey, _facts(data, image.format or "", grey)


def servable_bytes(data: bytes) -> bytes:
    """The bytes for the Example.

    Args:
      data: the bytes of a file that `read_image` took.

    Returns:
      `data` itself where it is an 8-bit grey or RGB JPEG or PNG; otherwise (RGBA, palette,
      16-bit, CMYK, other formats) the image rewritten as an 8-bit grey PNG.
    """
    with _open(data) as image:
        if _is_servable(image):
            return data
        grey = _grey(image, data)
    return cv2.imencode(".png", grey)[1].tobytes()


def _open(data: bytes) -> PIL.Image.Image:
    if not data:
        raise BadImageError("file is empty")
    try:
        image = PIL.Image.open(io.BytesIO(data))
    except (OSError, ValueError, SyntaxError) as error:
        raise BadImageError("file is not an image") from error
    if image.width * image.height > _MAX_PIXELS:
        raise BadImageError("image is too large to be a film")
    return image


def _is_servable(image: PIL.Image.Image) -> bool:
    return (image.format, image.mode) in _SERVABLE


def _grey(image: PIL.Image.Image, data: bytes) -> np.ndarray:
    try:
        if _is_servable(image):
            pixels = tf.io.decode_image(data, channels=1, expand_animations=False)
            return pixels.numpy()[..., 0]
        if image.mode in _SIXTEEN_BIT:
            return (np.clip(np.asarray(image, np.int64), 0, 65_535) // 257).astype(np.uint8)
        return np.asarray(image.convert("L"))
    # The decoders raise many kinds for damaged data: OSError, SyntaxError, tf.errors ...
    except Exception as error:
        raise BadImageError("image data is damaged or cut short") from error


def _facts(data: bytes, image_format: str, grey: np.ndarray) -> ImageFacts:
    height, width = grey.shape
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
        sharpness=_sharpness(grey),
    )


def _black_border(grey: np.ndarray) -> float:
    height, width = grey.shape
    rows, columns = max(1, round(height * _FRAME_SHARE)), max(1, round(width * _FRAME_SHARE))
    frame = np.ones(grey.shape, bool)
    frame[rows : height - rows, columns : width - columns] = False
    return float(np.mean(grey[frame] <= _BLACK))


def _sharpness(grey: np.ndarray) -> float:
    small = cv2.resize(grey, (_SHARPNESS_SIZE, _SHARPNESS_SIZE), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(small.astype(np.float32) / 255.0, cv2.CV_32F).var())
