"""Density over a nodule's mask, and over its inside."""

from __future__ import annotations

import numpy as np

from imaging.character.patch import Patch
from imaging.nodule import Density

CORE_MM = 1.5
"""The inside lies deeper than a blurred edge reaches."""
LEAST_VOXELS = 8


def density_of(patch: Patch, coarse: Patch) -> Density:
    """HU over the mask as it is drawn; the core's mean where the mask has an inside.

    Args:
        patch: the nodule.
        coarse: the same, maybe on fewer voxels, which finds the inside faster.
    """
    values = patch.hu[patch.mask].astype(np.float64)
    p5, p25, median, p75, p95 = np.percentile(values, (5, 25, 50, 75, 95)).tolist()
    inside = coarse.hu[coarse.distance < -CORE_MM]
    return Density(
        mean_hu=round(float(values.mean()), 1),
        sd_hu=round(float(values.std()), 1),
        p5_hu=round(p5, 1),
        p25_hu=round(p25, 1),
        median_hu=round(median, 1),
        p75_hu=round(p75, 1),
        p95_hu=round(p95, 1),
        core_mean_hu=(
            round(float(inside.mean(dtype=np.float64)), 1) if inside.size >= LEAST_VOXELS else None
        ),
    )
