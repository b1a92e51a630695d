"""How much each place of a lung looks like a fissure that runs about along a given plane.

A fissure is two layers of pleura, far thinner than a voxel: on slices of 1 to 3 mm a faint band,
20 to 100 HU above lung, weaker than noise and vessels voxel by voxel. It shows once averaged
along itself. So the lung is laid into a frame whose third axis runs across the expected fissure;
voxels are averaged over patches of 12 mm, vessels left out, at several tilts; and a place scores
by how far its patch stands above the patches on both of its sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.resample import resample, resample_probability
from imaging.volume import Volume

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

STEP_MM = 2.5
"""Along the fissure."""
ACROSS_MM = 1.25
PATCH = (-3, -2, -1, 0, 1, 2, 3)
"""Offsets of a patch, in steps."""
TILTS = (-0.5, -0.25, 0.0, 0.25, 0.5)
"""Slopes tried in both directions, mm a mm."""
VESSEL_HU = 120.0
"""A voxel this much above the lung's median is vessel, wall or nodule."""
VESSEL_PRICE = 150.0
"""HU taken off a patch that is all vessel: none of any size crosses a fissure."""
THICK_PART, THICK_WORTH = 0.3, 120.0
"""A patch brighter than a vessel's limit in this much more of its area than both sides is a
thickened fissure; what each further part is worth, HU."""
LEVEL_MM = 12.0
FLANK = (3, 4, 5)
"""Steps across at which the sides of a sheet are looked at."""
LEAST_FILLED = 0.3
"""Part of a patch that must be lung, vessels left out."""


