"""A second examination of the same lungs, made by computer: breathed, moved, sliced, noisy anew.

The truth is known everywhere: the motion is a formula, and each nodule was put into either
examination at a chosen size. Simulated, and to be called so wherever its figures are shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from imaging.geometry import Grid, Point, Points
from imaging.resample import axial_grid, to_sitk
from imaging.volume import Region, Volume


@dataclass(frozen=True)
class Breath:
    """Where a point of the new examination lies in the old one; LPS mm.

    The diaphragm moves most: ``diaphragm_mm`` at the lungs' foot, nothing at their head, with a
    smooth rise between; the ribs lift outwards and forwards by a quarter of it. Then the patient
    lies otherwise: turned by ``turn_degrees`` about each axis and shifted.

    Args:
        centre: of the lungs, in the new examination.
        half: half of the lungs' extent along x, y, z.
    """

    centre: Point
    half: Point
    diaphragm_mm: float = 16.0
    turn_degrees: Point = (2.0, -1.5, 4.0)
    shift_mm: Point = (6.0, -5.0, 7.0)

    def to_old(self, lps_mm: ArrayLike) -> Points:
        """New points (..., 3) to the old examination."""
        points = np.asarray(lps_mm, dtype=np.float64)
        bent = points + self._bend(points)
        centre = np.array(self.centre)
        moved: Points = (bent - centre) @ self._turn().T + centre + np.array(self.shift_mm)
        return moved

    def to_new(self, lps_mm: ArrayLike) -> Points:
        """Old points (..., 3) to the new examination."""
        points = np.asarray(lps_mm, dtype=np.float64)
        centre = np.array(self.centre)
        back: Points = (points - centre - np.array(self.shift_mm)) @ self._turn() + centre
        found = back.copy()
        for _ in range(60):
            found = back - self._bend(found)
        return found

    def _bend(self, points: Points) -> Points:
        x, y, z = np.moveaxis((points - np.array(self.centre)) / np.array(self.half), -1, 0)
        depth = np.clip((1.0 - z) / 2, 0, 1.15)  # 0 at the head, 1 at the foot
        rise = depth**2 * (3 - 2 * np.minimum(depth, 1.0))
        # the dome moves more than the wall, and one side more than the other
        dome = np.exp(-0.5 * (x**2 + y**2)) * (1 + 0.15 * np.tanh(2 * x))
        wall = 0.25 * np.sin(np.pi * np.clip(depth, 0, 1))
        up = self.diaphragm_mm * rise * (0.45 + 0.55 * dome)
        out = self.diaphragm_mm * wall * np.tanh(1.5 * x)
        front = self.diaphragm_mm * wall * np.tanh(1.2 * y)
        wave = 1.5 * np.sin(2.5 * x + 1.0) * np.cos(2.0 * z)
        return np.stack([-out, -front + wave, up], axis=-1)

    def _turn(self) -> NDArray[np.float64]:
        a, b, c = np.radians(self.turn_degrees)
        about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
        turn: NDArray[np.float64] = about_z @ about_y @ about_x
        return turn


def breathed(
    volume: Volume, breath: Breath, *, fill: float = -1000.0, margin_mm: float = 0.0
) -> Volume:
    """The new examination of ``volume``, same spacing, ``margin_mm`` more on every side; float32.

    ``fill`` is what lies outside the old examination, HU.
    """
    more = np.ceil(margin_mm / np.array(volume.grid.spacing_mm)).astype(int)
    k, j, i = (int(n) for n in np.array(volume.grid.shape) + 2 * more)
    grid = volume.grid.crop((-int(more[0]), -int(more[1]), -int(more[2])), (k, j, i))
    coarse = axial_grid(grid, 5.0)
    depth, height, width = coarse.shape
    wide = coarse.crop((-8, -8, -8), (depth + 16, height + 16, width + 16))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in wide.shape], indexing="ij"), axis=-1)
    points = wide.to_lps(index)
    field = np.ascontiguousarray(breath.to_old(points) - points)
    image = sitk.GetImageFromArray(field, isVector=True)
    like = to_sitk(np.zeros(wide.shape, np.uint8), wide)
    image.CopyInformation(like)
    moved = sitk.DisplacementFieldTransform(sitk.Cast(image, sitk.sitkVectorFloat64))
    source = to_sitk(volume.voxels, volume.grid)
    target = to_sitk(np.zeros(grid.shape, np.uint8), grid)
    # cubic: linear interpolation would blur one examination and not the other
    out = sitk.Resample(source, target, moved, sitk.sitkBSpline, fill, sitk.sitkFloat32)
    return Volume(np.clip(sitk.GetArrayFromImage(out), -1024, 3071), grid)


def scanned(
    volume: Volume,
    rng: np.random.Generator,
    *,
    slice_mm: float,
    noise_hu: float,
    offset_mm: float = 0,
) -> Volume:
    """The volume as a scanner gives it: slices of that thickness, and noise; int16.

    Each slice is the mean over its thickness, as a slice profile averages. ``offset_mm`` moves
    the first slice, so that two examinations cut a nodule in different places.
    """
    voxels = volume.voxels.astype(np.float32)
    step, pixel, _ = volume.grid.spacing_mm
    count = int((voxels.shape[0] * step - offset_mm - slice_mm) / slice_mm)
    fine = np.concatenate([np.zeros((1, *voxels.shape[1:]), np.float32), voxels]).cumsum(
        axis=0, dtype=np.float64
    )
    out = np.empty((count, *voxels.shape[1:]), np.float32)
    edges = (offset_mm + slice_mm * np.arange(count + 1)) / step
    low = np.floor(edges).astype(int)
    part = (edges - low)[:, None, None]
    total = fine[low] * (1 - part) + fine[np.minimum(low + 1, len(fine) - 1)] * part
    out[:] = np.diff(total, axis=0) / (slice_mm / step)
    white = np.asarray(rng.standard_normal(out.shape, dtype=np.float32))
    blurred = sitk.GetArrayFromImage(
        sitk.DiscreteGaussian(sitk.GetImageFromArray(white), [0.5, 0.5, 0.0])
    )
    out += blurred * np.float32(noise_hu / blurred.std())
    affine = volume.grid.affine.copy()
    affine[:3, 0] *= slice_mm / step
    affine[:3, 3] = volume.grid.to_lps(((offset_mm + slice_mm / 2) / step - 0.5, 0, 0))
    k, j, i = out.shape
    return Volume(np.rint(np.clip(out, -1024, 3071)).astype(np.int16), Grid((k, j, i), affine))


def drawn(volume: Volume, centre: Point, diameter_mm: float, hu: float = 40.0) -> Region:
    """A ball put into ``volume`` in place; its mask.

    Its edge fades over 1 mm. What is denser than the ball stays.
    """
    grid = volume.grid
    reach = diameter_mm / 2 + 2.0
    middle, half = grid.to_index(centre), reach / np.array(grid.spacing_mm)
    low = np.maximum(np.floor(middle - half).astype(int), 0)
    high = np.minimum(np.ceil(middle + half).astype(int) + 1, grid.shape)
    start = (int(low[0]), int(low[1]), int(low[2]))
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*[np.arange(s.start, s.stop) for s in box], indexing="ij"), -1)
    far = np.linalg.norm(grid.to_lps(index) - np.array(centre), axis=-1) - diameter_mm / 2
    share = np.clip(0.5 - far, 0, 1)
    there = volume.voxels[box]
    mixed = there + share * np.maximum(hu - there, 0)
    volume.voxels[box] = mixed.astype(volume.voxels.dtype)
    return Region(far <= 0, start, grid)
