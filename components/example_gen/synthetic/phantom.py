"""Draws a frontal chest film of a phantom.

Attenuations add up along the beam, as they do in a patient: soft tissue, minus the air in the
lungs, plus bones and vessels. The characteristic curve then turns attenuation into grey.
"""

import dataclasses

import cv2
import numpy as np
import numpy.typing as npt

from components.example_gen.synthetic import layers
from components.example_gen.synthetic.anatomy import Anatomy, View
from components.example_gen.synthetic.canvas import Image
from components.example_gen.synthetic.opacity import Box, Opacity, Pattern, sample_opacities
from components.example_gen.synthetic.technique import (
    Technique,
    burn_in,
    characteristic_curve,
    sample_technique,
)


@dataclasses.dataclass(frozen=True)
class Film:
    """One synthetic chest film.

    Attributes:
        pixels: uint8 [height, width], grey, bones white.
        boxes: of the pneumonia opacities, pixels; empty on a normal film.
        view: projection.
    """

    pixels: npt.NDArray[np.uint8]
    boxes: tuple[Box, ...]
    view: View


def draw_film(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    pneumonia: Pattern | None = None,
    view: View = "PA",
    side_length: int = 512,
) -> Film:
    """Draws one film of the patient.

    Args:
        anatomy: the patient.
        rng: decides about everything that differs between two films of one patient. Two calls
            with the same state differ by the opacity alone, whatever `pneumonia` is.
        pneumonia: the pattern of the opacity; None for a film without one.
        view: projection; AP films show a larger heart and higher domes.
        side_length: of a square NIH film, pixels; pediatric films vary in size.
    """
    film_rng, opacity_rng = rng.spawn(2)
    technique = sample_technique(anatomy, view, film_rng, side_length=side_length)
    canvas = technique.canvas
    air = layers.aerated_depth(technique, anatomy)
    opacities: tuple[Opacity, ...] = ()
    if pneumonia is not None:
        opacities = sample_opacities(canvas, air, anatomy.style, pneumonia, opacity_rng)

    attenuation = layers.soft_tissue(technique, anatomy, film_rng)
    attenuation += layers.lungs(technique, anatomy, air, opacities, film_rng)
    attenuation += layers.skeleton(technique, anatomy, film_rng)
    attenuation += layers.airways(canvas, anatomy)
    attenuation += layers.electrodes(technique, film_rng)
    attenuation = canvas.blur(attenuation, technique.unsharpness)
    film = characteristic_curve(technique, attenuation) + _grain(technique, film_rng)
    pixels = np.clip(film * 255 + 0.5, 0, 255).astype(np.uint8)
    burn_in(technique, pixels)
    return Film(pixels=pixels, boxes=tuple(o.box for o in opacities), view=view)


def _grain(technique: Technique, rng: np.random.Generator) -> Image:
    """Film grain, grey levels on [0, 1], slightly correlated as real grain is."""
    shape = (technique.canvas.height, technique.canvas.width)
    white = rng.standard_normal(shape, dtype=np.float32)
    correlated = cv2.GaussianBlur(white, (3, 3), 0.6)
    return np.float32(1.6 * technique.noise) * correlated.astype(np.float32, copy=False)
