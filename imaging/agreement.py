"""How well two series of one head lie over one another, whatever they are weighted for.

Small cubes of the fixed series, at places where much happens, are sought again around where they
should be in the moving one. What is compared is how much of the moving cube's variation a linear
function of the fixed cube explains (squared correlation, blind to which tissue is the brighter
one: Roche 1998, MICCAI, LNCS 1496:1115). Single places err between weightings, so the rigid
motion that fits all their shifts best, the farthest-off left out step by step, is what is
reported: a rigid misalignment, without the scatter of single places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from imaging.block_matching import best_match, cube_offsets, evenly_along, strongest_of_cells
from imaging.geometry import Points
from imaging.volume import Volume

HALF = 4
"""Half a cube's side, voxels: 18 mm at 2 mm."""
REACH = 4
"""How far around the mapped place is sought, voxels: 8 mm."""
PLACES = 100
CELL = 8
"""At most one place in a cell of so many voxels."""
ALIKE = 0.45
"""Least share of variation explained that says the same structure was found again."""
LEAST_FOUND = 12
GOOD_SHARE = 0.2
"""Of the places, found again and in line with one rigid motion."""
OUT_OF_LINE_MM = 3.0
DEGREE = 2
"""Of the polynomial: fluid may be darker than both other tissues in one and brighter in none."""
LEAST_SPREAD = 2e-4
"""Of the values' variance; a window flatter than this holds nothing to compare."""


@dataclass(frozen=True)
class Agreement:
    """What an alignment left over.

    Attributes:
        sought: places that lie in both series.
        found: of them, found again and in line with one rigid motion.
        residual_mm: how far off that motion is, on average over the places, mm; None where too
            few were found to say.
    """

    sought: int
    found: int
    residual_mm: float | None

    @property
    def share(self) -> float:
        """Of the places, found again."""
        return self.found / self.sought if self.sought else 0.0

    @property
    def good(self) -> bool:
        """Whether the residual may be believed."""
        return self.residual_mm is not None and self.share >= GOOD_SHARE


@dataclass(frozen=True, eq=False)
class Picture:
    """A series as it is compared.

    Attributes:
        volume: 0 to 1, axial and isotropic.
        seen: (k, j, i), which of its voxels were scanned.
    """

    volume: Volume
    seen: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Cubes of the fixed series and the voxels of the moving one, both with the same spacing.

    Attributes:
        places: fixed LPS mm, [n, 3].
        cubes: of the fixed series, [n, side, side, side].
        moving: the other series.
        core: its voxels around which a whole cube was scanned.
        spacing_mm: of both.
    """

    places: Points
    cubes: NDArray[np.float32]
    moving: Volume
    core: NDArray[np.bool_]
    spacing_mm: float

    @classmethod
    def of(cls, fixed: Picture, moving: Picture) -> Landmarks:
        """Choose places, both pictures having the same spacing."""
        spacing = fixed.volume.grid.spacing_mm[0]
        places = _places(fixed)
        around = places[:, None, None, None] + cube_offsets(2 * HALF + 1) * spacing
        cubes = _sampled(fixed.volume, around)
        return cls(places, cubes, moving.volume, _core(moving.seen), spacing)

    def agreement(self, motion: NDArray[np.float64]) -> Agreement:
        """Measure what ``motion``, fixed to moving, left over."""
        turn, shift = motion[:3, :3], motion[:3, 3]
        mapped = self.places @ turn.T + shift
        at = np.rint(self.moving.grid.to_index(mapped)).astype(np.int64)
        shape = np.array(self.core.shape)
        within = ((at >= 0) & (at < shape)).all(axis=-1)
        inside = within & self.core[tuple(np.clip(at, 0, shape - 1).T)]
        offsets = cube_offsets(2 * (HALF + REACH) + 1) * self.spacing_mm
        found, shifts = [], []
        for n in np.flatnonzero(inside):
            field = _sampled(self.moving, mapped[n] + offsets @ turn.T)
            explained = _explained(self.cubes[n], field)
            if explained.max() < ALIKE:
                continue
            off, edge = best_match(explained)
            if edge:
                # The best place may lie beyond what was searched.
                continue
            found.append(n)
            shifts.append(off * self.spacing_mm)
        sought = int(inside.sum())
        if len(found) < LEAST_FOUND:
            return Agreement(sought, len(found), None)
        points, moved = self.places[found], np.array(shifts)
        line, residual = _rigid_part(points, moved)
        if line < LEAST_FOUND:
            return Agreement(sought, line, None)
        return Agreement(sought, line, residual)


def _places(picture: Picture) -> Points:
    """Where edges run in every direction: the strongest of each cell, evenly along the ranking.

    A shell such as the skull looks the same a little along itself and would tell nothing of
    shifts that way.
    """
    strength = _cornered(picture.volume.voxels.astype(np.float64))
    strength = np.where(_core(picture.seen), strength, 0)
    found = strongest_of_cells(strength, CELL)
    found = found[: max(len(found) * 2 // 3, PLACES)]
    return picture.volume.grid.to_lps(evenly_along(found, PLACES))


def _core(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Voxels around which a whole cube, and one voxel more, was scanned."""
    side = HALF + 1
    image = sitk.GetImageFromArray(np.pad(seen, side).astype(np.uint8))
    shrunk = sitk.GetArrayFromImage(sitk.BinaryErode(image, (side,) * 3, sitk.sitkBox))
    return np.ascontiguousarray(shrunk[side:-side, side:-side, side:-side]).astype(bool)


