"""The gland in axial slices, as density against its own parenchyma: what every map here is made of.

Each voxel is HU less the median of this patient's organ. Adding a constant to all HU changes
nothing, so a phase or a badly calibrated scanner shifts no map.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.resample import resample, resample_probability
from imaging.volume import Region, Volume

PIXEL_MM = 1.6
SLICE_MM = 2.5
"""Thinner slices are averaged up to this; thicker ones stay as they are."""
MULTIPLE = 16
"""Sides of a slice are multiples of this: the heat net halves it four times."""
MARGIN_MM = 6.0

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class GlandSlices:
    """The organ's box, slice by slice; k runs to the head, j to the back, i to the left.

    Attributes:
        delta: [k, j, i] HU less ``parenchyma_hu``; also around the organ.
        organ: [k, j, i].
        grid: where they are, LPS mm; 1.6 mm within a slice.
        parenchyma_hu: median over the organ.
    """

    delta: Floats
    organ: Bools
    grid: Grid
    parenchyma_hu: float


def gland_slices(volume: Volume, organ: Region) -> GlandSlices | None:
    """Cut the organ out of a CT.

    Args:
        volume: HU, any orthogonal grid.
        organ: on the volume's grid.

    Returns:
        None where the organ is so small that no voxel of 1.6 mm lies in it.
    """
    if not organ.voxels.any():
        return None
    fine, across = _fine_grid(organ)
    inside = organ.voxels
    values = resample(_cut(volume, fine), fine, fill=0.0).voxels
    share = resample_probability(inside.astype(np.float32), organ.mask.grid, fine)
    affine = fine.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array([across, 2, 2])
    affine[:3, 3] = fine.to_lps([(across - 1) / 2, 0.5, 0.5])
    mask = _averaged(share, across) >= 0.5
    if not mask.any():
        return None
    hu = _averaged(values, across)
    middle = float(np.median(hu[mask]))
    k, j, i = hu.shape
    return GlandSlices(hu - np.float32(middle), mask, Grid((k, j, i), affine), middle)


def _averaged(values: np.ndarray, across: int) -> Floats:
    """Two by two in a slice, ``across`` slices into one: noise as in the training slices."""
    k, j, i = values.shape
    blocks = values.reshape(k // across, across, j // 2, 2, i // 2, 2)
    return np.ascontiguousarray(blocks.mean((1, 3, 5)), dtype=np.float32)


def _fine_grid(organ: Region) -> tuple[Grid, int]:
    """Half the working pixel over the organ's box, and how many of its slices make one."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in organ.voxels.shape])).reshape(3, -1).T
    points = organ.mask.grid.to_lps(corners)
    low, high = points.min(0), points.max(0)
    axes = np.abs(organ.within.affine[2, :3]) / np.asarray(organ.within.spacing_mm)
    apart = organ.within.spacing_mm[int(np.argmax(axes))]
    planes = round((high[2] - low[2]) / apart) + 1
    across = min(ceil(SLICE_MM / apart - 0.01), planes) if apart < SLICE_MM else 1
    # Whole groups of slices; the last may reach past the organ.
    planes = ceil(planes / across) * across
    pixel = PIXEL_MM / 2
    sides = [
        ceil(((length + 2 * MARGIN_MM) / PIXEL_MM + 1) / MULTIPLE) * MULTIPLE * 2
        for length in (high - low)[:2]
    ]
    middle = (low + high) / 2
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, pixel], [0, pixel, 0], [apart, 0, 0]])
    affine[0, 3] = middle[0] - (sides[0] - 1) / 2 * pixel
    affine[1, 3] = middle[1] - (sides[1] - 1) / 2 * pixel
    affine[2, 3] = low[2]
    return Grid((planes, sides[1], sides[0]), affine), across


def _cut(volume: Volume, target: Grid) -> Volume:
    """The part of a volume that ``target`` needs."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in target.shape])).reshape(3, -1).T
    index = volume.grid.to_index(target.to_lps(corners))
    shape = np.array(volume.grid.shape)
    low = np.clip(np.floor(index.min(0)).astype(int) - 1, 0, shape - 1)
    high = np.clip(np.ceil(index.max(0)).astype(int) + 2, low + 1, shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    start = (int(low[0]), int(low[1]), int(low[2]))
    part = volume.voxels[box].astype(np.float32)
    k, j, i = part.shape
    return Volume(part, volume.grid.crop(start, (k, j, i)))
