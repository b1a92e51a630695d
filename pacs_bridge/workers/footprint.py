"""How much host memory a study will take, so that several in flight stay below the ceiling."""

from __future__ import annotations

from imaging.headers import Scan
from imaging.rules import prevailing, slice_distance_mm
from imaging.series import group_series
from models.study.plan import StudyPlan

BYTES_A_VOXEL = 24
"""Decoded pixels and the volume in float32, the working copy and the blended output."""


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
