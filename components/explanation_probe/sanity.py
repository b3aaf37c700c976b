"""Whether maps change when the network forgets what it learnt.

Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, arXiv:1810.03292: weights are
randomised from the head downwards, and the maps before and after are compared by Spearman's rank
correlation and by SSIM (Wang et al., "Image Quality Assessment", IEEE TIP 2004). A map that stays
as it was shows the film, or the architecture, and not what the model learnt.

How alike two maps are anyway is told by the maps of different films.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from components.explanation_probe.boxes import enlarge

# The maps of a network that learnt nothing may have less than this in common with the model's:
# a quarter of the variance of their ranks.
MOST_ALIKE = 0.5

# Wang et al.: a Gaussian window with this deviation at 128 pixels, and constants for a range of 1.
_WINDOW = 1.5
_C1, _C2 = 0.01**2, 0.03**2

# Two maps of one grid, float [h, w], to how alike they are, at most 1.
Similarity = Callable[[NDArray[np.floating], NDArray[np.floating]], float]


def rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Spearman's, of the cells of two maps of one shape; of a map without contrast it is 0."""
    ranks = [rankdata(each, axis=None) for each in (one, other)]
    deviations = [each - each.mean() for each in ranks]
    scale = np.sqrt(np.prod([np.square(each).sum() for each in deviations]))
    return float((deviations[0] * deviations[1]).sum() / scale) if scale > 0 else 0.0


def ssim(one: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Structural similarity of two maps, each as a share of its own maximum, on the raster."""
    x, y = (_to_unit(enlarge(each)) for each in (one, other))
    mean_x, mean_y = _smooth(x), _smooth(y)
    variance_x = _smooth(x * x) - mean_x**2
    variance_y = _smooth(y * y) - mean_y**2
    covariance = _smooth(x * y) - mean_x * mean_y
    similarity = ((2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    )
    return float(similarity.mean())


def between_films(maps: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """The rank correlation of each map with the next one's, the last one's with the first one's.

    Args:
      maps: of different films, float [h, w] each.

    Returns:
      float64 [N].
    """
    return np.array(
        [rank_correlation(one, maps[(n + 1) % len(maps)]) for n, one in enumerate(maps)]
    )


def _to_unit(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    highest = float(pixels.max())
    return pixels.astype(np.float64) / highest if highest > 0 else np.zeros(pixels.shape)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    smooth = cv2.GaussianBlur(values, (11, 11), _WINDOW, borderType=cv2.BORDER_REFLECT)
    return smooth.astype(np.float64, copy=False)
