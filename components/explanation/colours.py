"""The colours of heat.

Those of the plasma map: perceptually uniform, and saturated from end to end, so that no heat can
be taken for the grey of bone, air or a marker on the film.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 256


def heat_colours() -> NDArray[np.uint8]:
    """RGB of heat 0, 1/255, ..., 1: uint8 [256, 3]."""
    levels = np.arange(LEVELS, dtype=np.uint8)[np.newaxis]
    return np.array(cv2.applyColorMap(levels, cv2.COLORMAP_PLASMA)[0, :, ::-1], np.uint8)


def blending_table(opacity: float) -> NDArray[np.uint8]:
    """What a grey pixel becomes under heat.

    Opacity is in proportion to heat: heat 0 leaves the film as it is, and only heat 1 covers it as
    much as `opacity` says.

    Args:
      opacity: of heat 1, on [0, 1].

    Returns:
      RGB by level of heat and grey level, uint8 [256, 256, 3].
    """
    alpha = opacity * np.linspace(0, 1, LEVELS)[:, np.newaxis, np.newaxis]
    grey = np.arange(LEVELS)[np.newaxis, :, np.newaxis]
    blended = grey * (1 - alpha) + heat_colours()[:, np.newaxis] * alpha
    return np.round(blended).astype(np.uint8)
