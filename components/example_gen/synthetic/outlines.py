"""The outlines of a chest: curves in chest units, made from an `Anatomy`.

`side` is -1 for the image's left (the patient's right) and +1 for the image's right.
"""

import numpy as np

from components.example_gen.synthetic.anatomy import Anatomy
from components.example_gen.synthetic.canvas import Curve, ellipse, smooth

RIBS = 11
# The last ones float: they have no front end.
_FRONT_RIBS = 8
SPINE_HALF_WIDTH = 0.078

# Outer wall of the rib cage: half-width (as a fraction of the largest) at each level.
_WALL_Y = np.array([-0.05, 0.0, 0.04, 0.12, 0.25, 0.45, 0.7, 1.0, 1.3])
_WALL_BARREL = np.array([0.4, 0.55, 0.66, 0.8, 0.91, 0.98, 1.0, 1.0, 0.97])
_WALL_CONE = np.array([0.3, 0.44, 0.54, 0.68, 0.82, 0.93, 0.99, 1.0, 0.97])


def wall(anatomy: Anatomy, y: Curve) -> Curve:
    """Half-width of the rib cage at levels y, chest units."""
    knots = _WALL_BARREL + anatomy.apex_narrowing * (_WALL_CONE - _WALL_BARREL)
    return anatomy.half_width * np.interp(y, _WALL_Y, knots)


def spine_x(anatomy: Anatomy, y: Curve | float) -> Curve:
    """Sideways position of the spine at levels y, chest units."""
    return anatomy.scoliosis * np.sin(2.2 * np.pi * np.asarray(y))


def lung(anatomy: Anatomy, side: int, floor: float) -> Curve:
    """Closed outline of one pleural cavity.

    Args:
        anatomy: the patient.
        side: -1 or 1.
        floor: level of the costophrenic angle, chest units; deeper inspiration, larger value.
    """
    w = anatomy.half_width
    top = wall(anatomy, np.array([0.04]))[0]
    levels = np.array([0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.92])
    lateral = list(zip(wall(anatomy, levels), levels * floor, strict=True))
    dome = anatomy.dome_right if side < 0 else anatomy.dome_left
    diaphragm = [
        (0.985 * w, 1.0 * floor),
        (0.9 * w, floor - 0.42 * dome),
        (0.72 * w, floor - 0.85 * dome),
        (0.5 * w, floor - dome),
        (0.28 * w, floor - 0.88 * dome),
        (0.02 * w, floor - 0.85 * dome),
    ]
    medial = [(0.02 * w, 0.4), (0.1 * w, 0.12), (0.45 * top, 0.015)]
    apex = [(0.66 * top, -0.005), (0.86 * top, 0.025)]
    outline = smooth([*apex, *lateral, *diaphragm, *medial], closed=True, per_span=8)
    return outline * np.array([side, 1.0])


def abdomen(anatomy: Anatomy, floor: float) -> Curve:
    """Closed outline of what lies under both diaphragm domes."""
    w = anatomy.half_width
    right = [(-0.99, 0.0), (-0.9, 0.42), (-0.72, 0.85), (-0.5, 1.0), (-0.28, 0.92), (-0.05, 0.8)]
    left = [(0.05, 0.8), (0.28, 0.92), (0.5, 1.0), (0.72, 0.85), (0.9, 0.42), (0.99, 0.0)]
    domes = [(x * w, floor - y * anatomy.dome_right) for x, y in right]
    domes += [(x * w, floor - y * anatomy.dome_left) for x, y in left]
    top = smooth(domes, closed=False, per_span=8)
    # Below the angles the abdomen reaches the flanks.
    flanks = [[1.6 * w, floor + 0.12], [1.6 * w, 2.2], [-1.6 * w, 2.2], [-1.6 * w, floor + 0.12]]
    return np.concatenate([top, flanks])


