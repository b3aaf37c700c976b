"""The heat of a map: one scale for all images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PERCENTILE = 99.0


def fit_references(maps: NDArray[np.float32]) -> tuple[float, ...]:
    """The value of each output that is drawn in the hottest colour, on every image.

    To stretch each map to its own maximum would blow up the faint map of a normal film until it
    looks like a finding. One scale for all keeps it faint.

    Args:
      maps: of N images, float32 [N, K, h, w], at least 0, in logits.

    Returns:
      For each output the 99th percentile of all cells, so that one extreme cell does not dim all
      others; the maximum where so few cells are positive that the percentile is 0; and 0 where
      none is.
    """
    cells = np.moveaxis(maps, 1, 0).reshape(maps.shape[1], -1)
    return tuple(float(np.percentile(x, _PERCENTILE)) or float(x.max()) for x in cells)
