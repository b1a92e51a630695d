"""LIDC-IDRI's marks on the images' grid: which are one nodule, whether it counts, its mask.

A nodule counts where at least so many readers (two, or LUNA16's three) outlined it and its
diameter, the median of the readers' longest, is 3 mm or more. What fewer readers outlined, what
is smaller, and what readers called no nodule is neither hit nor false, as in LUNA16 (Setio et
al. 2017, Medical Image Analysis 42:1-13). Its mask is what at least half of its readers enclosed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Point
from imaging.volume import Region, Volume
from models.evaluation.judging import Truth
from models.evaluation.labelled.case import region_of
from models.evaluation.labelled.lidc_xml import LEAST_POINTS, Drawn, Outline, Readings
from models.evaluation.labelled.outlines import enclosed, longest_mm, same_nodules
from models.evaluation.nodules import Marked
from models.evaluation.strata import size_groups, texture_groups

LEAST_MM = 3.0
POINT_MM = 10.0
"""Diameter taken for a place that was only pointed at, so that it is left out to 5 mm around."""


def marked_nodules(
    volume: Volume, readings: Readings, thickness_mm: float, readers: int
) -> tuple[tuple[Marked, ...], tuple[str, ...]]:
    """The readers' marks as nodules on the volume's grid, and what could not be placed.

    Args:
        volume: of the series that was read, with its sources.
        readings: of that series.
        thickness_mm: of a slice; marks nearer than that are of one nodule.
        readers: that must have outlined a nodule for it to count.
    """
    slices = _Slices(volume)
    lost = 0
    placed: list[_Placed] = []
    for drawn in readings.drawn:
        mark = _Placed(drawn, slices)
        lost += mark.lost
        if len(mark.points_mm):
            placed.append(mark)
    nodules = []
    for group in same_nodules([mark.points_mm for mark in placed], thickness_mm):
        nodules.append(_nodule(volume, [placed[n] for n in group], readers))
    for point in readings.pointed:
        k = slices.index(point.image_uid, point.z_mm)
        if k is None:
            lost += 1
            continue
        x, y, z = (float(v) for v in volume.grid.to_lps((k, point.row, point.column)))
        nodules.append(Marked(Truth((x, y, z), POINT_MM, counted=False)))
    notes = (f"{lost} mark(s) lie on images that are not here",) if lost else ()
    return tuple(nodules), notes


class _Slices:
    """Which slice of a volume a mark was drawn on."""

    def __init__(self, volume: Volume) -> None:
        self.volume = volume
        self._uids = {s.sop_instance_uid: k for k, s in enumerate(volume.sources) if s is not None}
        at = np.zeros((volume.grid.shape[0], 3))
        at[:, 0] = np.arange(len(at))
        self._z = np.asarray(volume.grid.to_lps(at))[:, 2]

    def index(self, image_uid: str, z_mm: float) -> int | None:
        """By the image's UID, else by z within half a slice; None: no such image."""
        if image_uid in self._uids:
            return self._uids[image_uid]
        k = int(np.argmin(np.abs(self._z - z_mm)))
        near = abs(float(self._z[k]) - z_mm) <= self.volume.grid.spacing_mm[0] / 2
        return k if near else None


class _Placed:
    """One reader's mark on the volume."""

    def __init__(self, drawn: Drawn, slices: _Slices) -> None:
        self.reader, self.texture = drawn.reader, drawn.texture
        self._rows: list[tuple[int, Outline]] = []
        self.lost = 0
        for outline in drawn.outlines:
            k = slices.index(outline.image_uid, outline.z_mm)
            if k is None:
                self.lost += 1
            else:
                self._rows.append((k, outline))
        grid = slices.volume.grid
        index = [
            np.column_stack([np.full(len(o.points), k), o.points[:, 1], o.points[:, 0]])
            for k, o in self._rows
            if o.inclusion
        ]
        self.points_mm: NDArray[np.float64] = (
            np.asarray(grid.to_lps(np.concatenate(index))) if index else np.zeros((0, 3))
        )
        spacing = grid.spacing_mm[1], grid.spacing_mm[2]
        self.diameter_mm = max(
            (longest_mm(o.points, spacing) for _, o in self._rows if o.inclusion), default=0.0
        )

    def draw(self, mask: NDArray[np.bool_], start: NDArray[np.int64]) -> None:
        """Fill ``mask``, whose first voxel is ``start``, with what is enclosed, then cut holes."""
        for inclusion in (True, False):
            for k, outline in self._rows:
                if outline.inclusion is inclusion and len(outline.points) >= LEAST_POINTS:
                    inside, (row, column) = enclosed(outline.points)
                    j, i = row - int(start[1]), column - int(start[2])
                    part = mask[k - int(start[0])]
                    box = part[j : j + inside.shape[0], i : i + inside.shape[1]]
                    box[inside] = inclusion

    @property
    def bounds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First voxel and the one beyond the last of all its outlines."""
        low = [(k, o.points[:, 1].min(), o.points[:, 0].min()) for k, o in self._rows]
        high = [(k + 1, o.points[:, 1].max() + 1, o.points[:, 0].max() + 1) for k, o in self._rows]
        return np.min(low, axis=0), np.max(high, axis=0)


def _nodule(volume: Volume, marks: Sequence[_Placed], readers: int) -> Marked:
    low = np.min([mark.bounds[0] for mark in marks], axis=0)
    high = np.max([mark.bounds[1] for mark in marks], axis=0)
    votes = np.zeros(high - low, np.int16)
    centres = []
    for mark in marks:
        own = np.zeros(votes.shape, np.bool_)
        mark.draw(own, low)
        votes += own
        if own.any():
            centres.append(np.asarray(volume.grid.to_lps(np.argwhere(own).mean(0) + low)))
        else:  # drawn, but nothing lies within the line
            centres.append(mark.points_mm.mean(0))
    diameter = float(np.median([mark.diameter_mm for mark in marks]))
    drew = len({mark.reader for mark in marks})
    rated = [mark.texture for mark in marks if mark.texture is not None]
    groups = (*size_groups(diameter), *texture_groups(float(np.mean(rated)) if rated else None))
    x, y, z = (float(v) for v in np.mean(centres, axis=0))
    centre: Point = (x, y, z)
    counted = drew >= readers and diameter >= LEAST_MM
    return Marked(Truth(centre, diameter, counted, groups), _consensus(volume, votes, low, marks))


def _consensus(
    volume: Volume, votes: NDArray[np.int16], low: NDArray[np.int64], marks: Sequence[_Placed]
) -> Region | None:
    """What at least half of the marks enclose; None where that is nothing."""
    half = (votes > 0) & (votes * 2 >= len(marks))
    region = region_of(half, volume.grid)
    if region is None:
        return None
    k, j, i = (int(a + b) for a, b in zip(region.start, low, strict=True))
    return Region(region.voxels, (k, j, i), volume.grid)