def mediastinum(anatomy: Anatomy, floor: float, magnification: float) -> Curve:
    """Closed outline of heart and great vessels.

    Args:
        anatomy: the patient.
        floor: level of the costophrenic angle, chest units.
        magnification: of the heart; larger in AP films, where it lies farther from the film.
    """
    w = anatomy.half_width
    upper = anatomy.upper_mediastinum * w
    right = anatomy.heart_right * w * magnification
    left = anatomy.heart_left * w * magnification
    knob = anatomy.aortic_knob * w
    top = anatomy.heart_top
    span = floor - 0.75 * anatomy.dome_left - top
    return smooth(
        [
            (-0.75 * upper, -0.3),
            (-0.85 * upper, 0.0),
            (-upper, 0.15),
            (-1.05 * upper, 0.3),
            (-1.05 * upper, top),
            (-0.72 * right - 0.25 * upper, top + 0.25 * span),
            (-0.97 * right, top + 0.55 * span),
            (-right, top + 0.75 * span),
            (-0.86 * right, top + 1.0 * span),
            (-0.5 * right, top + 1.15 * span),
            (0.5 * left, top + 1.2 * span),
            (0.85 * left, top + 1.08 * span),
            (0.98 * left, top + 0.9 * span),
            (left, top + 0.75 * span),
            (0.9 * left, top + 0.52 * span),
            (0.65 * left + 0.15 * upper, top + 0.24 * span),
            (0.32 * left + 0.66 * upper, top + 0.02),
            (1.16 * upper, top - 0.07),
            (1.06 * upper + 0.7 * knob, 0.31),
            (1.0 * upper + knob, 0.255),
            (0.96 * upper + 0.75 * knob, 0.2),
            (0.92 * upper, 0.12),
            (0.8 * upper, 0.0),
            (0.75 * upper, -0.3),
        ],
        closed=True,
        per_span=8,
    )


def ribs(anatomy: Anatomy, side: int) -> tuple[list[Curve], list[Curve]]:
    """Upper and lower edges of the ribs of one side.

    A rib is half an ellipse in a plane that slopes down to the front. Projected, its posterior
    half leaves the spine flat and turns down at the wall; its anterior half runs back inwards.

    Returns:
        posterior, anterior: per rib one closed band [2n, 2]; the first n points are its upper
        edge, the others its lower edge backwards.
    """
    posterior: list[Curve] = []
    anterior: list[Curve] = []
    for rib in range(RIBS):
        level = -0.04 + rib * anatomy.rib_spacing
        slope = anatomy.rib_slope * (0.45 + 0.55 * min(1.0, (rib + 1) / 5))
        reach = wall(anatomy, np.array([level + slope / 2]))[0] * 1.015
        for bands, start, stop in ((posterior, 0.1, np.pi / 2), (anterior, np.pi / 2, 2.72)):
            angle = np.linspace(start, stop, 22)
            rise = 0.2 * anatomy.rib_spacing * np.sin(2 * angle)
            fall = 0.5 * (1 - np.cos(angle)) / 2 + 0.5 * angle / np.pi
            y = level + slope * fall - rise
            x = reach * np.sin(angle)
            tangent = np.stack([np.gradient(x), np.gradient(y)], axis=1)
            tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
            normal = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1)
            # Seen from the side, where it turns, a rib is thinner than it is wide.
            turn = np.sin(angle) ** 4
            width = anatomy.rib_width * (1 - 0.45 * turn) * (1.0 if stop < 2 else 1.12)
            half = 0.5 * width[:, None] * normal
            centre = np.stack([x, y], axis=1)
            band = np.concatenate([centre + half, (centre - half)[::-1]])
            if bands is anterior and rib >= _FRONT_RIBS:
                continue
            bands.append(band * np.array([side, 1.0]) + [spine_x(anatomy, level), 0.0])
    return posterior, anterior


def clavicle(anatomy: Anatomy, side: int, lift: float) -> tuple[Curve, Curve]:
    """Upper and lower edge [n, 2] of a clavicle; `lift` raises its outer end, chest units."""
    w = anatomy.half_width
    centre = smooth(
        [
            (0.13 * w, 0.115),
            (0.34 * w, 0.085),
            (0.62 * w, 0.03 - 0.4 * lift),
            (0.9 * w, 0.005 - 0.8 * lift),
            (1.28 * w, 0.0 - lift),
        ],
        closed=False,
    )
    t = np.linspace(0, 1, len(centre))
    half = 0.018 * (1 + 0.7 * (1 - t) ** 3 + 0.35 * t**3) * np.sqrt(1 - 0.98 * t**16)
    flip = np.array([side, 1.0])
    offset = np.stack([np.zeros_like(half), half], axis=1)
    return (centre - offset) * flip, (centre + offset) * flip


