"""The groups nodules are reported in: by size, by texture, and by place in the lung."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.lungs import LungMask

SIZES_MM = ((0.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0), (10.0, 20.0), (20.0, math.inf))
AT_LEAST_MM = 6.0
TEXTURES = ("ground glass", "part solid", "solid")
WALL_MM = 2.0
"""Nearer to the edge of the lung: attached to it. One voxel of the lung mask."""
SUBPLEURAL_MM = 10.0
DEPTHS = ("attached to the wall", "subpleural (< 10 mm)", "central")
THIRDS = ("upper third", "middle third", "lower third")


def _size_name(low: float, high: float) -> str:
    if low == 0:
        return f"size below {high:.0f} mm"
    return f"size from {low:.0f} mm" if math.isinf(high) else f"size {low:.0f} to {high:.0f} mm"


ALL_FROM = f"all from {AT_LEAST_MM:.0f} mm"
ORDER = (
    ALL_FROM,
    *(_size_name(low, high) for low, high in SIZES_MM),
    *(f"texture {name}" for name in TEXTURES),
    *(f"place {name}" for name in DEPTHS),
    *(f"place {name}" for name in THIRDS),
)
"""Every group here, in the order of reports."""


def size_groups(diameter_mm: float) -> tuple[str, ...]:
    """The size's group, and the one of all that matter."""
    names = [_size_name(a, b) for a, b in SIZES_MM if a <= diameter_mm < b]
    return (ALL_FROM, *names) if diameter_mm >= AT_LEAST_MM else tuple(names)


def texture_groups(texture: float | None) -> tuple[str, ...]:
    """By LIDC's rating, 1 ground glass to 5 solid, its mean over readers; none where unrated.

    LIDC names 1, 3 and 5 only; 2 and 4 lie between and go to part solid.
    """
    if texture is None or not math.isfinite(texture):
        return ()
    if texture < 1.5:
        return (f"texture {TEXTURES[0]}",)
    return (f"texture {TEXTURES[1] if texture < 4.5 else TEXTURES[2]}",)


class Places:
    """Where in the lungs a nodule lies, from the scan's lung mask.

    The mask is closed over nodules on the pleura, so a nodule that touches the wall, or the
    mediastinum, reaches the mask's edge.
    """

    def __init__(self, lungs: LungMask) -> None:
        self._grid = lungs.mask.grid
        self._inside = lungs.mask.voxels
        rows = np.flatnonzero(self._inside.any(axis=(1, 2)))
        self._span = (int(rows[0]), int(rows[-1])) if len(rows) else None
        padded = sitk.GetImageFromArray(np.pad(self._inside, 1).astype(np.uint8))
        padded.SetSpacing(tuple(float(s) for s in reversed(self._grid.spacing_mm)))
        far = sitk.SignedMaurerDistanceMap(
            padded, insideIsPositive=True, squaredDistance=False, useImageSpacing=True
        )
        self._depth: NDArray[np.float32] = sitk.GetArrayFromImage(far)[1:-1, 1:-1, 1:-1]

    def groups(self, points_mm: NDArray[np.float64]) -> tuple[str, ...]:
        """The place groups of a nodule given by its voxels' positions, LPS mm, [n, 3].

        Empty where the mask is.
        """
        if self._span is None:
            return ()
        index = self._grid.to_index(points_mm)
        at = np.clip(np.rint(index).astype(int), 0, np.array(self._inside.shape) - 1)
        depth = float(self._depth[tuple(at.T)].min())
        place = 0 if depth <= WALL_MM else 1 if depth < SUBPLEURAL_MM else 2
        low, high = self._span
        up = (float(index[:, 0].mean()) - low) / max(high - low, 1)  # the grid runs to the head
        third = min(max(int((1 - up) * 3), 0), 2)
        return f"place {DEPTHS[place]}", f"place {THIRDS[third]}"


def sphere_mm(centre_mm: Sequence[float], diameter_mm: float) -> NDArray[np.float64]:
    """Points that fill a ball, 1 mm apart, LPS mm, [n, 3]: a nodule of which no mask is known."""
    reach = max(math.ceil(diameter_mm / 2), 1)
    axis = np.arange(-reach, reach + 1)
    at = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype(float)
    inside = at[np.linalg.norm(at, axis=1) <= diameter_mm / 2]
    return np.asarray(centre_mm, np.float64) + (inside if len(inside) else np.zeros((1, 3)))
