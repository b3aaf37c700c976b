"""The layers of a film, each a map of attenuation, float32 [height, width].

1 is about the attenuation of a chest's soft tissue from front to back. Air in the lungs counts
negative. The layers add up.
"""

from collections.abc import Sequence

import numpy as np

from components.example_gen.synthetic import outlines
from components.example_gen.synthetic.anatomy import Anatomy
from components.example_gen.synthetic.canvas import Canvas, Curve, Image, ellipse, smooth
from components.example_gen.synthetic.opacity import Opacity
from components.example_gen.synthetic.technique import Technique
from components.example_gen.synthetic.vessels import draw_vessels

_SIDES = (-1, 1)
# In AP films the heart lies farther from the film and is thrown larger.
_AP_MAGNIFICATION = 1.13


def aerated_depth(technique: Technique, anatomy: Anatomy) -> Image:
    """Depth of air along the beam, 0 to 1: the lungs but for what heart and domes cover."""
    canvas, floor = technique.canvas, technique.inspiration
    cavity = canvas.fill([outlines.lung(anatomy, side, floor) for side in _SIDES], soften=0.003)
    rounded = canvas.depth(cavity, 0.3 * anatomy.half_width / 0.55)
    heart = _heart(canvas, technique, anatomy)
    # Lung lies behind the heart and, in the posterior recess, behind the domes.
    covered = heart * (0.7 + 0.24 * canvas.depth(heart, 0.2))
    return cavity * (0.5 + 0.5 * rounded) * (1 - covered)


def soft_tissue(technique: Technique, anatomy: Anatomy, rng: np.random.Generator) -> Image:
    """Trunk, neck, arms, heart, abdomen and breasts."""
    # Its edges are soft, so half of the resolution is enough.
    canvas, floor = technique.canvas.halved(), technique.inspiration
    w = anatomy.half_width
    trunk = canvas.fill([outlines.body(anatomy)], soften=0.006)
    arms = canvas.fill(
        [
            outlines.arm(anatomy, side, raised)[0]
            for side, raised in zip(_SIDES, technique.arms_raised, strict=True)
        ],
        soften=0.006,
    )
    limb = arms * (0.2 + 0.3 * canvas.depth(arms, 0.2))
    total = np.maximum(trunk * (0.22 + 0.58 * canvas.depth(trunk, 0.7 * w)), limb)
    total = total + 0.15 * np.minimum(limb, trunk)
    flesh = canvas.blur(total, 0.02)
    total = np.where(trunk > 0.5, flesh, total)
    below = canvas.fill([outlines.abdomen(anatomy, floor)], soften=0.005)
    heart = _heart(canvas, technique, anatomy) * (1 - below)
    total += heart * (0.02 + 0.19 * canvas.depth(heart, 0.34 * w))
    total += trunk * below * (0.06 + 0.2 * canvas.depth(below * trunk, 0.4))
    if anatomy.gas_bubble:
        total -= _gas_bubble(canvas, anatomy, floor, rng)
    if anatomy.breast:
        for side in _SIDES:
            shadow = canvas.fill([outlines.breast(anatomy, side)], soften=0.008)
            total += 0.22 * anatomy.breast * shadow * canvas.depth(shadow, 0.3)
    muscle = 0.02 * canvas.noise(rng, 0.3, octaves=4)
    return technique.canvas.enlarge((total + muscle * trunk).astype(np.float32))


