"""What may become of a film on its way to a model: worse images of the same lungs.

In the spirit of Hendrycks and Dietterich (2019), "Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations". Films come in many sizes, and the network sees all of them at one;
so blur and grain are measured in pixels of an image of 224 a side, as theirs are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Film = NDArray[np.uint8]

# Decoding is all that these files are for.
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_REFERENCE_SIDE = 224


@dataclasses.dataclass(frozen=True)
class Corruption:
    """One way for a film to become worse.

    Attributes:
      name: in words.
      level: what its levels are.
      levels: of severity 1, 2 and 3.
      encode: a film, a level and the source of chance to the file of the worse film.
    """

    name: str
    level: str
    levels: tuple[float, float, float]
    encode: Callable[[Film, float, np.random.Generator], bytes]

    def __call__(self, film: Film, severity: int, rng: np.random.Generator) -> bytes:
        """The file of the film, made worse.

        Args:
          film: uint8 [height, width].
          severity: 1, 2 or 3.
          rng: the source of chance.

        Returns:
          A PNG, or the JPEG that did it.
        """
        return self.encode(film, self.levels[severity - 1], rng)


def _contrast(film: Film, factor: float, _: np.random.Generator) -> bytes:
    mean = film.mean()
    return _png((film - mean) * factor + mean)


def _brightness(film: Film, added: float, _: np.random.Generator) -> bytes:
    return _png(film + 255.0 * added)


def _noise(film: Film, deviation: float, rng: np.random.Generator) -> bytes:
    height, width = film.shape
    grain = rng.normal(0.0, 255.0 * deviation, (_REFERENCE_SIDE, _REFERENCE_SIDE))
    # Noise in each pixel of a large film would be gone from what the network sees of it.
    return _png(film + cv2.resize(grain, (width, height), interpolation=cv2.INTER_NEAREST))


def _blur(film: Film, deviation: float, _: np.random.Generator) -> bytes:
    height, width = (deviation * side / _REFERENCE_SIDE for side in film.shape)
    return _png(cv2.GaussianBlur(film, (0, 0), sigmaX=width, sigmaY=height))


def _jpeg(film: Film, quality: float, _: np.random.Generator) -> bytes:
    return cv2.imencode(".jpg", film, (cv2.IMWRITE_JPEG_QUALITY, int(quality)))[1].tobytes()


def _rotation(film: Film, degrees: float, rng: np.random.Generator) -> bytes:
    height, width = film.shape
    angle = degrees * rng.choice([-1, 1])
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    # Black corners would be a corruption of their own.
    return _png(cv2.warpAffine(film, turn, (width, height), borderMode=cv2.BORDER_REPLICATE))


def _png(levels: NDArray[Any]) -> bytes:
    film = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return cv2.imencode(".png", film, _PNG)[1].tobytes()


CORRUPTIONS = (
    Corruption("contrast", "share of it that is left", (0.75, 0.5, 0.25), _contrast),
    Corruption("brightness", "grey level added, of 1", (0.1, 0.2, 0.3), _brightness),
    Corruption("noise", "standard deviation, of 1", (0.04, 0.08, 0.12), _noise),
    Corruption("blur", "standard deviation, in pixels of 224", (1.0, 2.0, 3.0), _blur),
    Corruption("JPEG", "quality, of 100", (25.0, 15.0, 7.0), _jpeg),
    Corruption("rotation", "degrees, either way", (5.0, 10.0, 15.0), _rotation),
)
