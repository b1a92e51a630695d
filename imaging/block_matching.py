"""Block matching: where the cubes that are sought again lie, and where the best match is.

Shared by what judges two CT examinations of one chest (:mod:`imaging.priors.quality`) and two MR
series of one head (:mod:`imaging.agreement`); how alike two cubes are is theirs to say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points

Strength = NDArray[np.float32] | NDArray[np.float64]
Strongest = tuple[float, int, int, int]
"""How much happens at a voxel, and its (k, j, i)."""


def cube_offsets(side: int) -> Points:
    """Offsets (x, y, z) of a cube's voxels [k, j, i] from its middle, (side, side, side, 3).

    In voxels, for grids along +S, +P, +L as ``axial_grid`` makes them.
    """
    line = np.arange(side) - (side - 1) / 2
    k, j, i = np.meshgrid(line, line, line, indexing="ij")
    return np.stack([i, j, k], axis=-1)


def strongest_of_cells(strength: Strength, cell: int) -> list[Strongest]:
    """The voxel of each cell of ``cell`` voxels a side where most happens, strongest first.

    Args:
        strength: (k, j, i); cells where nothing is above 0 are left out.
        cell: voxels.
    """
    found = []
    k, j, i = strength.shape
    for a in range(0, k, cell):
        for b in range(0, j, cell):
            for c in range(0, i, cell):
                part = strength[a : a + cell, b : b + cell, c : c + cell]
                at = np.unravel_index(int(part.argmax()), part.shape)
                if part[at] > 0:
                    found.append((float(part[at]), a + int(at[0]), b + int(at[1]), c + int(at[2])))
    return sorted(found, key=lambda entry: (-entry[0], entry[1:]))


def evenly_along(ranking: list[Strongest], most: int) -> NDArray[np.int64]:
    """Places spread over a ranking, so that the strongest few aren't all there is; (n, 3)."""
    step = max(len(ranking) / most, 1.0)
    chosen = [ranking[int(n * step)][1:] for n in range(int(len(ranking) / step))]
    return np.array(chosen, np.int64).reshape(-1, 3)


def best_match(alike: NDArray[np.float64]) -> tuple[Points, bool]:
    """Where cubes are most alike, to a part of a voxel by a parabola along each axis.

    Args:
        alike: (k, j, i), odd sides; the middle is where the cube was expected.

    Returns:
        How far that is from the middle, (x, y, z) in voxels; and whether it lies at the edge,
        so that the best place may lie beyond what was searched.
    """
    peak = np.unravel_index(int(alike.argmax()), alike.shape)
    off, edge = [], False
    for axis, at in enumerate(peak):
        shift = float(at - alike.shape[axis] // 2)
        if 0 < at < alike.shape[axis] - 1:
            low, mid, high = (
                alike[tuple(p + d * (n == axis) for n, p in enumerate(peak))] for d in (-1, 0, 1)
            )
            bend = low - 2 * mid + high
            if bend < -1e-9:
                shift += float(np.clip(0.5 * (low - high) / bend, -0.5, 0.5))
        else:
            edge = True
        off.append(shift)
    return np.array(off[::-1]), edge
