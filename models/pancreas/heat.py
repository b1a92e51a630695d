"""The learned map: where the gland is darker than a net would expect of this patient.

Research grade: learned on lesions simulated inside healthy glands, on real cancers no better than
darkness and place (see the model card). No probability, no yes or no.
"""

from __future__ import annotations

import numpy as np

from imaging.resample import resample_probability
from imaging.volume import Region, Volume
from models.lesions import HeatMap
from models.pancreas.gland import Bools, Floats, GlandSlices, gland_slices
from models.runtime import Runtime

SCALE_HU, REACH = 40.0, 2.5
"""The net's unit of density, and where it is cut off on both sides."""
BATCH = 8


def heat_map(volume: Volume, organ: Region, runner: Runtime, batch: int = BATCH) -> HeatMap:
    """The map over the organ's box.

    Args:
        volume: CT in HU, any orthogonal grid.
        organ: the pancreas on the volume's grid.
        runner: the heat net: [n, 2, j, i] (:func:`to_input`) to logits [n, 1, j, i].
        batch: slices a pass.

    Returns:
        Values on the source's voxels, 0 outside the organ.

    Raises:
        InferenceFailed: the network could not be run.
    """
    gland = gland_slices(volume, organ)
    if gland is None:
        return HeatMap(np.zeros(organ.voxels.shape, np.float32), organ)
    return HeatMap(on_source(learned(gland, runner, batch), gland, organ), organ)


def learned(gland: GlandSlices, runner: Runtime, batch: int = BATCH) -> Floats:
    """What the net says of each voxel of ``gland``, [k, j, i], 0 to 1, 0 outside the organ."""
    values = np.zeros_like(gland.delta)
    held = np.flatnonzero(gland.organ.any((1, 2)))
    for start in range(0, len(held), batch):
        some = held[start : start + batch]
        x = np.stack([to_input(gland.delta[k], gland.organ[k]) for k in some])
        (logits,) = runner.run(x)
        values[some] = 1 / (1 + np.exp(-np.clip(logits[:, 0], -30, 30)))
    return np.where(gland.organ, values, 0).astype(np.float32)


def to_input(delta: Floats, organ: Bools) -> Floats:
    """A slice as the net takes it, [2, j, i]: density in units of 40 HU, and the organ.

    Outside the organ both are 0.
    """
    scaled = np.clip(delta / np.float32(SCALE_HU), -REACH, REACH)
    return np.stack([np.where(organ, scaled, 0), organ]).astype(np.float32)


def on_source(values: Floats, gland: GlandSlices, organ: Region) -> Floats:
    """A map over ``gland`` on the voxels of the organ's box; 0 outside the organ."""
    # At the organ's edge a zero from outside would be mixed in: weigh by what lies inside.
    box = organ.mask.grid
    inside = resample_probability(gland.organ.astype(np.float32), gland.grid, box)
    total = resample_probability(values, gland.grid, box)
    found = np.where(inside > 0.05, total / np.maximum(inside, 0.05), 0)
    return np.where(organ.voxels, np.clip(found, 0, 1), 0).astype(np.float32)
