"""From a CT to the slices that the organ net takes.

The net was shown clip(HU, 0, 255), averaged two by two from pixels of about 0.8 mm: here the same
is done in the same order, so that the edge of the gland against fat looks as it did there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.resample import axial_grid, resample
from imaging.volume import Volume

PIXEL_MM = 1.6
SLICE_MM = 2.5
"""Thinner slices are averaged up to this; thicker ones stay as they are."""
LOWEST_HU, HIGHEST_HU = 0.0, 255.0
MULTIPLE = 32
"""Sides of a slice are multiples of this: the net halves it five times."""
BODY_HU = -200.0
MARGIN_MM = 12.0

Slices = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class AxialSlices:
    """What the net sees of a volume.

    Attributes:
        values: [n, j, i], clip(HU, 0, 255); n runs to the head, j to the back, i to the left.
        grid: where they are, LPS mm.
    """

    values: Slices
    grid: Grid

    def between(self, first: int, end: int) -> AxialSlices:
        """The slices from ``first`` on, up to ``end`` and without it."""
        _, j, i = self.grid.shape
        return AxialSlices(
            self.values[first:end], self.grid.crop((first, 0, 0), (end - first, j, i))
        )


def axial_slices(volume: Volume) -> AxialSlices:
    """The body's box at 1.6 mm, in slices of 2.5 mm or as thick as they were scanned.

    Args:
        volume: CT in HU, any spacing and orientation, the axes orthogonal.
    """
    box = _body_box(volume)
    apart = _slice_distance(volume.grid)
    # All planes, whatever the coarse box's last one is.
    stack = axial_grid(volume.grid, apart)
    planes = stack.shape[0]
    across = min(ceil(SLICE_MM / apart - 0.01), planes) if apart < SLICE_MM else 1
    lowest_mm = float(stack.affine[2, 3])
    fine = _fine_grid(box, apart, lowest_mm, planes // across * across)
    clipped = Volume(np.clip(volume.voxels, LOWEST_HU, HIGHEST_HU).astype(np.float32), volume.grid)
    values = resample(clipped, fine, fill=LOWEST_HU).voxels
    k, j, i = fine.shape
    if across > 1:
        values = values.reshape(k // across, across, j, i).mean(1)
    rows = values[:, ::2] + values[:, 1::2]
    averaged = (rows[:, :, ::2] + rows[:, :, 1::2]) / 4
    affine = fine.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array([across, 2, 2])
    affine[:3, 3] = fine.to_lps([(across - 1) / 2, 0.5, 0.5])
    shape = (k // across, j // 2, i // 2)
    return AxialSlices(np.ascontiguousarray(averaged, dtype=np.float32), Grid(shape, affine))


def _slice_distance(grid: Grid) -> float:
    """Of the axis that runs to the head, mm."""
    axes = np.abs(grid.affine[2, :3]) / np.asarray(grid.spacing_mm)
    return grid.spacing_mm[int(np.argmax(axes))]


def _body_box(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest corner of the body in LPS mm; the whole volume where there is none."""
    coarse = axial_grid(volume.grid, 5.0)
    dense = resample(volume, coarse).voxels > BODY_HU
    image = sitk.GetImageFromArray(dense.astype(np.uint8))
    # The couch is a thin shell: an opening takes it off.
    opened = sitk.BinaryMorphologicalOpening(image, [1, 1, 0], sitk.sitkCross)
    pieces = sitk.RelabelComponent(sitk.ConnectedComponent(opened))
    body = sitk.GetArrayFromImage(pieces) == 1
    low, high = np.zeros(3), np.array(coarse.shape) - 1.0
    if body.any():
        for axis in (1, 2):
            at = np.flatnonzero(body.any(tuple(n for n in range(3) if n != axis)))
            margin = MARGIN_MM / 5.0
            low[axis] = max(at[0] - margin, 0)
            high[axis] = min(at[-1] + margin, coarse.shape[axis] - 1)
    return coarse.to_lps(low), coarse.to_lps(high)


def _fine_grid(
    box: tuple[NDArray[np.float64], NDArray[np.float64]],
    apart: float,
    lowest_mm: float,
    planes: int,
) -> Grid:
    """Axes to the head, back and left over ``box``: what is averaged to the net's pixels.

    Both sides of a slice come out as multiples of 32 net pixels, padded about the middle;
    ``planes`` begin at ``lowest_mm``.
    """
    low, high = box
    pixel = PIXEL_MM / 2
    size = high - low
    sides = [ceil((length / PIXEL_MM + 1) / MULTIPLE) * MULTIPLE * 2 for length in size[:2]]
    middle = (low + high) / 2
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, pixel], [0, pixel, 0], [apart, 0, 0]])
    affine[0, 3] = middle[0] - (sides[0] - 1) / 2 * pixel
    affine[1, 3] = middle[1] - (sides[1] - 1) / 2 * pixel
    affine[2, 3] = lowest_mm
    return Grid((planes, sides[1], sides[0]), affine)
