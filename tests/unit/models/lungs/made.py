"""A piece of lung at 1 mm with texture, a chest wall and a nodule, in the nets' units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.lungs.nodules import to_input

SIDE = 96
WALL = 72
"""Beyond this along j there is chest wall."""
LUNG_HU, TISSUE_HU = -850.0, 40.0


def distance_to(centre: tuple[float, float, float], side: int = SIDE) -> NDArray[np.float64]:
    """Of each voxel, mm."""
    at = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"), axis=-1)
    return np.asarray(np.linalg.norm(at - np.asarray(centre), axis=-1))


def lung_with(
    centre: tuple[float, float, float], diameter_mm: float, side: int = SIDE
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The image [k, j, i] and the nodule's mask; a nodule in the wall is part of it."""
    rng = np.random.default_rng(5)
    hu = LUNG_HU + rng.normal(0, 40, (side,) * 3)
    hu[:, WALL:] = TISSUE_HU + rng.normal(0, 10, hu[:, WALL:].shape)
    distance = distance_to(centre, side)
    share = np.clip(diameter_mm / 2 + 0.5 - distance, 0, 1)
    hu = hu + share * np.maximum(TISSUE_HU - hu, 0)
    return to_input(hu), distance <= diameter_mm / 2


def brightness(crops: NDArray[np.float32]) -> NDArray[np.float32]:
    """A detector that sees brightness alone: [n, 1, k, j, i] to [n, 2, k/4, j/4, i/4]."""
    n, _, k, j, i = crops.shape
    cells = crops.reshape(n, k // 4, 4, j // 4, 4, i // 4, 4).mean(axis=(2, 4, 6))
    logit = 6 * cells
    return np.stack([logit, np.full_like(logit, np.log(6.0))], axis=1).astype(np.float32)
