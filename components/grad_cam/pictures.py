"""The pictures of a case: the film, its heat, and both as one file that stands on its own.

In the colours that the exported model draws with, but at the film's own resolution: a report is
looked at closely, a server's answer is to be small.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from components.explanation.colours import LEVELS, blending_table, heat_colours

FOLDERS = ("films", "heat", "overlays")
MAX_SIDE = 768
# A heat map has few cells: a small picture holds it, and the browser draws it large.
_HEAT_SIDE = 96
_JPEG_QUALITY = 88
# Finer levels save a tenth of the bytes, and take twice as long.
_PNG_LEVEL = 1
_BOX_RGB = (0, 229, 255)  # cyan: in neither the film nor the colour map
_BAR_SHAPE = (8, 256)
_MID_GREY = 128
_PAPER, _INK = 18, 232

Boxes = Sequence[Sequence[float]]


def film_file(number: int) -> str:
    """Where the film of a case lies in the artifact."""
    return f"films/{number:04d}.jpg"


def heat_file(number: int) -> str:
    """Where its heat lies."""
    return f"heat/{number:04d}.png"


def overlay_file(number: int) -> str:
    """Where both lie as one picture."""
    return f"overlays/{number:04d}.png"


def read_film(encoded: bytes) -> NDArray[np.uint8]:
    """Decode a film for display, made smaller if it is longer than `MAX_SIDE`.

    Args:
      encoded: an 8-bit grey or RGB JPEG or PNG.

    Returns:
      uint8 [H, W], grey.

    Raises:
      ValueError: if it is not an image.
    """
    # TensorFlow shows the network the stored pixels, whatever EXIF says of their orientation.
    film = _decode(encoded, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
    scale = MAX_SIDE / max(film.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in film.shape)
        film = np.asarray(cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return film


def film_jpeg(film: NDArray[np.uint8]) -> bytes:
    """A film, uint8 [H, W], as a picture for the page."""
    _, encoded = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return encoded.tobytes()


def to_heat(cam: NDArray[np.float32], reference: float) -> NDArray[np.float32]:
    """A map as heat.

    Args:
      cam: float32 [h, w], at least 0.
      reference: the value of heat 1; 0 if all maps are empty.

    Returns:
      float32 [h, w] on [0, 1]; what exceeds the reference is 1.
    """
    if reference <= 0:
        return np.zeros_like(cam)
    return np.clip(cam / reference, 0, 1).astype(np.float32)


def heat_png(heat: NDArray[np.float32], shape: tuple[int, int]) -> bytes:
    """Heat as a layer that covers a film when it is drawn at the film's size.

    Args:
      heat: float32 [h, w] on [0, 1].
      shape: height and width of the film, of which the layer has the ratio.

    Returns:
      RGBA PNG: the colours at the opacity of their heat. Laid on the film at an opacity it gives
      what `lay_on` draws.
    """
    scale = _HEAT_SIDE / max(shape)
    smooth = _stretch(heat, (max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))))
    return _layer(smooth)


def lay_on(film: NDArray[np.uint8], heat: NDArray[np.float32], opacity: float) -> NDArray[np.uint8]:
    """Lay heat on a film.

    Args:
      film: uint8 [H, W].
      heat: float32 [h, w] on [0, 1], of any grid: it covers the whole film, as the network's
        square input does.
      opacity: of heat 1.

    Returns:
      uint8 [H, W, 3], RGB.
    """
    return _blending(opacity)[_levels(_stretch(heat, film.shape)), film]


def overlay_png(
    film: NDArray[np.uint8],
    heat: NDArray[np.float32],
    opacity: float,
    *,
    boxes: Boxes = (),
    ends: tuple[str, str],
) -> bytes:
    """Film and heat as a file that explains itself.

    Args:
      film: uint8 [H, W].
      heat: float32 [h, w] on [0, 1], see `lay_on`.
      opacity: of heat 1.
      boxes: x, y, width, height of known findings, as fractions of the film.
      ends: what the colour bar below the film says at its two ends, in ASCII.

    Returns:
      RGB PNG, as wide as the film and a little higher.
    """
    drawn = _draw_boxes(lay_on(film, heat, opacity), boxes)
    return _png(np.vstack([drawn, _legend(film.shape[1], ends, opacity)]))


def colour_bar_png() -> bytes:
    """Heat 0 to 1, left to right, as a layer like `heat_png`."""
    heat = np.tile(np.linspace(0, 1, _BAR_SHAPE[1], dtype=np.float32), (_BAR_SHAPE[0], 1))
    return _layer(heat)


def hottest_place(cam: NDArray[np.float32]) -> str:
    """Where the hottest cell lies, such as `upper left`, in thirds of the image.

    Left is the image's left, on a usual frontal film the patient's right. An empty map is hot
    `nowhere`.
    """
    if not cam.any():
        return "nowhere"
    row, column = np.unravel_index(int(np.argmax(cam)), cam.shape)
    vertical = _third((int(row) + 0.5) / cam.shape[0], ("upper", "middle", "lower"))
    horizontal = _third((int(column) + 0.5) / cam.shape[1], ("left", "centre", "right"))
    return f"{vertical} {horizontal}"


def _decode(encoded: bytes, flags: int) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if image is None:
        raise ValueError("the film is not a readable JPEG or PNG")
    return np.asarray(image, np.uint8)


def _stretch(heat: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _levels(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(heat * (LEVELS - 1)).astype(np.uint8)


def _layer(heat: NDArray[np.float32]) -> bytes:
    """Its colours, each as opaque as it is hot, as RGBA PNG."""
    levels = _levels(heat)
    return _png(np.dstack([heat_colours()[levels], levels]))


@functools.cache
def _blending(opacity: float) -> NDArray[np.uint8]:
    return blending_table(opacity)


def _draw_boxes(picture: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    line = max(2, round(max(height, width) / 256))
    for x, y, w, h in boxes:
        top_left = (round(x * width), round(y * height))
        bottom_right = (round((x + w) * width) - 1, round((y + h) * height) - 1)
        # A thin dark rim around the line, or it would be lost on a bright film.
        cv2.rectangle(picture, top_left, bottom_right, color=(0, 0, 0), thickness=line + 1)
        cv2.rectangle(picture, top_left, bottom_right, color=_BOX_RGB, thickness=line)
    return picture


def _legend(width: int, ends: tuple[str, str], opacity: float) -> NDArray[np.uint8]:
    """A colour bar with a caption at each end, uint8 [h, width, 3]."""
    size = min(1.0, width / 640)
    text = max(1, round(24 * size))
    legend = np.full((3 * text, width, 3), _PAPER, np.uint8)
    margin = text // 2
    heat = np.tile(np.linspace(0, 1, width - 2 * margin, dtype=np.float32), (text, 1))
    grey = np.full(heat.shape, _MID_GREY, np.uint8)
    legend[margin : margin + text, margin : width - margin] = lay_on(grey, heat, opacity)
    font, ink = cv2.FONT_HERSHEY_SIMPLEX, (_INK, _INK, _INK)
    base = legend.shape[0] - margin
    (right, _), _ = cv2.getTextSize(ends[1], font, 0.6 * size, 1)
    for caption, left in ((ends[0], margin), (ends[1], width - margin - right)):
        cv2.putText(legend, caption, (left, base), font, 0.6 * size, ink, 1, cv2.LINE_AA)
    return legend


def _png(image: NDArray[np.uint8]) -> bytes:
    order = cv2.COLOR_RGBA2BGRA if image.shape[-1] == 4 else cv2.COLOR_RGB2BGR
    parameters = [cv2.IMWRITE_PNG_COMPRESSION, _PNG_LEVEL]
    _, encoded = cv2.imencode(".png", cv2.cvtColor(image, order), parameters)
    return encoded.tobytes()


def _third(fraction: float, names: tuple[str, str, str]) -> str:
    return names[min(2, int(fraction * 3))]