@dataclass(frozen=True, eq=False)
class Frame:
    """Axes of one fissure: ``grid`` has indices (t, v, u), t across it and v, u along it."""

    grid: Grid

    @classmethod
    def spanned(
        cls,
        middle: NDArray[np.float64],
        axes: NDArray[np.float64],
        half_mm: tuple[float, float, float],
    ) -> Frame:
        """A frame around ``middle`` (LPS mm).

        Args:
            middle: (3,), LPS mm.
            axes: rows t, v, u: orthonormal, LPS.
            half_mm: half extents along them.
        """
        steps = np.array([ACROSS_MM, STEP_MM, STEP_MM])
        halves = np.ceil(np.array(half_mm) / steps).astype(int)
        affine = np.eye(4)
        affine[:3, :3] = (axes * steps[:, None]).T
        affine[:3, 3] = middle - affine[:3, :3] @ halves
        t, v, u = (int(2 * n + 1) for n in halves)
        return cls(Grid((t, v, u), affine))

    @property
    def spacing_t(self) -> float:
        """Distance of its planes, mm."""
        return ACROSS_MM

    def split(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """LPS mm (n, 3) to fractional (t, v, u) indices."""
        return self.grid.to_index(points)


@dataclass(frozen=True, eq=False)
class Sheets:
    """Evidence on a frame, judged in two ways that fail on different things.

    Attributes:
        scores: two arrays (t, v, u), in standard deviations of what there is without a sheet; 0
            where there is too little lung. The first asks a sheet to stand above both its sides
            and to hold no vessel; the second only to stand above their mean, so that a step of
            density at a fissure (emphysema on one side) does not hide it.
        lung: (t, v, u), True in the lung.
    """

    scores: tuple[Floats, Floats]
    lung: Bools


def find_sheets(volume: Volume, lung: Bools, frame: Frame) -> Sheets:
    """Evidence for sheets in one lung.

    Args:
        volume: HU, float32.
        lung: (k, j, i) on the volume's grid: this lung, vessels and holes filled.
        frame: where to look.
    """
    hu = resample(volume, frame.grid).voxels.astype(np.float32)
    inside = resample_probability(lung.astype(np.float32), volume.grid, frame.grid) > 0.5
    if not inside.any():
        empty = np.zeros(hu.shape, np.float32)
        return Sheets((empty, empty), inside)
    level = _level(hu, inside)
    vessel = inside & (hu > level + VESSEL_HU)
    weight = (inside & ~_grown(vessel)).astype(np.float32)
    value = np.clip(hu - level, -VESSEL_HU, None) * weight
    bright, held = vessel.astype(np.float32), inside.astype(np.float32)
    best = np.full(hu.shape, -np.inf, np.float32)
    second = best.copy()
    filled = np.zeros(hu.shape, bool)
    least = LEAST_FILLED * len(PATCH) ** 2
    for slope_u in TILTS:
        row, row_weight = _slid(value, slope_u, 2), _slid(weight, slope_u, 2)
        row_bright, row_inside = _slid(bright, slope_u, 2), _slid(held, slope_u, 2)
        for slope_v in TILTS:
            total, count = _slid(row, slope_v, 1), _slid(row_weight, slope_v, 1)
            enough = count >= least
            mean: Floats = (total / np.maximum(count, 1)).astype(np.float32)
            middle = mean.copy()
            middle[1:-1] = (mean[:-2] + 2 * mean[1:-1] + mean[2:]) / 4
            above = _flank(mean, enough, 1)
            below = _flank(mean, enough, -1)
            score = middle - np.maximum(above, below)
            bent = middle - (above + below) / 2
            whole = np.maximum(_slid(row_inside, slope_v, 1), np.float32(least))
            part: Floats = (_slid(row_bright, slope_v, 1) / whole).astype(np.float32)
            score -= np.float32(VESSEL_PRICE) * part
            score[~enough] = -np.inf
            # A thickened fissure is as bright as a vessel, but fills its patch as no vessel does.
            beside = np.maximum(_flank(part, enough, 1), _flank(part, enough, -1))
            thick = np.float32(THICK_WORTH) * (part - beside - np.float32(THICK_PART))
            np.maximum(score, thick, out=score, where=part - beside > THICK_PART)
            np.maximum(best, score, out=best)
            bent -= np.float32(VESSEL_PRICE / 3) * part
            bent[~enough] = -np.inf
            np.maximum(bent, thick, out=bent, where=part - beside > THICK_PART)
            np.maximum(second, bent, out=second)
            filled |= enough
    return Sheets((_normal(best, filled), _normal(second, filled)), inside)


def _normal(score: Floats, filled: Bools) -> Floats:
    """Above the median, in standard deviations of what is usual."""
    filled = filled & np.isfinite(score)
    if not filled.any():
        return np.zeros_like(score)
    middle, high = np.percentile(score[filled][::7], [50, 84])
    noise = max(float(high - middle), 1.0)
    normal = np.where(filled, np.maximum(score - np.float32(middle), 0), 0) / np.float32(noise)
    result: Floats = normal.astype(np.float32)
    return result


def _level(hu: Floats, inside: Bools) -> Floats:
    """What lung without vessels measures around each place (gravity, emphysema), HU."""
    usual = float(np.median(hu[inside]))
    plain = inside & (np.abs(hu - usual) < 2 * VESSEL_HU)
    top = _blurred(np.where(plain, hu - usual, 0).astype(np.float32))
    level: Floats = (usual + top / np.maximum(_blurred(plain.astype(np.float32)), 0.05)).astype(
        np.float32
    )
    return level


def _blurred(array: Floats) -> Floats:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((STEP_MM, STEP_MM, ACROSS_MM))
    blurred: Floats = sitk.GetArrayFromImage(sitk.SmoothingRecursiveGaussian(image, LEVEL_MM))
    return blurred


def _grown(mask: Bools) -> Bools:
    """Adds the neighbours along t and along both ways of the fissure."""
    grown = mask.copy()
    for axis in range(3):
        a = (slice(None),) * axis
        grown[(*a, slice(1, None))] |= mask[(*a, slice(None, -1))]
        grown[(*a, slice(None, -1))] |= mask[(*a, slice(1, None))]
    return grown


def _slid(array: Floats, slope: float, axis: int) -> Floats:
    """Sum over a patch along ``axis``, following a slope across (axis 0)."""
    total = np.zeros_like(array)
    for offset in PATCH:
        rise = round(slope * offset * STEP_MM / ACROSS_MM)
        into, out = [slice(None)] * 3, [slice(None)] * 3
        for ax, by in ((axis, offset), (0, rise)):
            n = array.shape[ax]
            into[ax] = slice(max(-by, 0), n - max(by, 0))
            out[ax] = slice(max(by, 0), n - max(-by, 0))
        total[tuple(into)] += array[tuple(out)]
    return total


def _flank(mean: Floats, enough: Bools, way: int) -> Floats:
    """Mean of the patches on one side; -inf where there is no lung (no side to stand above)."""
    total, count = np.zeros_like(mean), np.zeros_like(mean)
    n = len(mean)
    for step in FLANK:
        to = slice(0, n - step) if way > 0 else slice(step, n)
        of = slice(step, n) if way > 0 else slice(0, n - step)
        total[to] += np.where(enough[of], mean[of], 0)
        count[to] += enough[of]
    return np.where(count > 0, total / np.maximum(count, 1), np.inf).astype(np.float32)
