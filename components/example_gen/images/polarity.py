"""Is it a film, or the negative of one?

On a film bone and soft tissue are bright, and the lungs and the air around the body dark. The
correlation of an image with a plain drawing of that was above 0.1 for 5,232 pediatric films, and
above -0.16 for 1,409 of 1,412 NIH films. The other three are two negatives and a pelvis.
"""

from __future__ import annotations

import cv2
import numpy as np

_SIZE = 16
_BLACK = 16
_SMALLEST = 8


def polarity(grey: np.ndarray) -> float:
    """How well the image goes with a drawing of a frontal chest film.

    A collimated film is judged within its black frame.

    Args:
      grey: uint8 [height, width].

    Returns:
      Pearson's correlation with the drawing, on [-1, 1]; that of the negative has the opposite
      sign. 0 for an image without contrast.
    """
    small = cv2.resize(_within_frame(grey), (_SIZE, _SIZE), interpolation=cv2.INTER_AREA)
    levels = small.astype(np.float64)
    if not levels.std():
        return 0.0
    return float(np.corrcoef(levels.ravel(), _DRAWING.ravel())[0, 1])


def _within_frame(grey: np.ndarray) -> np.ndarray:
    bright = cv2.resize(grey, (128, 128), interpolation=cv2.INTER_AREA) > _BLACK
    sides = []
    for axis, length in ((1, grey.shape[0]), (0, grey.shape[1])):
        # A tenth, so that a letter burnt into the frame is not taken for the film.
        (inside,) = np.nonzero(bright.mean(axis) > 0.1)
        if inside.size < _SMALLEST:
            return grey
        sides.append(slice(inside[0] * length // 128, -(-(inside[-1] + 1) * length // 128)))
    return grey[tuple(sides)]


def _drawing() -> np.ndarray:
    """Bright spine and heart in the middle and belly below; dark lungs, and air beside the neck."""
    y, x = np.mgrid[-1 : 1 : _SIZE * 1j, -1 : 1 : _SIZE * 1j]
    middle = np.exp(-((x / 0.18) ** 2))
    lungs = np.exp(-(((np.abs(x) - 0.5) / 0.22) ** 2 + ((y + 0.15) / 0.5) ** 2))
    air = (np.abs(x) > 0.9) & (y < 0)
    belly = (np.abs(x) < 0.8) & (y > 0.6)
    return middle - lungs - 0.8 * air + 0.5 * belly


_DRAWING = _drawing()
