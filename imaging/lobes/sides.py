"""Right and left lung of one mask, parted where the mediastinum is.

The parting is a surface x = s(z, y): in each axial slice a line from front to back that crosses
as little aerated lung as it can. It runs through the mediastinum wherever there is one; where the
lungs touch, at the junction lines, it follows the thin bright line of their four pleural layers.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.resample import axial_grid, resample
from imaging.volume import Volume

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

AERATED_HU = -450.0
AIRWAY_MM2 = 800.0
AIRWAY_HU = -930.0
AIRWAY_MM = 35.0
"""A piece of air in a slice is windpipe or main bronchus: smaller, darker and nearer the middle."""
PULL_PER_MM = 0.0008
"""What a step away from the body's middle costs, in crossed voxels of lung a row."""
BEND = 0.4
"""What a sideways step of the parting costs, in crossed voxels of lung."""
TOUCHING_HU, DARK_HU = -600.0, -850.0
"""A voxel costs nothing to cross above the first and all below the second."""


def body_middle(volume: Volume) -> float:
    """The middle of the body, LPS x in mm, over the slices of a whole volume."""
    coarse = resample(volume, axial_grid(volume.grid, 6.0))
    columns = np.flatnonzero((coarse.voxels > -300).any(1).mean(0) > 0.5)
    if len(columns) == 0:
        columns = np.array([0, coarse.grid.shape[2] - 1])
    return float(coarse.grid.to_lps([0, 0, (columns[0] + columns[-1]) / 2])[0])


def aerated_lung(volume: Volume, lungs: Bools, middle: float) -> Bools:
    """Aerated lung without windpipe and main bronchi, (k, j, i).

    Args:
        volume: HU along +S, +P, +L, isotropic.
        lungs: the closed lung mask on the same grid.
        middle: the body's, as a column index.
    """
    hu = volume.voxels
    air: Bools = lungs & (hu < AERATED_HU)
    rows = air.any((1, 2))
    spacing = volume.grid.spacing_mm[2]
    airway = np.zeros_like(air)
    for k in np.flatnonzero(rows):
        labels = sitk.GetArrayFromImage(
            sitk.ConnectedComponent(sitk.GetImageFromArray(air[k].astype(np.uint8)))
        )
        sizes = np.bincount(labels.ravel())
        for label in np.flatnonzero(sizes * spacing**2 < AIRWAY_MM2):
            if sizes[label] * spacing**2 < 12:
                continue
            piece = labels == label
            column = np.flatnonzero(piece.any(0)).mean()
            if abs(column - middle) * spacing < AIRWAY_MM and np.median(hu[k][piece]) < AIRWAY_HU:
                airway[k] |= piece
    result: Bools = air & ~airway
    return result


def right_of(volume: Volume, air: Bools, middle: float) -> Bools:
    """Where the patient's right side is: True right of the parting surface, (k, j, i)."""
    hu = volume.voxels
    spacing = volume.grid.spacing_mm[2]
    cost = np.clip((TOUCHING_HU - hu) / np.float32(TOUCHING_HU - DARK_HU), 0, 1)
    cost = np.where(air, cost.astype(np.float32), np.float32(0))
    away = np.abs(np.arange(hu.shape[2]) - middle) * spacing
    cost += (PULL_PER_MM * away).astype(np.float32)
    # Along y each slice on its own, then along z over what each slice found.
    found = _marginal(cost.transpose(1, 0, 2)).transpose(1, 0, 2)
    found -= found.min(2, keepdims=True)
    surface = _marginal(np.ascontiguousarray(found)).argmin(2)
    right: Bools = np.arange(hu.shape[2]) < surface[:, :, None]
    return right


def _marginal(cost: Floats) -> Floats:
    """For each voxel the cost of the cheapest path along axis 0 through it (min-marginals)."""
    forth = _swept(cost)
    back = _swept(cost[::-1])[::-1]
    total: Floats = forth + back - cost
    return total


def _swept(cost: Floats) -> Floats:
    total = np.array(cost)
    for n in range(1, len(cost)):
        before = total[n - 1]
        best = before.copy()
        for step in (1, 2):
            price = np.float32(BEND * step)
            np.minimum(best[:, step:], before[:, :-step] + price, out=best[:, step:])
            np.minimum(best[:, :-step], before[:, step:] + price, out=best[:, :-step])
        total[n] += best
    return total
