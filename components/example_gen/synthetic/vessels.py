"""Pulmonary vessels: trees that fan out from the hila and thin towards the pleura."""

import numpy as np
import numpy.typing as npt

from components.example_gen.synthetic.anatomy import Anatomy
from components.example_gen.synthetic.canvas import Canvas, Curve, Image

_STEPS = 14
# Per generation: (children per branch, length, calibre), the lengths in chest units.
_GENERATIONS = ((1, 0.4, 0.0095), (6, 0.2, 0.006), (4, 0.11, 0.004))


def draw_vessels(canvas: Canvas, anatomy: Anatomy) -> Image:
    """Projected calibre of the patient's vessels, 0 to about 1, [height, width]."""
    rng = np.random.default_rng(anatomy.vessel_seed)
    mask = np.zeros((canvas.height, canvas.width), np.uint8)
    for side in (-1, 1):
        branches = _trunks(anatomy, side, rng)
        for generation, (children, length, calibre) in enumerate(_GENERATIONS):
            if generation:
                branches = _offshoots(branches, children, rng)
            starts, headings = branches
            lengths = length * rng.uniform(0.3, 1.3, len(starts))
            walks, ends = _walk(starts, headings, lengths, rng)
            # Thin ones first: where lines cross, the thicker vessel is what one sees.
            for first, taper in ((9, 0.42), (4, 0.68), (0, 1.0)):
                canvas.stroke_onto(
                    mask,
                    list(walks[:, first : first + 6]),
                    width=calibre * taper,
                    level=(0.8 - 0.18 * generation) * taper,
                )
            branches = (walks, ends)
        mask = _hilum(canvas, mask, anatomy, side, rng)
    return canvas.blur(mask.astype(np.float32) / np.float32(255), 0.0026)


def _hilum_at(anatomy: Anatomy, side: int) -> Curve:
    # The left hilum stands a little higher than the right one.
    reach = 0.75 * anatomy.upper_mediastinum * anatomy.half_width + 0.035
    return np.array([side * reach, 0.42 if side < 0 else 0.395])


def _trunks(anatomy: Anatomy, side: int, rng: np.random.Generator) -> tuple[Curve, Curve]:
    count = int(rng.integers(12, 16))
    # Angles from straight up (-80 degrees) to steeply down; most blood goes to the bases.
    fan = np.linspace(-1.35, 1.4, count) + rng.normal(0, 0.1, count)
    headings = np.where(side > 0, fan, np.pi - fan)
    starts = _hilum_at(anatomy, side) + rng.normal(0, [0.012, 0.03], (count, 2))
    starts[:, 1] += 0.05 * np.sin(fan)
    return starts, headings


def _offshoots(
    parents: tuple[Curve, Curve], children: int, rng: np.random.Generator
) -> tuple[Curve, Curve]:
    walks, headings = parents
    parent = np.repeat(np.arange(len(walks)), children)
    step = rng.integers(3, _STEPS - 1, len(parent))
    turn = rng.choice([-1.0, 1.0], len(parent)) * rng.uniform(0.3, 0.9, len(parent))
    return walks[parent, step], headings[parent] + turn


def _walk(
    starts: Curve, headings: Curve, lengths: Curve, rng: np.random.Generator
) -> tuple[npt.NDArray[np.floating], Curve]:
    """Curved walks [n, steps, 2] and their mean headings [n]."""
    bend = rng.normal(0, 0.05, (len(starts), 1)) + rng.normal(0, 0.13, (len(starts), _STEPS))
    angle = headings[:, None] + np.cumsum(bend, axis=1)
    step = (lengths / _STEPS)[:, None, None]
    moves = step * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return starts[:, None] + np.cumsum(moves, axis=1), angle.mean(axis=1)


def _hilum(
    canvas: Canvas,
    mask: npt.NDArray[np.uint8],
    anatomy: Anatomy,
    side: int,
    rng: np.random.Generator,
) -> npt.NDArray[np.uint8]:
    """Adds the thick descending and ascending pulmonary arteries."""
    root = _hilum_at(anatomy, side)
    down = root + np.array([[0.0, -0.04], [side * 0.02, 0.05], [side * 0.035, 0.16]])
    up = root + np.array([[0.0, 0.0], [side * 0.03, -0.06], [side * 0.07, -0.13]])
    down += rng.normal(0, 0.008, down.shape)
    up += rng.normal(0, 0.008, up.shape)
    canvas.stroke_onto(mask, [down], width=0.024, level=0.75)
    canvas.stroke_onto(mask, [up], width=0.015, level=0.6)
    return mask
