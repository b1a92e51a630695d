"""Between our volumes and the arrays networks are made for.

A :class:`~imaging.volume.Volume` is (k, j, i) with an affine to LPS mm; MONAI's arrays are
(c, x, y, z) with an affine from (x, y, z, 1) to **RAS mm**. (x, y, z) = (i, j, k), so that an
array is a transposed view of the voxels, and RAS = diag(-1, -1, 1) LPS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.resample import resample
from imaging.volume import Volume

Affine = Annotated[NDArray[np.float64], "4x4; (x, y, z, 1) -> RAS mm"]
Array = Annotated[NDArray[np.generic], "c, x, y, z"]
Axes = tuple[int, int, int]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Image:
    """Series of one patient on one grid, as the channels of an array.

    Args:
        voxels: (c, x, y, z), HU for CT, signal for MR; often a view.
        affine: (x, y, z, 1) to RAS mm.
    """

    voxels: Array
    affine: Affine


def image_of(volumes: Sequence[Volume]) -> Image:
    """One or several volumes as an image on the first one's grid.

    One volume is not copied. Others that lie on another grid are resampled linearly; where
    they don't reach, their own lowest value stands (air in CT, nothing in MR).

    Raises:
        ValueError: there is no volume, or one that has to be resampled has a sheared grid.
    """
    if not volumes:
        raise ValueError("an image needs at least one volume")
    first = volumes[0]
    channels = [first.voxels]
    for other in volumes[1:]:
        if not other.grid.same_as(first.grid):
            other = resample(other, first.grid, fill=float(other.voxels.min()))
        channels.append(other.voxels)
    stack = first.voxels[np.newaxis] if len(channels) == 1 else np.stack(channels)
    return Image(stack.transpose(0, 3, 2, 1), ras_affine(first.grid))


def ras_affine(grid: Grid) -> Affine:
    """The affine of a grid's array: (i, j, k, 1) to RAS mm."""
    return np.asarray(LPS_TO_RAS @ grid.affine[:, [2, 1, 0, 3]], dtype=np.float64)


def to_kji(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """(..., x, y, z) on a volume's grid as (..., k, j, i); a view."""
    return np.swapaxes(array, -1, -3)


def closest_axes(affine: Affine) -> tuple[Axes, Axes]:
    """Which patient axis each voxel axis follows most nearly.

    Returns:
        For each of (x, y, z) the number of the axis among (R, A, S), and 1 where it grows
        that way, -1 where it grows the other way. An oblique grid is judged by the rotation
        nearest to it, the axis that is surest first, as nibabel's ``io_orientation`` does.
    """
    matrix = np.asarray(affine, np.float64)[:3, :3]
    u, _, vt = np.linalg.svd(matrix / np.linalg.norm(matrix, axis=0))
    rotation = u @ vt
    axes, signs = [0, 0, 0], [1, 1, 1]
    # Stable, so that of two equally sure axes the first one chooses.
    for column in np.argsort(-(rotation**2).max(axis=0), kind="stable"):
        row = int(np.argmax(np.abs(rotation[:, column])))
        axes[column], signs[column] = row, -1 if rotation[row, column] < 0 else 1
        rotation[row, :] = 0
    return (axes[0], axes[1], axes[2]), (signs[0], signs[1], signs[2])
