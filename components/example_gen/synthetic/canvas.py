"""From chest units to pixels: placement, rasterisation and smooth noise.

Curves are float arrays [n, 2] of (x, y) in chest units; images are float32 [height, width].
"""

import dataclasses
from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

Curve = npt.NDArray[np.floating]
Image = npt.NDArray[np.float32]

# OpenCV takes vertices as fixed-point integers: 4 fractional bits are a sixteenth of a pixel.
_SHIFT = 4


@dataclasses.dataclass(frozen=True)
class Canvas:
    """Where the chest lies on the film, and how to draw on it.

    Attributes:
        height: pixels.
        width: pixels.
        scale: pixels per chest unit.
        origin: (x, y) of the chest's centre, half way down the lungs, pixels.
        rotation: clockwise, radians.
    """

    height: int
    width: int
    scale: float
    origin: tuple[float, float]
    rotation: float

    def to_pixels(self, curve: Curve) -> Curve:
        """Chest units [n, 2] to pixels [n, 2]."""
        cos, sin = np.cos(self.rotation), np.sin(self.rotation)
        centred = (curve - np.array([0.0, 0.5])) * self.scale
        return centred @ np.array([[cos, sin], [-sin, cos]]) + np.array(self.origin)

    def coordinates(self, *, step: int = 1) -> tuple[Image, Image]:
        """Chest coordinates (x, y) of every step-th pixel's centre, each [h/step, w/step]."""
        cos, sin = np.float32(np.cos(self.rotation)), np.float32(np.sin(self.rotation))
        offset = (step - 1) / 2
        columns = np.arange(-(-self.width // step), dtype=np.float32) * step + offset
        rows = np.arange(-(-self.height // step), dtype=np.float32) * step + offset
        dx = ((columns - self.origin[0]) / self.scale).astype(np.float32)[None, :]
        dy = ((rows - self.origin[1]) / self.scale).astype(np.float32)[:, None]
        return cos * dx + sin * dy, -sin * dx + cos * dy + np.float32(0.5)

    def fill(self, curves: Iterable[Curve], *, soften: float = 0.0) -> Image:
        """Union of closed curves as coverage 0 to 1, blurred by `soften` chest units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for curve in curves:
            cv2.fillPoly(mask, [self._vertices(curve)], 255, cv2.LINE_AA, _SHIFT)
        return self._as_coverage(mask, soften)

    def stroke(
        self, curves: Sequence[Curve], *, width: float, soften: float = 0.0, closed: bool = False
    ) -> Image:
        """Lines of `width` chest units as coverage 0 to 1, blurred by `soften` chest units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        self.stroke_onto(mask, curves, width=width, level=1.0, closed=closed)
        return self._as_coverage(mask, soften)

    def stroke_onto(
        self,
        mask: npt.NDArray[np.uint8],
        curves: Sequence[Curve],
        *,
        width: float,
        level: float,
        closed: bool = False,
    ) -> None:
        """Draws lines into `mask`; lines thinner than a pixel are drawn paler instead."""
        pixels = width * self.scale
        thickness = max(1, round(pixels))
        colour = round(255 * level * min(1.0, pixels / thickness))
        vertices = [self._vertices(curve) for curve in curves]
        cv2.polylines(mask, vertices, closed, colour, thickness, cv2.LINE_AA, _SHIFT)

    def blur(self, image: Image, radius: float) -> Image:
        """Gaussian blur with a standard deviation of `radius` chest units."""
        sigma = radius * self.scale
        if sigma < 0.3:
            return image
        if sigma <= 4:
            return cv2.GaussianBlur(image, (0, 0), sigma).astype(np.float32, copy=False)
        # A wide blur carries no detail: a quarter of the rows and columns is enough for it.
        small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma / 4)
        return self.enlarge(small.astype(np.float32, copy=False))

    def enlarge(self, small: Image) -> Image:
        """Resizes a coarse image to the film's size, [height, width]."""
        size = (self.width, self.height)
        return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR).astype(
            np.float32, copy=False
        )

    def depth(self, mask: Image, radius: float) -> Image:
        """Rounded thickness 0 to 1 of a shape: rises from its edge, full at `radius` units."""
        small = cv2.resize(mask, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
        # Beyond the film the body goes on: the film's edge is no edge of the body.
        inside = cv2.copyMakeBorder(
            (small > 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE
        )
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
        t = np.clip(distance / (radius * self.scale / 4), 0, 1).astype(np.float32)
        return self.enlarge(np.sqrt(t * (2 - t)))

    def noise(self, rng: np.random.Generator, size: float, *, octaves: int = 3) -> Image:
        """Smooth noise, mean 0 and standard deviation about 1.

        Args:
            rng: source of randomness.
            size: of the coarsest blobs, chest units; each octave is half as large.
            octaves: each has 0.6 of the amplitude of the coarser one.
        """
        total = np.zeros((self.height, self.width), np.float32)
        power = 0.0
        for octave in range(octaves):
            cell = max(1.0, size * self.scale / 2**octave)
            shape = (int(self.height / cell) + 3, int(self.width / cell) + 3)
            grid = rng.standard_normal(shape, dtype=np.float32)
            # A random phase, so that the grid's nodes do not fall on the same pixels.
            shift_x, shift_y = rng.uniform(0, cell, 2)
            matrix = np.array([[cell, 0, -shift_x], [0, cell, -shift_y]], np.float32)
            layer = cv2.warpAffine(
                grid, matrix, (self.width, self.height), flags=cv2.INTER_CUBIC
            )
            amplitude = 0.6**octave
            total += amplitude * layer
            power += amplitude**2 * 0.55
        return (total / np.float32(np.sqrt(power))).astype(np.float32, copy=False)

    def _vertices(self, curve: Curve) -> npt.NDArray[np.int32]:
        return np.round(self.to_pixels(curve) * 2**_SHIFT).astype(np.int32)

    def _as_coverage(self, mask: npt.NDArray[np.uint8], soften: float) -> Image:
        sigma = soften * self.scale
        if 0.3 <= sigma <= 4:
            mask = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.uint8, copy=False)
        coverage = mask.astype(np.float32) / np.float32(255)
        return self.blur(coverage, soften) if sigma > 4 else coverage


def smooth(points: Sequence[tuple[float, float]], *, closed: bool, per_span: int = 10) -> Curve:
    """Catmull-Rom spline through the points, [n, 2]."""
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    before, start, end, after = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, per_span, endpoint=False)[None, :, None]
    spans = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    curve = spans.reshape(-1, 2)
    return curve if closed else np.concatenate([curve, knots[-1:]])


def ellipse(
    centre: tuple[float, float], radii: tuple[float, float], *, tilt: float = 0.0, n: int = 36
) -> Curve:
    """Closed ellipse [n, 2] with its first radius turned by `tilt` radians."""
    t = np.linspace(0, 2 * np.pi, n, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(tilt), np.sin(tilt)
    return np.stack([centre[0] + cos * x - sin * y, centre[1] + sin * x + cos * y], axis=1)