def scapula(anatomy: Anatomy, side: int, spread: float) -> Curve:
    """Closed outline of a shoulder blade; `spread` moves it off the lung, chest units."""
    w = anatomy.half_width
    return smooth(
        [
            (1.16 * w + spread, 0.04),
            (1.14 * w + spread, 0.14),
            (1.03 * w + spread, 0.34),
            (0.93 * w + 0.8 * spread, 0.5),
            (0.86 * w + 0.8 * spread, 0.47),
            (0.8 * w + spread, 0.28),
            (0.82 * w + spread, 0.1),
            (0.98 * w + spread, 0.06),
        ],
        closed=True,
    ) * np.array([side, 1.0])


def body(anatomy: Anatomy) -> Curve:
    """Closed outline of trunk, neck and shoulders, without the arms."""
    w, wall_width = anatomy.half_width, anatomy.soft_tissue
    neck = 0.42 * w + 0.4 * wall_width
    right_half = [
        (neck, -0.8),
        (neck + 0.03 * w, -0.32),
        (neck + 0.12 * w, -0.19),
        (0.85 * w, -0.1),
        (1.25 * w, -0.02 - 0.2 * wall_width),
        (1.55 * w + wall_width, 0.1),
        (1.45 * w + wall_width, 0.32),
        (1.12 * w + wall_width, 0.5),
        (1.06 * w + wall_width, 0.75),
        (1.06 * w + wall_width, 1.0),
        (1.06 * w + 1.1 * wall_width, 2.2),
    ]
    left_half = [(-x, y) for x, y in reversed(right_half)]
    return smooth([*right_half, *left_half], closed=True, per_span=6)


def arm(anatomy: Anatomy, side: int, raised: bool) -> tuple[Curve, Curve]:
    """Closed outline of an upper arm and of its humerus."""
    w, wall_width = anatomy.half_width, anatomy.soft_tissue
    shoulder = np.array([1.42 * w + 0.4 * wall_width, 0.1])
    hand = (
        np.array([2.2 * w + wall_width, -0.75])
        if raised
        else np.array([1.75 * w + 2.2 * wall_width, 1.5])
    )
    flip = np.array([side, 1.0])
    return (
        _limb(shoulder, hand, 0.15 + 0.35 * wall_width, 0.13 + 0.3 * wall_width) * flip,
        _limb(shoulder, hand, 0.085, 0.045) * flip,
    )


def _limb(start: Curve, end: Curve, start_radius: float, radius: float) -> Curve:
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    turn = np.linspace(-np.pi / 2, np.pi / 2, 14)[:, None]
    cap = start + start_radius * (np.sin(turn) * across - np.cos(turn) * along)
    neck = start + 1.6 * start_radius * along
    shaft = [neck + radius * across, end + radius * across]
    shaft += [end - radius * across, neck - radius * across]
    return np.concatenate([cap, np.array(shaft)])


def vertebrae(anatomy: Anatomy) -> list[Curve]:
    """Closed outlines of the vertebral bodies, top to bottom."""
    outlines = []
    for index in range(-4, 16):
        y = -0.04 + index * anatomy.rib_spacing
        half = SPINE_HALF_WIDTH * (0.78 + 0.022 * max(0, index)) * (0.9 if index < 0 else 1.0)
        tall = 0.42 * anatomy.rib_spacing
        x = float(spine_x(anatomy, y))
        outlines.append(
            smooth(
                [
                    (x - half, y - tall),
                    (x + half, y - tall),
                    (x + 0.88 * half, y),
                    (x + half, y + tall),
                    (x - half, y + tall),
                    (x - 0.88 * half, y),
                ],
                closed=True,
                per_span=5,
            )
        )
    return outlines


def breast(anatomy: Anatomy, side: int) -> Curve:
    """Closed outline of a breast shadow."""
    w = anatomy.half_width
    return ellipse((side * 0.66 * w, 0.86), (0.5 * w, 0.27), tilt=-0.25 * side)
