"""Who is on the film: the proportions of one synthetic patient's chest.

All lengths are in chest units: 1 is the height of the lungs from apex to costophrenic angle at
a neutral inspiration. The origin lies on the midline at the level of the apices, x grows towards
the image's right (the patient's left) and y grows downwards.
"""

import dataclasses
from typing import Literal

import numpy as np

Style = Literal["pediatric", "nih"]
View = Literal["AP", "PA"]
Sex = Literal["F", "M"]


@dataclasses.dataclass(frozen=True)
class Anatomy:
    """The chest of one patient; every film of the patient is drawn from it.

    Attributes:
        style: which population the patient belongs to.
        half_width: largest half-width of the rib cage, chest units.
        apex_narrowing: 0 for a barrel-shaped top of the rib cage, 1 for a conical one.
        heart_right: reach of the right heart border from the midline, as a fraction of
            half_width.
        heart_left: reach of the left heart border, as a fraction of half_width.
        heart_top: level at which the heart begins to widen, chest units.
        upper_mediastinum: half-width of the upper mediastinum (the thymus widens it in
            infants), as a fraction of half_width.
        aortic_knob: bulge of the aortic arch, as a fraction of half_width.
        dome_right: height of the right diaphragm dome above the costophrenic angle, chest units.
        dome_left: the same on the left.
        rib_slope: drop of a rib from the spine to the sternum, chest units.
        rib_spacing: distance between neighbouring ribs, chest units.
        rib_width: width of a rib, chest units.
        bone_density: contrast of the skeleton, 1 is typical.
        scoliosis: sideways bow of the spine, chest units.
        soft_tissue: thickness of the body wall beside the ribs, chest units.
        breast: radiographic density of the breast shadows, 0 is none.
        trachea_shift: offset of the trachea from the midline, chest units.
        gas_bubble: size of the gastric air bubble, chest units, 0 is none.
        vessel_seed: seeds the pulmonary vessel tree, which is the patient's own.
    """

    style: Style
    half_width: float
    apex_narrowing: float
    heart_right: float
    heart_left: float
    heart_top: float
    upper_mediastinum: float
    aortic_knob: float
    dome_right: float
    dome_left: float
    rib_slope: float
    rib_spacing: float
    rib_width: float
    bone_density: float
    scoliosis: float
    soft_tissue: float
    breast: float
    trachea_shift: float
    gas_bubble: float
    vessel_seed: int


def sample_anatomy(style: Style, rng: np.random.Generator, *, sex: Sex = "M") -> Anatomy:
    """Draws a patient; `sex` only decides about breast shadows, and only for adults."""
    if style == "pediatric":
        return _child(rng)
    return _adult(rng, sex)


def _child(rng: np.random.Generator) -> Anatomy:
    # Younger children have a wider, shorter chest, a relatively larger heart and flatter ribs.
    youth = rng.uniform()
    return Anatomy(
        style="pediatric",
        half_width=0.53 + 0.14 * youth + rng.normal(0, 0.02),
        apex_narrowing=rng.uniform(0.1, 0.9),
        heart_right=0.27 + 0.08 * youth + rng.normal(0, 0.025),
        heart_left=0.52 + 0.1 * youth + rng.normal(0, 0.04),
        heart_top=rng.uniform(0.36, 0.46),
        upper_mediastinum=0.17 + 0.1 * youth * rng.uniform() + rng.normal(0, 0.012),
        aortic_knob=rng.uniform(0.0, 0.04),
        dome_right=rng.uniform(0.17, 0.27),
        dome_left=rng.uniform(0.13, 0.22),
        rib_slope=0.4 - 0.13 * youth + rng.normal(0, 0.02),
        rib_spacing=rng.uniform(0.09, 0.1),
        rib_width=rng.uniform(0.032, 0.042),
        bone_density=rng.uniform(0.8, 1.25),
        scoliosis=rng.normal(0, 0.008),
        soft_tissue=rng.uniform(0.08, 0.16),
        breast=0.0,
        trachea_shift=rng.normal(-0.008, 0.01),
        gas_bubble=rng.uniform(0.05, 0.14) if rng.uniform() < 0.6 else 0.0,
        vessel_seed=int(rng.integers(2**32)),
    )


def _adult(rng: np.random.Generator, sex: Sex) -> Anatomy:
    has_breast_shadow = rng.uniform() < 0.75
    breast = rng.uniform(0.3, 1.0)
    return Anatomy(
        style="nih",
        half_width=rng.normal(0.55, 0.035),
        apex_narrowing=rng.uniform(0.4, 1.0),
        heart_right=rng.normal(0.27, 0.03),
        heart_left=rng.normal(0.5, 0.05),
        heart_top=rng.uniform(0.42, 0.5),
        upper_mediastinum=rng.normal(0.17, 0.018),
        aortic_knob=rng.uniform(0.03, 0.11),
        dome_right=rng.uniform(0.13, 0.22),
        dome_left=rng.uniform(0.1, 0.18),
        rib_slope=rng.normal(0.44, 0.035),
        rib_spacing=rng.uniform(0.09, 0.102),
        rib_width=rng.uniform(0.032, 0.042),
        bone_density=rng.uniform(0.45, 0.9),
        scoliosis=rng.normal(0, 0.014),
        soft_tissue=rng.uniform(0.08, 0.24),
        breast=breast if sex == "F" and has_breast_shadow else 0.0,
        trachea_shift=rng.normal(-0.008, 0.012),
        gas_bubble=rng.uniform(0.05, 0.12) if rng.uniform() < 0.5 else 0.0,
        vessel_seed=int(rng.integers(2**32)),
    )