def lungs(
    technique: Technique,
    anatomy: Anatomy,
    air: Image,
    opacities: Sequence[Opacity],
    rng: np.random.Generator,
) -> Image:
    """Air, vessels and interstitium, with the air that opacities replace put back."""
    canvas = technique.canvas
    # Uneven aeration and crowded vessels are benign: they keep brightness from being the answer.
    uneven = 1 + rng.uniform(0.06, 0.14) * canvas.noise(rng, 0.35, octaves=2)
    x, y = canvas.coordinates(step=4)
    base = canvas.enlarge(np.float32(rng.normal(0, 0.13)) * (y - 0.5))
    lean = canvas.enlarge(np.float32(rng.normal(0, 0.1)) * x)
    prominence = rng.uniform(0.13, 0.21)
    interstitium = rng.uniform(0.006, 0.016) * canvas.noise(rng, 0.035, octaves=3)
    replaced = np.zeros_like(air)
    for opacity in opacities:
        replaced = replaced + opacity.density * (1 - replaced)
    aerated = air * (1 - replaced)
    depth = 0.55 * aerated * (uneven - base - lean)
    vessels = draw_vessels(canvas, anatomy) * prominence
    return (air * (vessels + interstitium) - depth).astype(np.float32, copy=False)


def skeleton(technique: Technique, anatomy: Anatomy, rng: np.random.Generator) -> Image:
    """Ribs, spine, clavicles, shoulder blades and humeri."""
    canvas = technique.canvas
    # Over the heart ribs are faint, in adults more so.
    veil = 0.35 if anatomy.style == "pediatric" else 0.65
    total = _ribs(canvas, anatomy) * (1 - veil * _heart(canvas, technique, anatomy))
    total += _spine(canvas, anatomy)
    lift = rng.normal(0.02, 0.03)
    spread = rng.uniform(0.0, 0.06) + (0.07 if technique.view == "PA" else 0.0)
    collar = [outlines.clavicle(anatomy, side, lift * (1 + 0.3 * side)) for side in _SIDES]
    total += 0.2 * canvas.bones(
        [np.concatenate([upper, lower[::-1]]) for upper, lower in collar],
        marrow=0.65,
        cortex=0.007,
        soften=0.002,
        rims=[edge for pair in collar for edge in pair],
    )
    blades = [outlines.scapula(anatomy, side, spread) for side in _SIDES]
    humeri = [
        outlines.arm(anatomy, side, raised)[1]
        for side, raised in zip(_SIDES, technique.arms_raised, strict=True)
    ]
    half = canvas.halved()
    shoulders = 0.06 * half.bones(blades, marrow=0.55, cortex=0.014, soften=0.006)
    shoulders += 0.17 * half.bones(humeri, marrow=0.7, cortex=0.014, soften=0.007)
    total += canvas.enlarge(shoulders)
    return np.float32(anatomy.bone_density) * total


def airways(canvas: Canvas, anatomy: Anatomy) -> Image:
    """The air column of the trachea and of the main bronchi, negative."""
    film, canvas = canvas, canvas.halved()
    x = anatomy.trachea_shift
    carina = (x - 0.004, 0.31)
    trachea = smooth([(x, -0.5), (x, -0.1), (x - 0.006, 0.15), carina], closed=False)
    right = smooth([carina, (x - 0.05, 0.37), (x - 0.1, 0.44)], closed=False)
    left = smooth([carina, (x + 0.06, 0.36), (x + 0.12, 0.4)], closed=False)
    caliber = 0.052 if anatomy.style == "pediatric" else 0.062
    column = 0.16 * canvas.stroke([trachea], width=caliber, soften=0.011)
    column += 0.06 * canvas.stroke([right, left], width=0.65 * caliber, soften=0.01)
    return -film.enlarge(column)


def electrodes(technique: Technique, rng: np.random.Generator) -> Image:
    """Monitoring electrodes and their leads."""
    canvas = technique.canvas
    total = np.zeros((canvas.height, canvas.width), np.float32)
    if not technique.electrodes:
        return total
    discs = [ellipse(site, (0.022, 0.022)) for site in technique.electrodes]
    studs = [ellipse(site, (0.009, 0.009)) for site in technique.electrodes]
    leads = [_lead(site, rng) for site in technique.electrodes]
    total += 0.12 * canvas.fill(discs, soften=0.001) + 0.6 * canvas.fill(studs, soften=0.001)
    return total + 0.22 * canvas.stroke(leads, width=0.006, soften=0.001)


