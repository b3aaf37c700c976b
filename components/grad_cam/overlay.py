"""Heat maps on films.

The colours are those of the plasma map: perceptually uniform, and saturated from end to end, so
that no heat can be taken for the grey of bone, air or a marker on the film.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 512
_REFERENCE_PERCENTILE = 99.0
_BOX_RGB = (0, 229, 255)  # cyan: in neither the film nor the colour map
_BAR_SHAPE = (8, 256)
_MID_GREY = 128


def read_film(encoded: bytes, max_side: int = MAX_SIDE) -> NDArray[np.uint8]:
    """Decode a film for display.

    Args:
      encoded: an 8-bit grey or RGB JPEG or PNG.
      max_side: a longer film is made smaller, keeping its aspect ratio.

    Returns:
      uint8 [H, W], grey.

    Raises:
      ValueError: if it is not an image.
    """
    # TensorFlow shows the network the stored pixels, whatever EXIF says of their orientation.
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    film = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if film is None:
        raise ValueError("the film is not a readable JPEG or PNG")
    scale = max_side / max(film.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in film.shape)
        film = cv2.resize(film, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(film, np.uint8)


def reference_scale(maps: NDArray[np.float32]) -> float:
    """The value that a report draws in its hottest colour, the same for all of its films.

    Stretching each map to its own maximum would blow up the faint map of a normal film until it
    looks like a finding. One scale for all keeps it faint.

    Args:
      maps: float32 [N, h, w], at least 0.

    Returns:
      The 99th percentile of all cells, so that one extreme cell does not dim all others; the
      maximum where so few cells are positive that the percentile is 0.
    """
    return float(np.percentile(maps, _REFERENCE_PERCENTILE)) or float(np.max(maps))


def to_heat(cam: NDArray[np.float32], reference: float) -> NDArray[np.float32]:
    """A map as heat.

    Args:
      cam: float32 [h, w], at least 0.
      reference: the value of heat 1, see `reference_scale`; 0 if all maps are empty.

    Returns:
      float32 [h, w] on [0, 1]; what exceeds the reference is 1.
    """
    if reference <= 0:
        return np.zeros_like(cam)
    return np.clip(cam / reference, 0, 1).astype(np.float32)


def draw_overlay(
    film: NDArray[np.uint8],
    heat: NDArray[np.float32],
    *,
    opacity: float,
    boxes: Sequence[Sequence[float]] = (),
) -> NDArray[np.uint8]:
    """Lay heat on a film.

    Args:
      film: uint8 [H, W].
      heat: float32 [h, w] on [0, 1], of any grid: it covers the whole film, as the network's
        square input does.
      opacity: of heat 1. A colder place is more transparent in proportion: heat 0 leaves the
        film as it is.
      boxes: x, y, width, height of known findings, as fractions of the film.

    Returns:
      uint8 [H, W, 3], RGB.
    """
    height, width = film.shape
    smooth = cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR)
    blended = _blend(film, np.asarray(smooth, np.float32), opacity)
    line = max(2, round(max(film.shape) / 256))
    for x, y, w, h in boxes:
        top_left = (round(x * width), round(y * height))
        bottom_right = (round((x + w) * width) - 1, round((y + h) * height) - 1)
        # A thin dark rim around the line, or it would be lost on a bright film.
        cv2.rectangle(blended, top_left, bottom_right, color=(0, 0, 0), thickness=line + 1)
        cv2.rectangle(blended, top_left, bottom_right, color=_BOX_RGB, thickness=line)
    return blended


def draw_colour_bar(opacity: float) -> NDArray[np.uint8]:
    """The legend: heat 0 to 1, left to right, as it looks on a mid grey film.

    Returns:
      uint8 [8, 256, 3], RGB.
    """
    heat = np.tile(np.linspace(0, 1, _BAR_SHAPE[1], dtype=np.float32), (_BAR_SHAPE[0], 1))
    return _blend(np.full(_BAR_SHAPE, _MID_GREY, np.uint8), heat, opacity)


def to_png(image: NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W] grey or [H, W, 3] RGB as PNG."""
    ordered = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    return encoded.tobytes()


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


def _blend(film: NDArray[np.uint8], heat: NDArray[np.float32], opacity: float) -> NDArray[np.uint8]:
    levels = np.round(heat * 255).astype(np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA), cv2.COLOR_BGR2RGB)
    alpha = (opacity * heat)[..., np.newaxis]
    blended = film[..., np.newaxis] * (1 - alpha) + colours * alpha
    return np.round(blended).astype(np.uint8)


def _third(fraction: float, names: tuple[str, str, str]) -> str:
    return names[min(2, int(fraction * 3))]
