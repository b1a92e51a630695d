"""How far findings agree with what is marked: Dice by label, lesions found, false findings.

A reference lesion is **found** when a finding of its label shares a voxel with it, or the
finding's centre lies within the lesion's radius of the lesion's centre. A finding that finds
no lesion is **false**; a second finding on the same lesion is neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from imaging.geometry import Shape3
from imaging.volume import Region
from models.evaluation.labelled.case import Lesion
from models.evaluation.matching import Matched, match_each
from models.lesions import Candidate


def match(findings: Sequence[Candidate], lesions: Sequence[Lesion]) -> Matched:
    """Findings, best first, against reference lesions on the same grid."""
    return match_each(
        (
            [
                n
                for n, lesion in enumerate(lesions)
                if lesion.label == finding.label and _finds(finding.region, lesion)
            ]
            for finding in findings
        ),
        len(lesions),
    )


def dice(a: Region | None, b: Region | None) -> float | None:
    """Twice the common part over the sum of two masks; None where both are empty."""
    total = sum(int(np.count_nonzero(x.voxels)) for x in (a, b) if x is not None)
    if not total:
        return None
    common = common_voxels(a, b) if a is not None and b is not None else 0
    return 2 * common / total


def union(regions: Sequence[Region]) -> Region | None:
    """Everything that any of some regions on one grid covers; None where there is none."""
    if not regions:
        return None
    low = [min(r.start[axis] for r in regions) for axis in range(3)]
    high = [max(r.start[axis] + r.voxels.shape[axis] for r in regions) for axis in range(3)]
    voxels = np.zeros([b - a for a, b in zip(low, high, strict=True)], np.bool_)
    for region in regions:
        voxels[_box(region.start, region.voxels.shape, low)] |= region.voxels
    start: Shape3 = (low[0], low[1], low[2])
    return Region(voxels, start, regions[0].within)


def common_voxels(a: Region, b: Region) -> int:
    """How many voxels two regions on one grid share."""
    low = [max(a.start[axis], b.start[axis]) for axis in range(3)]
    high = [
        min(a.start[axis] + a.voxels.shape[axis], b.start[axis] + b.voxels.shape[axis])
        for axis in range(3)
    ]
    size = [y - x for x, y in zip(low, high, strict=True)]
    if min(size) <= 0:
        return 0
    mine, other = a.voxels[_box(low, size, a.start)], b.voxels[_box(low, size, b.start)]
    return int(np.count_nonzero(mine & other))


def _finds(region: Region, lesion: Lesion) -> bool:
    if common_voxels(region, lesion.region):
        return True
    away = np.linalg.norm(np.subtract(region.centre_mm, lesion.centre))
    return bool(away <= lesion.radius_mm)


def _box(start: Sequence[int], size: Sequence[int], origin: Sequence[int]) -> tuple[slice, ...]:
    """The box at ``start`` in an array whose first voxel is ``origin``."""
    return tuple(slice(s - o, s - o + n) for s, n, o in zip(start, size, origin, strict=True))
