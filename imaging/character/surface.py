"""A nodule's surface as a smooth level set, on cubes, and its area by the coarea formula.

Voxel faces overestimate a surface by half and know nothing of slices thicker than pixels. Here
the signed distance to the mask is interpolated onto cubes and smoothed a little; the area is the
integral of the gradient of a soft step across its zero (Federer's coarea formula), which is the
mean area of the surfaces within half a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.character.fields import Bools, Floats, Spacing, signed_distance, smoothed

MOST_CUBES = 44
"""Along the mask's longest side; more shows nothing that a radiologist would call shape."""
LEAST_MM = 0.5
STEP = 1.0
"""Half width of the soft step, cubes."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A mask as signed distances on cubes.

    Attributes:
        distance: (k, j, i), mm, negative inside.
        cube_mm: edge of a cube.
    """

    distance: Floats
    cube_mm: float

    def inside(self, sigma_mm: float) -> Floats:
        """How much of each cube lies inside after smoothing by ``sigma_mm``, 0 to 1."""
        cubes = (self.cube_mm,) * 3
        soft = smoothed(self.distance, cubes, sigma_mm) if sigma_mm > 0 else self.distance
        return np.asarray(np.clip(0.5 - soft / (2 * STEP * self.cube_mm), 0, 1), np.float32)

    def volume_mm3(self, sigma_mm: float) -> float:
        """Volume after smoothing, mm3."""
        return float(self.inside(sigma_mm).sum()) * self.cube_mm**3

    def area_mm2(self, sigma_mm: float) -> float:
        """Area of the surface after smoothing, mm2."""
        slopes = np.gradient(self.inside(sigma_mm), self.cube_mm)
        steep = np.sqrt(sum(slope * slope for slope in slopes))
        return float(steep.sum()) * self.cube_mm**3


def shape_of(mask: Bools, spacing: Spacing) -> Shape:
    """The shape of a mask that does not reach the border of its array."""
    at = np.nonzero(mask)
    sides = [(int(a.max()) - int(a.min()) + 1) * s for a, s in zip(at, spacing, strict=True)]
    cube = max(LEAST_MM, max(sides) / MOST_CUBES, min(spacing) * 0.99)
    pads = [int(np.ceil(3 * cube / step)) + 1 for step in spacing]
    box = tuple(
        slice(max(int(a.min()) - p, 0), int(a.max()) + 1 + p) for a, p in zip(at, pads, strict=True)
    )
    distance = signed_distance(mask[box], spacing)
    for axis, step in enumerate(spacing):
        distance = interpolated(distance, axis, step, cube)
    return Shape(distance, cube)


def sphericity(shape: Shape) -> float:
    """Surface of the ball of the same volume over the surface (Wadell 1935), 0 to 1."""
    sigma = shape.cube_mm
    volume, area = shape.volume_mm3(sigma), shape.area_mm2(sigma)
    if area <= 0:
        return 1.0
    return float(min(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area, 1.0))


def interpolated(values: Floats, axis: int, step: float, cube: float) -> Floats:
    """Linear interpolation along one axis to steps of ``cube`` mm."""
    n = values.shape[axis]
    place = np.arange(0, (n - 1) * step + 1e-6, cube) / step
    low = np.minimum(place.astype(int), max(n - 2, 0))
    weight = (place - low).astype(np.float32)
    shape = [1, 1, 1]
    shape[axis] = len(place)
    weight = weight.reshape(shape)
    first, second = np.take(values, low, axis), np.take(values, np.minimum(low + 1, n - 1), axis)
    return np.asarray(first * (1 - weight) + second * weight, np.float32)
