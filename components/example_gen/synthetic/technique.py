"""How the film was taken: size, placement, exposure, markers and borders.

Nothing here looks at the label: size, aspect, exposure, marker and border are the shortcuts by
which a classifier cheats, so the synthetic sets draw them alike for both classes.
"""

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from components.example_gen.synthetic.anatomy import Anatomy, View
from components.example_gen.synthetic.canvas import Canvas, Image

# Attenuation of the densest projections (spine over the abdomen), where the film is white.
_WHITE_ATTENUATION = 1.5


@dataclasses.dataclass(frozen=True)
class Marker:
    """A side marker.

    Attributes:
        text: what it says.
        position: (x, y) of the text's lower left corner, fractions of width and height.
        size: height of the letters, as a fraction of the film's height.
        grey: 0 to 255.
    """

    text: str
    position: tuple[float, float]
    size: float
    grey: int


@dataclasses.dataclass(frozen=True)
class Technique:
    """One exposure.

    Attributes:
        canvas: size and placement.
        view: projection.
        inspiration: level of the costophrenic angles, chest units.
        arms_raised: per side (image's left, right).
        penetration: attenuation that comes out mid-grey.
        contrast: slope of the characteristic curve.
        gamma: exponent of the display curve.
        black: grey of air outside of the body, 0 to 1.
        white: grey of the densest parts, 0 to 1.
        noise: standard deviation of the grain, grey levels on [0, 1].
        unsharpness: blur by motion and focal spot, chest units.
        electrodes: (x, y) of monitoring electrodes, chest units.
        marker: the side marker, if any.
        border: black margins (top, bottom, left, right), pixels.
    """

    canvas: Canvas
    view: View
    inspiration: float
    arms_raised: tuple[bool, bool]
    penetration: float
    contrast: float
    gamma: float
    black: float
    white: float
    noise: float
    unsharpness: float
    electrodes: tuple[tuple[float, float], ...]
    marker: Marker | None
    border: tuple[int, int, int, int]


def sample_technique(
    anatomy: Anatomy, view: View, rng: np.random.Generator, *, side_length: int = 512
) -> Technique:
    """Draws an exposure of the patient; `side_length` (pixels) holds for square NIH films."""
    if anatomy.style == "pediatric":
        width = int(rng.integers(500, 961))
        height = round(width / rng.uniform(1.1, 1.55))
        fill, raised_share, electrode_share = rng.uniform(0.74, 0.86), 0.35, 0.08
    else:
        width = height = side_length
        fill, raised_share, electrode_share = rng.uniform(0.65, 0.76), 0.0, 0.2
    inspiration = 1.0 + rng.normal(0, 0.03) - (0.04 if view == "AP" else 0.0)
    raised = bool(rng.uniform() < raised_share)
    one_arm = bool(rng.uniform() < 0.15)
    return Technique(
        canvas=_place(anatomy, height, width, fill, rng),
        view=view,
        inspiration=inspiration,
        arms_raised=(raised, raised != (one_arm and anatomy.style == "pediatric")),
        penetration=rng.uniform(0.5, 0.6),
        contrast=rng.uniform(3.4, 4.2),
        gamma=rng.uniform(0.9, 1.12),
        black=rng.uniform(0.0, 0.1),
        white=rng.uniform(0.86, 1.0),
        noise=rng.uniform(0.004, 0.015),
        unsharpness=rng.uniform(0.0, 0.0018),
        electrodes=_electrodes(anatomy, electrode_share, rng),
        marker=_marker(anatomy, rng),
        border=_border(height, width, rng),
    )


def characteristic_curve(technique: Technique, attenuation: Image) -> Image:
    """Attenuation to grey on [0, 1], pixel by pixel."""

    def response(value: Image | np.float32) -> Image:
        slope, middle = np.float32(technique.contrast), np.float32(technique.penetration)
        return np.float32(1) / (np.float32(1) + np.exp(-slope * (value - middle)))

    low, high = response(np.float32(0)), response(np.float32(_WHITE_ATTENUATION))
    grey = np.clip((response(attenuation) - low) / (high - low), 0, 1) ** technique.gamma
    return (technique.black + (technique.white - technique.black) * grey).astype(np.float32)


def burn_in(technique: Technique, film: npt.NDArray[np.uint8]) -> None:
    """Writes the marker and the black border into the film [height, width], in place."""
    height, width = film.shape
    marker = technique.marker
    if marker is not None:
        scale = marker.size * height / 21
        origin = (round(marker.position[0] * width), round(marker.position[1] * height))
        thickness = max(1, round(1.6 * scale))
        cv2.putText(
            film,
            marker.text,
            origin,
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            marker.grey,
            thickness,
            cv2.LINE_AA,
        )
    top, bottom, left, right = technique.border
    film[:top] = 0
    film[height - bottom :] = 0
    film[:, :left] = 0
    film[:, width - right :] = 0


def _place(
    anatomy: Anatomy, height: int, width: int, fill: float, rng: np.random.Generator
) -> Canvas:
    chest_width = 2 * anatomy.half_width * 1.06
    scale = min(fill * height, rng.uniform(0.88, 0.97) * width / chest_width)
    slack = max(0.0, (width - chest_width * scale) / 2)
    x = width / 2 + np.clip(rng.normal(0, 0.25), -0.6, 0.6) * min(slack, 0.08 * width)
    # The apices stay on the film, and so do the domes.
    free = height - scale
    y = scale / 2 + free * rng.uniform(0.42, 0.7)
    return Canvas(height, width, float(scale), (float(x), float(y)), float(rng.normal(0, 0.025)))


def _electrodes(
    anatomy: Anatomy, share: float, rng: np.random.Generator
) -> tuple[tuple[float, float], ...]:
    if rng.uniform() >= share:
        return ()
    w = anatomy.half_width
    sites = np.array([[-0.62 * w, 0.16], [0.66 * w, 0.14], [0.7 * w, 0.82]])
    placed = sites + rng.normal(0, 0.06, sites.shape)
    return tuple((float(x), float(y)) for x, y in placed[: int(rng.integers(1, 4))])


def _marker(anatomy: Anatomy, rng: np.random.Generator) -> Marker | None:
    if rng.uniform() < 0.2:
        return None
    text = "R" if rng.uniform() < (0.85 if anatomy.style == "pediatric" else 0.3) else "L"
    edge = rng.uniform(0.03, 0.1)
    return Marker(
        text=text,
        position=(edge if text == "R" else 0.95 - edge, rng.uniform(0.08, 0.22)),
        size=rng.uniform(0.028, 0.05),
        grey=int(rng.integers(215, 256)),
    )


def _border(height: int, width: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
    if rng.uniform() < 0.85:
        return 0, 0, 0, 0
    shares = rng.uniform(0, 0.035, 4) * (rng.uniform(size=4) < 0.5)
    top, bottom, left, right = (
        round(float(share) * length)
        for share, length in zip(shares, (height, height, width, width), strict=True)
    )
    return top, bottom, left, right