def _lead(site: tuple[float, float], rng: np.random.Generator) -> Curve:
    x, y = site
    drift = rng.normal(0, 0.12, 3)
    return smooth(
        [
            (x, y),
            (x + 0.5 * drift[0], y + 0.25),
            (x + drift[0] + drift[1], y + 0.6),
            (drift[2], 1.8),
        ],
        closed=False,
    )


def _heart(canvas: Canvas, technique: Technique, anatomy: Anatomy) -> Image:
    magnification = _AP_MAGNIFICATION if technique.view == "AP" else 1.0
    outline = outlines.mediastinum(anatomy, technique.inspiration, magnification)
    return canvas.fill([outline], soften=0.005)


def _gas_bubble(canvas: Canvas, anatomy: Anatomy, floor: float, rng: np.random.Generator) -> Image:
    size = anatomy.gas_bubble
    centre = (
        anatomy.half_width * rng.uniform(0.36, 0.55),
        floor - anatomy.dome_left + 0.035 + 0.5 * size,
    )
    bubble = ellipse(centre, (size, 0.5 * size), tilt=rng.normal(0, 0.1))
    mask = canvas.fill([bubble + rng.normal(0, 0.003, bubble.shape)], soften=0.005)
    return 0.26 * mask * (0.5 + 0.5 * canvas.depth(mask, size * 0.6))


def _ribs(canvas: Canvas, anatomy: Anatomy) -> Image:
    posterior: list[Curve] = []
    anterior: list[Curve] = []
    for side in _SIDES:
        back, front = outlines.ribs(anatomy, side)
        posterior += back
        anterior += front
    x, y = canvas.coordinates(step=4)
    # Cartilage does not show: the front ends fade towards the sternum.
    lateral = np.clip((np.abs(x) / anatomy.half_width - 0.3) / 0.35, 0, 1).astype(np.float32)
    # The lower ribs lie behind liver and spleen, where little contrast is left.
    covered = 1 - 0.75 * np.clip((y - 0.8) / 0.25, 0, 1)
    edges = [half for band in posterior for half in np.split(band, 2)]
    lower = [np.split(band, 2)[1] for band in anterior]
    back_map = 0.12 * canvas.bones(posterior, marrow=0.6, cortex=0.006, soften=0.002, rims=edges)
    front_map = 0.09 * canvas.bones(anterior, marrow=0.65, cortex=0.006, soften=0.003, rims=lower)
    # Where they turn, along the wall, the beam meets ribs edge on.
    turning = 1 + 0.7 * np.clip((np.abs(x) / anatomy.half_width - 0.78) / 0.2, 0, 1)
    bones = back_map + front_map * canvas.enlarge(lateral)
    contrast = (covered * turning).astype(np.float32)
    return (bones * canvas.enlarge(contrast)).astype(np.float32, copy=False)


def _spine(canvas: Canvas, anatomy: Anatomy) -> Image:
    levels = np.linspace(-0.7, 1.7, 60)
    midline = np.stack([outlines.spine_x(anatomy, levels), levels], axis=1)
    column = canvas.stroke([midline], width=2.1 * outlines.SPINE_HALF_WIDTH, soften=0.008)
    bodies = outlines.vertebrae(anatomy)
    filled = canvas.bones(bodies, marrow=0.64, cortex=0.008, soften=0.0025)
    pedicles = []
    processes = []
    for body in bodies:
        x, y = body.mean(axis=0)
        half = np.ptp(body[:, 0]) / 2
        pedicles += [ellipse((x + s * 0.62 * half, y - 0.012), (0.014, 0.02)) for s in _SIDES]
        processes.append(ellipse((x, y + 0.03), (0.011, 0.024)))
    rings = canvas.bones(pedicles + processes, marrow=0.3, cortex=0.007, soften=0.002)
    return 0.11 * column + 0.11 * filled + 0.05 * rings
