"""One lung's own surface: its pleura, with vessels, nodules and airways inside it.

Air alone is not the lung: vessels and nodules are holes and clefts in it. They are closed over up
to 12 mm of width; wider soft tissue that reaches the outside is outside (mediastinum, hilum's
great vessels, chest wall, effusion).
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

CLOSING_MM = 6.0


def closed_lung(air: Bools, spacing_mm: float) -> Bools:
    """One lung with what is enclosed by it or no wider than 12 mm.

    Args:
        air: (k, j, i), its aerated voxels, with an empty border of at least 6 mm or the scan's end.
        spacing_mm: isotropic.
    """
    radius = round(CLOSING_MM / spacing_mm) + 1
    wide = np.pad(air, radius)
    near = _distance(wide, spacing_mm) <= CLOSING_MM
    closed = _distance(near, spacing_mm) <= -CLOSING_MM
    closed |= wide
    outside = sitk.ConnectedComponent(sitk.GetImageFromArray((~closed).astype(np.uint8)))
    sizes = sitk.GetArrayFromImage(outside)
    # The frame of padding belongs to the one piece that is truly outside.
    filled: Bools = sizes != sizes[0, 0, 0]
    inner = (slice(radius, -radius),) * 3
    return np.ascontiguousarray(filled[inner])


def depth_mm(lung: Bools, spacing_mm: float) -> Floats:
    """Distance of each voxel's centre to the lung's surface, mm; 0 outside. (k, j, i)."""
    wide = np.pad(lung, 1, mode="edge")  # a scan's end is no pleura
    # A border voxel counts as 0; its centre lies half a voxel within.
    depth = np.where(wide, spacing_mm / 2 - _distance(wide, spacing_mm), 0)
    result: Floats = depth[1:-1, 1:-1, 1:-1].astype(np.float32)
    return result


def _distance(mask: Bools, spacing_mm: float) -> Floats:
    """To the mask's border voxels, mm; negative within it."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((spacing_mm,) * 3)
    far = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    result: Floats = sitk.GetArrayFromImage(far)
    return result
