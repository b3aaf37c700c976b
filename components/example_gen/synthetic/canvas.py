"""From chest units to pixels: placement, rasterisation and smooth noise.

Curves are float arrays [n, 2] of (x, y) in chest units; images are float32 [height, width].
"""

import dataclasses
from collections.abc import Sequence

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

    def fill(self, curves: Sequence[Curve], *, soften: float = 0.0) -> Image:
        """Union of closed curves as coverage 0 to 1, blurred by `soften` chest units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for vertices in self._vertices(curves):
            # One by one: together, overlapping polygons would cancel out.
            cv2.fillPoly(mask, [vertices], 255, cv2.LINE_AA, _SHIFT)
        return self._as_coverage(mask, soften)

    def stroke(self, curves: Sequence[Curve], *, width: float, soften: float = 0.0) -> Image:
        """Open lines of `width` chest units as coverage 0 to 1, blurred by `soften` units."""
        mask = np.zeros((self.height, self.width), np.uint8)
        self.stroke_onto(mask, curves, width=width, level=1.0)
        return self._as_coverage(mask, soften)

    def bones(
        self,
        shapes: Sequence[Curve],
        *,
        marrow: float,
        cortex: float,
        soften: float,
        rims: Sequence[Curve] | None = None,
    ) -> Image:
        """Shapes filled with `marrow`, their rims drawn at 1, blurred by `soften` units.

        Args:
            shapes: closed curves.
            marrow: level of the inside, 0 to 1.
            cortex: width of the rims, chest units.
            soften: standard deviation of the blur, chest units.
            rims: open curves to draw in place of the shapes' whole outlines.
        """
        mask = np.zeros((self.height, self.width), np.uint8)
        for vertices in self._vertices(shapes):
            cv2.fillPoly(mask, [vertices], round(255 * marrow), cv2.LINE_AA, _SHIFT)
        # A rim thinner than a pixel is drawn pale, and must not pale the marrow below it.
        lines = np.zeros_like(mask) if cortex * self.scale < 1 else mask
        self.stroke_onto(lines, rims or shapes, width=cortex, level=1.0, closed=rims is None)
        return self._as_coverage(np.maximum(mask, lines), soften)

    def halved(self) -> "Canvas":
        """The same film at half of the resolution, for layers without fine detail."""
        return Canvas(
            -(-self.height // 2),
            -(-self.width // 2),
            self.scale / 2,
            (self.origin[0] / 2, self.origin[1] / 2),
            self.rotation,
        )

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
        cv2.polylines(mask, self._vertices(curves), closed, colour, thickness, cv2.LINE_AA, _SHIFT)

    def blur(self, image: Image, radius: float) -> Image:
        """Gaussian blur with a standard deviation of `radius` chest units."""
        sigma = radius * self.scale
        if sigma < 0.4:
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
        coarse = np.zeros((-(-self.height // 4), -(-self.width // 4)), np.float32)
        fine = np.zeros((self.height, self.width), np.float32)
        power = 0.0
        for octave in range(octaves):
            cell = max(1.0, size * self.scale / 2**octave)
            amplitude = np.float32(0.6**octave)
            if cell >= 12:  # smooth enough to be made at a quarter of the resolution
                coarse += amplitude * _value_noise(rng, coarse.shape, cell / 4)
            else:
                fine += amplitude * _value_noise(rng, fine.shape, cell)
            power += 0.55 * 0.36**octave
        return (fine + self.enlarge(coarse)) / np.float32(np.sqrt(power))

    def _vertices(self, curves: Sequence[Curve]) -> list[npt.NDArray[np.int32]]:
        # One conversion for all of them: a vessel tree has hundreds of short curves.
        pixels = self.to_pixels(np.concatenate(curves)) * 2**_SHIFT
        ends = np.cumsum([len(curve) for curve in curves])
        vertices = np.round(pixels).astype(np.int32)
        starts = [0, *ends[:-1]]
        return [vertices[start:end] for start, end in zip(starts, ends, strict=True)]

    def _as_coverage(self, mask: npt.NDArray[np.uint8], soften: float) -> Image:
        sigma = soften * self.scale
        if 0.4 <= sigma <= 4:
            mask = cv2.GaussianBlur(mask, (0, 0), sigma).astype(np.uint8, copy=False)
        coverage = mask.astype(np.float32) / np.float32(255)
        return self.blur(coverage, soften) if sigma > 4 else coverage


def _value_noise(rng: np.random.Generator, shape: tuple[int, ...], cell: float) -> Image:
    """Random values on a grid of `cell` pixels, interpolated to shape [height, width]."""
    height, width = shape
    grid_shape = (int(height / cell) + 3, int(width / cell) + 3)
    grid = rng.standard_normal(grid_shape, dtype=np.float32)
    size = (round(grid_shape[1] * cell), round(grid_shape[0] * cell))
    layer = cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
    # A random phase, so that the grid's nodes do not fall on the same pixels in every film.
    top, left = (int(shift) for shift in rng.uniform(0.5 * cell, 1.5 * cell, 2))
    return layer[top : top + height, left : left + width].astype(np.float32, copy=False)


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
