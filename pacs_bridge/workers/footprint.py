"""How much host memory a study will take, so that several in flight stay below the ceiling."""

from __future__ import annotations

from collections.abc import Sequence

from imaging.headers import Scan
from imaging.planes import prevailing, slice_distance_mm
from imaging.series import group_series
from models.spec import ModelSpec
from models.study.plan import StudyPlan, plan_one
from models.study.priors import PriorScan, compares

BYTES_A_VOXEL = 36
"""Decoded pixels and the volume in float32, the working copy, what a wide network holds of a tile
and the blended output: 29 were measured on a 133-slice chest CT with the nodule model."""


def bytes_needed(scan: Scan, plan: StudyPlan) -> int:
    """The most a study takes at one time, roughly: measured on chest CT, rounded up.

    A coarse series is resampled to about 1 mm, so the larger of its voxels and its cubic
    millimetres counts; several series of one model are held together.
    """
    series = {each.uid: each for each in group_series(scan)}
    largest = 0.0
    for one in plan.reading:
        total = 0.0
        for uid in one.series_uids:
            slices = prevailing(series[uid].slices)
            first = slices[0]
            area = first.rows * first.columns
            row_mm, column_mm = first.pixel_spacing or (1.0, 1.0)
            distance = slice_distance_mm(slices)
            cubic_mm = area * row_mm * column_mm * distance * len(slices)
            total += max(area * len(slices), cubic_mm)
        largest = max(largest, total)
    return int(largest * BYTES_A_VOXEL)


def most_needed(priors: Sequence[PriorScan], specs: Sequence[ModelSpec]) -> int:
    """What the largest of several earlier examinations takes; they are read one by one.

    Args:
        priors: what the study will be compared with.
        specs: the models that will read the study; the first whose findings are followed reads
            them too.
    """
    spec = next((spec for spec in specs if compares(spec)), None)
    if spec is None:
        return 0
    plans = [(prior.scan, StudyPlan(plans=(plan_one(prior.scan, spec),))) for prior in priors]
    return max((bytes_needed(scan, plan) for scan, plan in plans), default=0)
