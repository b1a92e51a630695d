"""The aorta's left border beside the gland, where no model segmented the aorta."""

from __future__ import annotations

from typing import Final

import numpy as np

from imaging.pancreas.landmarks import coarse, find_aorta, find_spine
from imaging.volume import Region, Volume

NEAR_MM: Final = 15.0
"""Above and below the gland."""
SHARPNESS: Final = 1.0
"""An aorta that stands out by less is not followed; on plain CT it often is not."""
LEAST_SLICES: Final = 3


def aorta_left_mm(volume: Volume, gland: Region) -> float | None:
    """LPS x of the aorta's left border at the gland, mm; None where it is not clearly seen.

    By roundness and course alone (:mod:`imaging.pancreas.landmarks`): right to a few mm where the
    aorta is enhanced.

    Args:
        volume: CT in HU.
        gland: the pancreas on the volume's grid.
    """
    ct = coarse(volume)
    found = find_aorta(ct, find_spine(ct))
    if found is None:
        return None
    centres = ct.grid.to_lps(found.place)
    z = gland.points_mm[:, 2]
    near = (centres[:, 2] > z.min() - NEAR_MM) & (centres[:, 2] < z.max() + NEAR_MM)
    clear = near & (found.sharpness > SHARPNESS)
    count = np.count_nonzero(clear)
    if count < LEAST_SLICES or 2 * count < np.count_nonzero(near):
        return None
    return float(np.median(centres[clear, 0] + found.radius_mm[clear]))
