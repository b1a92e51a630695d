"""Three perpendicular axes of a lesion in space."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points
from imaging.pancreas.shape import shape_of, surface_points
from imaging.volume import Region

STEP_MM: Final = 0.8
_TURNS: Final = 180
_SPHERE: Final = 1500


def three_axes(lesion: Region) -> tuple[float, float, float]:
    """The longest axis, the longest across it, and the extent across both, mm.

    Extents between parallel planes that touch the border, which runs half-way between voxels
    inside and outside and is interpolated between slices.

    Args:
        lesion: its mask, not empty, on any orthogonal grid.

    Raises:
        NotMeasured: the mask is empty.
    """
    points = surface_points(shape_of(lesion, step_mm=STEP_MM))
    if not len(points):
        # Thinner than the grid: the voxels themselves.
        points = lesion.points_mm
    points = points - points.mean(axis=0)
    first, way = _longest(points, _sphere())
    across = _across(way)
    second, other = _longest(points, across)
    third = float(np.ptp(points @ np.cross(way, other)))
    return round(first, 1), round(second, 1), round(third, 1)


def _longest(points: Points, ways: Points) -> tuple[float, NDArray[np.float64]]:
    extents = np.ptp(points @ ways.T, axis=0)
    best = int(extents.argmax())
    return float(extents[best]), ways[best]


def _sphere() -> Points:
    """Directions over half a sphere, 2.5 degrees apart (Fibonacci lattice)."""
    n = np.arange(_SPHERE) + 0.5
    z = n / _SPHERE
    turn = np.pi * (1 + 5**0.5) * n
    flat = np.sqrt(1 - z**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)


def _across(way: NDArray[np.float64]) -> Points:
    helper = np.array([0.0, 0.0, 1.0]) if abs(way[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    first = np.cross(way, helper)
    first /= np.linalg.norm(first)
    second = np.cross(way, first)
    angles = np.arange(_TURNS) * np.pi / _TURNS
    return np.asarray(np.cos(angles)[:, None] * first + np.sin(angles)[:, None] * second)
