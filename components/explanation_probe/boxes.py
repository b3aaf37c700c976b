"""Where experts drew boxes, on a raster of the film.

Positions are fractions of the film's width and height. The network sees the film squeezed into a
square, which leaves such fractions as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

# x, y, width and height, from the upper left corner.
Box = tuple[float, float, float, float]

# Maps of any grid, and boxes, are compared on so many pixels a side.
RASTER = 128


def box_mask(
    boxes: Sequence[Box], shape: tuple[int, int] = (RASTER, RASTER), *, tolerance: float = 0.0
) -> NDArray[np.bool_]:
    """Which pixels of a grid have their centre in any of the boxes, or close to one.

    Args:
      boxes: of one film.
      shape: rows and columns of the grid.
      tolerance: how far beside a box is still close, as a fraction of the film's sides.

    Returns:
      bool [rows, columns].
    """
    rows, columns = shape
    y = ((np.arange(rows) + 0.5) / rows)[:, np.newaxis]
    x = ((np.arange(columns) + 0.5) / columns)[np.newaxis, :]
    inside = np.zeros(shape, bool)
    for left, top, width, height in boxes:
        beside_x = np.maximum(np.maximum(left - x, x - left - width), 0)
        beside_y = np.maximum(np.maximum(top - y, y - top - height), 0)
        inside |= np.hypot(beside_x, beside_y) <= tolerance
    return inside


def enlarge(heat: NDArray[np.floating], side: int = RASTER) -> NDArray[np.float32]:
    """A map on the raster, linear between the centres of its cells.

    Args:
      heat: float [h, w].
      side: of the raster, in pixels.

    Returns:
      float32 [side, side].
    """
    pixels = cv2.resize(heat.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    return pixels.astype(np.float32, copy=False)
