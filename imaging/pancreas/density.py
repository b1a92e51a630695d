"""The density of the gland's own tissue: what lesions are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.character.fields import signed_distance
from imaging.errors import NotMeasured
from imaging.pancreas.shape import on_box, union
from imaging.volume import Region, Volume

RIM_MM: Final = 1.5
"""The gland's border holds fat by partial volume."""
AROUND_MM: Final = 2.0
"""What lies so near to a duct or a lesion is not judged: their edges are blurred."""
LEAST_VOXELS: Final = 50


@dataclass(frozen=True)
class Density:
    """Of the gland's tissue, HU.

    Attributes:
        median_hu: robust against what fat and vessels remain.
        sd_hu: 1.4826 times the median deviation from it.
    """

    median_hu: float
    sd_hu: float


def parenchyma(
    volume: Volume,
    gland: Region,
    *,
    without: Sequence[Region] = (),
    around: NDArray[np.float64] | None = None,
) -> Density:
    """Density of the gland without its rim, its lesions and its duct.

    Args:
        volume: CT in HU.
        gland: its mask on the volume's grid.
        without: masks of lesions, ducts and vessels.
        around: LPS points (n, 3) that are left out with 3 mm around them: a duct's line.

    Raises:
        NotMeasured: too little is left.
    """
    tight = union([gland])
    mask = tight.voxels
    spacing = volume.grid.spacing_mm
    # In the plane alone: a 5 mm slice's neighbours are no rim.
    flat = (1e4, spacing[1], spacing[2])
    framed = np.pad(mask, 1)
    inner = signed_distance(framed, flat)[1:-1, 1:-1, 1:-1] < -RIM_MM
    if np.count_nonzero(inner) < LEAST_VOXELS:
        inner = mask
    others = [on_box(region, tight) for region in without]
    if around is not None and len(around):
        others.append(_marked(around, tight))
    for other in others:
        if other.any():
            inner = inner & (signed_distance(other, flat) > AROUND_MM)
    values = volume.voxels[tight.box][inner]
    if values.size < LEAST_VOXELS:
        raise NotMeasured(f"{values.size} voxels of parenchyma are left beside lesions and duct")
    median = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values.astype(np.float64) - median)))
    return Density(round(median, 1), round(spread, 1))


def _marked(points_mm: NDArray[np.float64], box: Region) -> NDArray[np.bool_]:
    out = np.zeros(box.voxels.shape, bool)
    index = np.rint(box.within.to_index(points_mm)).astype(int) - np.array(box.start)
    fits = np.all((index >= 0) & (index < np.array(out.shape)), axis=1)
    out[tuple(index[fits].T)] = True
    return out
