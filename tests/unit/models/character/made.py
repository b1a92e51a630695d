"""Nodules of known shape in lung, on grids of any spacing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.volume import Region, Volume

LUNG_HU, TISSUE_HU = -850.0, 40.0
BLUR_MM = 2.0
"""From lung to nodule, as a scanner images an edge."""

Inside = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Points in mm from the middle, [..., 3], to a distance that is negative inside."""


def ball(diameter_mm: float) -> Inside:
    """A ball."""
    return lambda at: np.linalg.norm(at, axis=-1) - diameter_mm / 2


def star(diameter_mm: float, depth_mm: float) -> Inside:
    """A ball with eight ridges in the axial plane."""

    def distance(at: NDArray[np.float64]) -> NDArray[np.float64]:
        wave = depth_mm * np.cos(8 * np.arctan2(at[..., 1], at[..., 0]))
        return np.asarray(np.linalg.norm(at, axis=-1) - diameter_mm / 2 - wave)

    return distance


def nodule(
    inside: Inside,
    spacing: tuple[float, float, float] = (1.25, 0.7, 0.7),
    *,
    side_mm: float = 60.0,
    hu: float = TISSUE_HU,
    noise: float = 15.0,
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> tuple[Volume, Region]:
    """A volume with one nodule in its middle, its edge blurred, and its mask.

    Args:
        inside: its shape.
        spacing: (k, j, i), mm.
        side_mm: of the volume.
        hu: of the nodule.
        noise: standard deviation, HU.
        shift_mm: of the nodule from the middle, x, y, z.
    """
    k_mm, j_mm, i_mm = spacing
    shape = tuple(round(side_mm / mm) for mm in spacing)
    affine = np.array([[0, 0, i_mm, 0], [0, j_mm, 0, 0], [k_mm, 0, 0, 0], [0, 0, 0, 1.0]])
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    at = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    middle = grid.to_lps((np.array(shape) - 1) / 2)
    distance = inside(grid.to_lps(at) - middle - np.asarray(shift_mm))
    share = np.clip(0.5 - distance / BLUR_MM, 0, 1)
    rng = np.random.default_rng(0)
    voxels = LUNG_HU + share * (hu - LUNG_HU) + rng.normal(0, noise, shape)
    mask = distance <= 0
    rows = np.argwhere(mask)
    low, high = rows.min(0), rows.max(0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    start = (int(low[0]), int(low[1]), int(low[2]))
    return Volume(voxels.astype(np.float32), grid), Region(mask[box], start, grid)