def _cornered(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much the least varying direction varies around every voxel.

    Of the mean outer product of the gradient (Foerstner 1986): determinant over the sum of the
    principal minors, which lies between a third of the least eigenvalue and all of it.
    """
    g = np.gradient(values)
    t = {(a, b): _box_mean(g[a] * g[b]) for a in range(3) for b in range(a, 3)}
    minors = (
        t[1, 1] * t[2, 2] - t[1, 2] ** 2,
        t[0, 0] * t[2, 2] - t[0, 2] ** 2,
        t[0, 0] * t[1, 1] - t[0, 1] ** 2,
    )
    determinant = (
        t[0, 0] * minors[0]
        - t[0, 1] * (t[0, 1] * t[2, 2] - t[1, 2] * t[0, 2])
        + t[0, 2] * (t[0, 1] * t[1, 2] - t[1, 1] * t[0, 2])
    )
    return np.asarray(np.maximum(determinant, 0) / np.maximum(sum(minors), 1e-12), np.float64)


def _box_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the cube around every voxel; edges repeat."""
    side = 2 * HALF + 1
    for axis in range(3):
        width = [(HALF + 1, HALF) if n == axis else (0, 0) for n in range(3)]
        run = np.cumsum(np.pad(values, width, mode="edge"), axis=axis)
        n = run.shape[axis]
        values = (run.take(range(side, n), axis) - run.take(range(n - side), axis)) / side
    return values


def _sampled(volume: Volume, points: Points) -> NDArray[np.float32]:
    """Linear interpolation at LPS points (..., 3); 0 outside."""
    at = volume.grid.to_index(points)
    low = np.floor(at).astype(np.int64)
    part = (at - low).astype(np.float32)
    total = np.zeros(at.shape[:-1], np.float32)
    shape = np.array(volume.grid.shape)
    for corner in np.ndindex(2, 2, 2):
        index = low + corner
        inside = ((index >= 0) & (index < shape)).all(axis=-1)
        k, j, i = np.moveaxis(np.clip(index, 0, shape - 1), -1, 0)
        weight = np.where(corner, part, 1 - part).prod(axis=-1) * inside
        total += weight * volume.voxels[k, j, i]
    return total


def _explained(cube: NDArray[np.float32], field: NDArray[np.float32]) -> NDArray[np.float64]:
    """How much of every window of a larger cube a polynomial of ``cube`` explains, 0 to 1."""
    windows = sliding_window_view(field, cube.shape)
    flat = windows.reshape(-1, cube.size).astype(np.float64)
    mean = flat.mean(axis=1)
    spread = np.maximum(np.square(flat).sum(axis=1) - cube.size * mean**2, 0)
    # An orthonormal basis of the powers without their means: projections add up.
    powers = cube.ravel().astype(np.float64)[:, None] ** np.arange(1, DEGREE + 1)
    basis, _ = np.linalg.qr(powers - powers.mean(axis=0))
    covered = np.square(flat @ basis).sum(axis=1)
    enough = spread > LEAST_SPREAD * cube.size
    explained = np.where(enough, covered / np.maximum(spread, 1e-12), 0)
    side = 2 * REACH + 1
    return explained.reshape(side, side, side)


def _rigid_part(points: Points, shifts: Points) -> tuple[int, float]:
    """The rigid motion in shifts of places: how many follow it, and how far it moves them."""
    kept = np.ones(len(points), bool)
    moved = shifts
    for _ in range(6):
        turn, middle, target = _fit(points[kept], points[kept] + shifts[kept])
        moved = (points - middle) @ turn.T + target - points
        off = np.linalg.norm(shifts - moved, axis=1)
        limit = max(OUT_OF_LINE_MM, 1.5 * float(np.median(off)))
        now = off <= limit
        if now.sum() < 4 or (now == kept).all():
            break
        kept = now
    line = np.linalg.norm(shifts - moved, axis=1) <= OUT_OF_LINE_MM
    size = np.linalg.norm(moved[line], axis=1) if line.any() else np.array([np.inf])
    return int(line.sum()), float(size.mean())


def _fit(
    points: Points, targets: Points
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least-squares rotation and both middles (Kabsch 1976, Acta Cryst A32:922)."""
    middle, target = points.mean(axis=0), targets.mean(axis=0)
    u, _, vt = np.linalg.svd((points - middle).T @ (targets - target))
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return turn, middle, target
