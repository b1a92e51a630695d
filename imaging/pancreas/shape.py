"""A gland's, lesion's or vessel's mask as a smooth shape on cubes, whatever the slices were.

Between slices the signed distance to the border is interpolated (Raya 1990, IEEE Trans Med
Imaging 9:32), so that 5 mm slices give no stairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.character.fields import Bools, Floats, pieces, signed_distance
from imaging.errors import NotMeasured
from imaging.geometry import Grid, Points
from imaging.resample import axial_grid, resample
from imaging.volume import Region, Volume

WORKING_MM = 1.25
MARGIN_MM = 6.0


@dataclass(frozen=True, eq=False)
class Shape:
    """A mask's signed distance on an isotropic grid along +S, +P, +L.

    Attributes:
        distance: (k, j, i), mm to the border, negative inside.
        grid: of ``distance``, LPS mm.
    """

    distance: Floats
    grid: Grid

    @property
    def inside(self) -> Bools:
        """Which voxels lie inside."""
        return self.distance < 0

    @property
    def step_mm(self) -> float:
        """Edge of a voxel, mm."""
        return self.grid.spacing_mm[0]

    @property
    def volume_mm3(self) -> float:
        """Of what lies inside, mm3."""
        return float(np.count_nonzero(self.inside)) * self.grid.voxel_volume_mm3

    def at(self, points_mm: Points) -> NDArray[np.float64]:
        """Signed distance at LPS points (..., 3), mm, linear; far outside beyond the grid."""
        return sampled(self.distance, self.grid, points_mm, outside=1e3)

    def closed(self, radius_mm: float) -> Shape:
        """The shape with gaps and clefts of up to twice a radius filled."""
        reach = self.distance < radius_mm
        filled = signed_distance(reach, self.grid.spacing_mm) < -radius_mm
        whole = filled | self.inside
        return Shape(signed_distance(whole, self.grid.spacing_mm), self.grid)

    def coarser(self, step_mm: float) -> Shape:
        """The same shape on larger voxels."""
        grid = axial_grid(self.grid, step_mm)
        out = resample(Volume(self.distance, self.grid), grid, fill=MARGIN_MM)
        return Shape(out.voxels.astype(np.float32), grid)

    def without_crumbs(self, share: float) -> tuple[Shape, float]:
        """The shape without pieces smaller than a share of its largest one, and their mm3."""
        labels, counts = pieces(self.inside)
        if len(counts) < 2:
            return self, 0.0
        kept = np.flatnonzero(counts >= share * counts[0]) + 1
        drop = (labels > 0) & ~np.isin(labels, kept)
        if not drop.any():
            return self, 0.0
        lost = float(np.count_nonzero(drop)) * self.grid.voxel_volume_mm3
        mask = self.inside & ~drop
        # The distances of what is kept stay as they are; where a crumb was they are made anew.
        near = np.where(mask, self.distance, np.maximum(self.distance, self.step_mm / 2))
        anew = signed_distance(mask, self.grid.spacing_mm)
        return Shape(np.where(drop, anew, near).astype(np.float32), self.grid), lost


def union(regions: Sequence[Region]) -> Region:
    """One region that holds all of them, in the smallest box.

    Raises:
        NotMeasured: all of them are empty, or they lie on different grids.
    """
    first = regions[0]
    if any(not region.within.same_as(first.within) for region in regions):
        raise NotMeasured("the masks lie on different grids")
    lows, highs = [], []
    for region in regions:
        at = np.nonzero(region.voxels)
        if at[0].size:
            lows.append([s + int(a.min()) for s, a in zip(region.start, at, strict=True)])
            highs.append([s + int(a.max()) + 1 for s, a in zip(region.start, at, strict=True)])
    if not lows:
        raise NotMeasured("the mask is empty")
    low, high = np.min(lows, axis=0), np.max(highs, axis=0)
    whole = np.zeros(tuple(high - low), bool)
    for region in regions:
        if region.voxels.any():
            put = Region(whole, _three(low), first.within)
            whole |= on_box(region, put)
    return Region(whole, _three(low), first.within)


def on_box(region: Region, box: Region) -> Bools:
    """A region's mask on another region's box; both lie on the same grid."""
    out = np.zeros(box.voxels.shape, bool)
    low = [max(a, b) for a, b in zip(region.start, box.start, strict=True)]
    high = [
        min(a + n, b + m)
        for a, n, b, m in zip(
            region.start, region.voxels.shape, box.start, box.voxels.shape, strict=True
        )
    ]
    if any(a >= b for a, b in zip(low, high, strict=True)):
        return out
    to = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, box.start, strict=True))
    of = tuple(slice(a - s, b - s) for a, b, s in zip(low, high, region.start, strict=True))
    out[to] = region.voxels[of]
    return out


def shape_of(region: Region, *, step_mm: float = WORKING_MM, grid: Grid | None = None) -> Shape:
    """A region as a shape.

    Args:
        region: not empty, on any orthogonal grid.
        step_mm: edge of the shape's voxels, mm.
        grid: the isotropic grid to use; None: the smallest that holds it with 6 mm around it.

    Raises:
        NotMeasured: the mask is empty.
    """
    tight = union([region])
    spacing = tight.within.spacing_mm
    # One slice more at each end is enough to end the shape half-way to it; in the plane 6 mm.
    pad = [max(2, int(np.ceil(MARGIN_MM / s))) for s in spacing]
    mask = np.pad(tight.voxels, [(p, p) for p in pad])
    k, j, i = (s - p for s, p in zip(tight.start, pad, strict=True))
    n, m, o = mask.shape
    own = tight.within.crop((k, j, i), (n, m, o))
    target = grid if grid is not None else axial_grid(own, step_mm)
    distance = signed_distance(mask, spacing)
    out = resample(Volume(distance, own), target, fill=MARGIN_MM)
    return Shape(out.voxels.astype(np.float32), target)


def sampled(
    values: NDArray[np.floating], grid: Grid, points_mm: Points, *, outside: float
) -> NDArray[np.float64]:
    """Trilinear values at LPS points (..., 3); ``outside`` beyond the grid's voxel centres."""
    at = grid.to_index(points_mm)
    last = np.array(grid.shape) - 1
    beyond = np.any((at < -1e-6) | (at > last + 1e-6), axis=-1)
    at = np.clip(at, 0, last)
    low = np.minimum(np.floor(at).astype(np.intp), np.maximum(last - 1, 0))
    part = at - low
    total = np.zeros(at.shape[:-1])
    for corner in range(8):
        up = np.array([(corner >> 2) & 1, (corner >> 1) & 1, corner & 1])
        weight = np.where(up, part, 1 - part).prod(axis=-1)
        index = np.minimum(low + up, last)
        total += weight * values[index[..., 0], index[..., 1], index[..., 2]]
    return np.where(beyond, outside, total)


def surface_points(shape: Shape) -> Points:
    """Points on the border, LPS mm, (n, 3): where it crosses the lines between voxel centres."""
    found = []
    for axis in range(3):
        one = np.moveaxis(shape.distance, axis, 0)
        first, second = one[:-1], one[1:]
        where = np.argwhere((first < 0) != (second < 0))
        a, b = first[tuple(where.T)], second[tuple(where.T)]
        index = where.astype(np.float64)
        index[:, 0] += a / (a - b)
        order = [1, 0, 2] if axis == 1 else [1, 2, 0] if axis == 2 else [0, 1, 2]
        found.append(index[:, order])
    return shape.grid.to_lps(np.concatenate(found))


def _three(values: NDArray[np.integer]) -> tuple[int, int, int]:
    k, j, i = (int(v) for v in values)
    return k, j, i
