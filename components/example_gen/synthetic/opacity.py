"""Pneumonia: soft, textured opacities in the aerated lung, and the boxes around them."""

import dataclasses
from typing import Literal

import numpy as np

from components.example_gen.synthetic.anatomy import Style
from components.example_gen.synthetic.canvas import Canvas, Image

Pattern = Literal["consolidation", "interstitial"]

# A density is the share of the local air that the opacity replaces; below this it is invisible.
_VISIBLE = 0.05
# Less air than this lies behind the heart or at the very edge, where no opacity shows.
_LEAST_AIR = 0.3

# Peak densities, from subtle to obvious, per population and pattern: (low, high).
_DENSITY: dict[tuple[Style, Pattern], tuple[float, float]] = {
    ("pediatric", "consolidation"): (0.6, 1.2),
    ("pediatric", "interstitial"): (0.7, 1.4),
    ("nih", "consolidation"): (0.5, 1.1),
    ("nih", "interstitial"): (0.6, 1.3),
}


@dataclasses.dataclass(frozen=True)
class Box:
    """A rectangle on the film, pixels; (x, y) is its upper left corner."""

    x: int
    y: int
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Opacity:
    """One opacity as drawn.

    Attributes:
        density: float32 [height, width], the share of the air that it replaces, 0 to 1; exactly
            0 outside of `box`.
        box: the tightest box around every pixel with density above 0.
    """

    density: Image
    box: Box


def sample_opacities(
    canvas: Canvas, air: Image, style: Style, pattern: Pattern, rng: np.random.Generator
) -> tuple[Opacity, ...]:
    """Draws one opacity, sometimes two.

    Args:
        canvas: the film.
        air: float32 [height, width], aerated lung depth from 0 to 1.
        style: the population, which decides about the contrast.
        pattern: `consolidation` is one dense focus, as a rule; `interstitial` is paler, coarser
            and more often bilateral.
        rng: source of randomness.
    """
    count = 1 + int(rng.uniform() < (0.15 if pattern == "consolidation" else 0.5))
    first_side = int(rng.choice([-1, 1]))
    sides = (first_side, -first_side)[:count]
    return tuple(_opacity(canvas, air, side, style, pattern, rng) for side in sides)


def _opacity(
    canvas: Canvas,
    air: Image,
    side: int,
    style: Style,
    pattern: Pattern,
    rng: np.random.Generator,
) -> Opacity:
    x, y = canvas.coordinates(step=4)
    centre_x, centre_y = _centre(canvas, air, side, rng)
    radius_x, radius_y = rng.uniform(0.2, 0.34), rng.uniform(0.24, 0.42)
    tilt = rng.uniform(-0.6, 0.6)
    dx, dy = x - np.float32(centre_x), y - np.float32(centre_y)
    u = (np.cos(tilt) * dx + np.sin(tilt) * dy) / radius_x
    v = (np.cos(tilt) * dy - np.sin(tilt) * dx) / radius_y
    # The edge wanders: an opacity follows segments of the lung, not an ellipse.
    reach = np.sqrt(u * u + v * v) + 0.16 * canvas.noise(rng, 0.09, octaves=2)[::4, ::4]
    fade = np.clip((1.25 - reach) / 0.85, 0, 1) * (np.sign(x) == side)
    profile = canvas.enlarge((fade * fade * (3 - 2 * fade)).astype(np.float32))

    low, high = _DENSITY[style, pattern]
    peak = low + (high - low) * rng.beta(1.6, 1.6)
    # Acini that fill one by one: a fine texture that neither vessels nor ribs have.
    granules = np.clip(canvas.noise(rng, 0.024, octaves=2), -2, 2)
    if pattern == "consolidation":
        texture = 0.8 + 0.1 * canvas.noise(rng, 0.08, octaves=2) + 0.15 * granules
    else:
        # Reticular: brighter where the noise crosses zero, a soft mesh.
        mesh = np.exp(-np.square(canvas.noise(rng, 0.05, octaves=3)))
        texture = 0.3 + 0.45 * canvas.blur(mesh, 0.008) + 0.15 * granules
    density = np.float32(peak) * profile * np.clip(texture, 0, 1.4) - np.float32(_VISIBLE)
    density = np.where(air > _LEAST_AIR, np.maximum(density, 0), 0).astype(np.float32)
    return Opacity(density=density, box=_bounding_box(density))


def _centre(canvas: Canvas, air: Image, side: int, rng: np.random.Generator) -> tuple[float, float]:
    """A point well inside of one lung, chest units; lower zones are likelier."""
    step = 8
    x, y = (grid.ravel() for grid in canvas.coordinates(step=step))
    sampled = air[step // 2 :: step, step // 2 :: step]
    depth = np.zeros((-(-canvas.height // step), -(-canvas.width // step)), np.float32)
    depth[: sampled.shape[0], : sampled.shape[1]] = sampled
    inside = (depth.ravel() > 0.6) & (np.sign(x) == side)
    weight = inside * (0.25 + np.clip(y, 0, 1))
    chosen = rng.choice(len(weight), p=weight / weight.sum())
    return float(x[chosen]), float(y[chosen])


def _bounding_box(density: Image) -> Box:
    columns = np.flatnonzero(density.any(axis=0))
    rows = np.flatnonzero(density.any(axis=1))
    left, top = int(columns[0]), int(rows[0])
    return Box(x=left, y=top, width=int(columns[-1]) + 1 - left, height=int(rows[-1]) + 1 - top)
