"""A few places of the gland to look at: research grade, no finding, no yes or no.

There are always some, in a healthy gland too: the places that stand out most in this patient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from imaging.character.fields import pieces
from imaging.geometry import Grid, Point, Shape3
from imaging.image_reference import ImageReference
from imaging.pancreatic import Part, Place
from imaging.resample import resample_probability
from imaging.volume import Region, Volume
from models.lesions import HeatMap
from models.pancreas.darkness import HALF, darkness
from models.pancreas.gland import Bools, Floats, GlandSlices, gland_slices

MOST = 3
APART_MM = 20.0
"""Between the centres of two places."""
CONSIDERED = 3
"""Peaks looked at for each place that is shown."""
EXTENT = 0.5
"""A place reaches as far as its slice holds this share of its peak (darkness x depth)."""

PartOf = Callable[[Point], Part]
"""The part of the gland at a point in LPS mm."""


def places(
    volume: Volume, organ: Region, heat: HeatMap | None, part_of: PartOf, *, most: int = MOST
) -> tuple[Place, ...]:
    """The places that stand out most, the first the most.

    By darkness x place, and by :func:`together` where there is a learned map.

    Args:
        volume: CT in HU with sources, any orthogonal grid.
        organ: the pancreas on the volume's grid.
        heat: the learned map over the organ; None: by darkness x place alone.
        part_of: see :data:`PartOf`.
        most: how many at most.

    Returns:
        Nothing where the volume has no source images or the organ no voxel of 1.6 mm; else up to
        ``most``, whose centres lie 20 mm or more apart.
    """
    gland = gland_slices(volume, organ)
    if gland is None or not any(volume.sources):
        return ()
    score = rank = darkness(gland)
    if heat is not None and heat.values.any():
        values = resample_probability(heat.values, heat.box.mask.grid, gland.grid)
        rank = together(values, score)
    found: list[Place] = []
    kept: list[Shape3] = []
    for at in peaks(rank, gland.grid, CONSIDERED * most):
        k = at[0]
        reach = extent(score[k], (at[1], at[2]))
        # A second summit of a place that is shown already.
        if len(found) == most or any(k == k_ and reach[j, i] for k_, j, i in kept):
            continue
        kept.append(at)
        x, y, z = (float(n) for n in gland.grid.to_lps(at))
        key = _nearest_image(volume, (x, y, z))
        area = float(np.count_nonzero(reach)) * gland.grid.spacing_mm[1] * gland.grid.spacing_mm[2]
        found.append(
            Place(
                number=len(found) + 1,
                centre_lps_mm=(x, y, z),
                part=part_of((x, y, z)),
                diameter_mm=round(2 * float(np.sqrt(area / np.pi)), 1),
                delta_hu=round(float(gland.delta[k][reach].mean()), 1),
                darkness=round(float(score[at]), 3),
                learned=None if heat is None else _learned(heat, gland, k, reach),
                key_image=_reference(volume, key),
                key_slice=key,
            )
        )
    return tuple(found)


def together(learned: Floats, dark: Floats) -> Floats:
    """Geometric mean of the learned map and darkness x place: what both call a place.

    Chosen on lesions drawn into glands that were not trained on.
    """
    return np.asarray(np.sqrt(np.maximum(learned * dark, 0)), np.float32)


def peaks(score: Floats, grid: Grid, most: int, apart_mm: float = APART_MM) -> list[Shape3]:
    """Indices of the highest values, each ``apart_mm`` from those before; none where all is 0."""
    at = np.argwhere(score > 0)
    values = score[score > 0]
    points = grid.to_lps(at)
    left = np.ones(len(at), bool)
    found: list[Shape3] = []
    while left.any() and len(found) < most:
        best = int(np.argmax(np.where(left, values, -1)))
        k, j, i = (int(n) for n in at[best])
        found.append((k, j, i))
        left &= np.linalg.norm(points - points[best], axis=1) >= apart_mm
    return found


def extent(score: Floats, at: tuple[int, int]) -> Bools:
    """What of a slice belongs to the peak ``at``: connected and at least half as dark and deep."""
    product = HALF * score / (1 - np.minimum(score, 0.999))
    labels, _ = pieces((product >= EXTENT * product[at])[np.newaxis])
    return np.asarray(labels[0] == labels[0][at])


def _learned(heat: HeatMap, gland: GlandSlices, k: int, reach: Bools) -> float:
    """The learned map's highest value over a place."""
    at = np.argwhere(reach)
    points = gland.grid.to_lps(np.column_stack([np.full(len(at), k), at]))
    index = np.rint(heat.box.mask.grid.to_index(points)).astype(int)
    index = np.clip(index, 0, np.array(heat.values.shape) - 1)
    return round(float(heat.values[tuple(index.T)].max()), 3)


def _nearest_image(volume: Volume, point: Point) -> int:
    """Index of the slice nearest to a point that a source image stands for."""
    k = float(volume.grid.to_index(point)[0])
    held = [n for n, source in enumerate(volume.sources) if source is not None]
    return min(held, key=lambda n: abs(n - k))


def _reference(volume: Volume, k: int) -> ImageReference:
    source = volume.sources[k]
    assert source is not None
    return ImageReference(
        sop_class_uid=source.sop_class_uid,
        sop_instance_uid=source.sop_instance_uid,
        frame_number=source.frame_number,
    )
