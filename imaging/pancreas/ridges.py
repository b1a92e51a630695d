"""Dark ridges in the gland's slices: where a duct may run, and how wide it is there.

In the plane of each slice, since thick slices know little of the third direction. Scales 1.2, 2
and 3 mm, and 4.5 mm for ducts of 8 mm and more; the largest eigenvalue of the Hessian times the
scale's square (Frangi 1998; Lindeberg 1998, Int J Comput Vis 30:117). What lies outside the
gland is filled from the inside first, so that the fat around it makes no ridges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.character.fields import Bools, Floats, signed_distance
from imaging.geometry import Grid, Points
from imaging.pancreas.shape import on_box, union
from imaging.volume import Region, Volume

SCALES_MM: Final = (1.2, 2.0, 3.0, 4.5)
DEPTH_MM: Final = 2.5
"""A ridge less deep in the gland is a cleft of its surface."""
FLUID_HU: Final = 8.0
"""Of pancreatic juice: close to water."""
LEAST_RIDGE_HU: Final = 15.0
MOST_RIDGE_HU: Final = 25.0
"""Between these the threshold follows the noise; a wide duct must not count as noise itself."""
NOISE_RIDGES: Final = 4.0
"""A ridge stands out of the noise by so many of its deviations."""
SLAB_MM: Final = 2.5
"""Thinner slices are averaged to about this: a duct runs on for that far."""
BRIGHT_HU: Final = 40.0
"""Above the parenchyma everything is cut: vessels in the mask's border make no dark ridges."""
PROFILE_MM: Final = 12.0
PROFILE_STEP_MM: Final = 0.3
DUCT_LIKE_HU: Final = 30.0
"""So far below the parenchyma a pixel is none."""


@dataclass(frozen=True, eq=False)
class Ridges:
    """Places where a dark line or spot runs through the gland.

    Attributes:
        points: (n, 3), LPS mm.
        strength: (n,), HU; above ``threshold`` it is a ridge.
        width: (n,), mm.
        threshold: HU.
        noise_hu: standard deviation of ``strength`` where there is no duct.
    """

    points: Points
    strength: NDArray[np.float64]
    width: NDArray[np.float64]
    threshold: float
    noise_hu: float


def dark_ridges(
    volume: Volume, gland: Region, parenchyma_hu: float, *, without: Region | None = None
) -> Ridges:
    """Find dark ridges.

    Args:
        volume: CT in HU.
        gland: its mask on the volume's grid.
        parenchyma_hu: median of the gland's tissue.
        without: what is no duct although dark: lesions, the bile duct.
    """
    hu, mask, left_out, grid = _slabs(volume, gland, without)
    depth = _depth_in_plane(mask, grid)
    outside = ~mask if left_out is None else ~mask | left_out
    filled = _filled(hu, outside, parenchyma_hu, grid)
    strength, across = _hessian(filled, grid)
    deep = depth >= DEPTH_MM
    if left_out is not None:
        deep &= signed_distance(left_out, grid.spacing_mm) > 1.0
    quiet = np.median(np.abs(strength[deep] - np.median(strength[deep]))) if deep.any() else 0.0
    noise = float(1.4826 * quiet)
    threshold = float(np.clip(NOISE_RIDGES * noise, LEAST_RIDGE_HU, MOST_RIDGE_HU))
    at = np.argwhere(deep & _crest(strength) & (strength > threshold))
    points = grid.to_lps(at)
    width = _widths(filled, grid, at, across[:, at[:, 0], at[:, 1], at[:, 2]].T, parenchyma_hu)
    return Ridges(points, strength[tuple(at.T)].astype(np.float64), width, threshold, noise)


def duct_ridges(duct: Region) -> Ridges:
    """The crest of a duct that a model segmented, with its width in the slice's plane."""
    tight = union([duct])
    pad = 2
    mask = np.pad(tight.voxels, pad)
    k, j, i = (s - pad for s in tight.start)
    n, m, o = mask.shape
    grid = tight.within.crop((k, j, i), (n, m, o))
    depth = _depth_in_plane(mask, grid)
    at = np.argwhere(mask & _crest(depth))
    # Depths count to the centre of the nearest pixel outside: half a pixel beyond the border.
    pixel = max(grid.spacing_mm[1:])
    width = np.maximum(2 * depth[tuple(at.T)].astype(np.float64) - pixel, pixel / 2)
    return Ridges(grid.to_lps(at), width, width, pixel / 3, 0.0)


def _slabs(
    volume: Volume, gland: Region, without: Region | None
) -> tuple[Floats, Bools, Bools | None, Grid]:
    """The gland's box with a margin, thin slices averaged; HU, masks and their grid."""
    tight = union([gland])
    spacing = volume.grid.spacing_mm
    margin = [1, *(int(np.ceil(4 / s)) for s in spacing[1:])]
    low = [max(0, s - m) for s, m in zip(tight.start, margin, strict=True)]
    high = [
        min(n, s + w + m)
        for s, w, m, n in zip(
            tight.start, tight.voxels.shape, margin, volume.grid.shape, strict=True
        )
    ]
    k, j, i = low
    a, b, c = (h - s for s, h in zip(low, high, strict=True))
    box = Region(np.zeros((a, b, c), bool), (k, j, i), volume.grid)
    hu = volume.voxels[box.box].astype(np.float32)
    mask = on_box(tight, box)
    left_out = on_box(without, box) if without is not None else None
    times = max(1, round(SLAB_MM / spacing[0])) if spacing[0] < SLAB_MM else 1
    grid = box.within.crop(box.start, (a, b, c))
    if times > 1:
        hu, mask = _thick(hu, times), _thick(mask, times) >= 0.5
        left_out = None if left_out is None else _thick(left_out, times) > 0
        affine = grid.affine.copy()
        affine[:3, 3] = grid.to_lps(((times - 1) / 2, 0, 0))
        affine[:3, 0] *= times
        n, m, o = hu.shape
        grid = Grid((n, m, o), affine)
    return hu, mask, left_out, grid


def _thick(values: Floats | Bools, times: int) -> Floats:
    rest = -len(values) % times
    whole = np.concatenate([values, np.repeat(values[-1:], rest, axis=0)]).astype(np.float32)
    return np.asarray(whole.reshape(-1, times, *whole.shape[1:]).mean(axis=1), np.float32)


def _depth_in_plane(mask: Bools, grid: Grid) -> Floats:
    """How deep a pixel lies in its slice's mask, mm; negative outside."""
    # Slices far apart: the distance is then that within the slice.
    return -signed_distance(mask, (1e4, grid.spacing_mm[1], grid.spacing_mm[2]))


def _filled(hu: Floats, outside: Bools, parenchyma_hu: float, grid: Grid) -> Floats:
    """HU of the gland; outside of it, what the gland is like nearby."""
    # A rim of partial volume inside the mask's border is no gland either.
    rim = signed_distance(outside, (1e4, *grid.spacing_mm[1:])) < max(grid.spacing_mm[1:]) * 0.75
    cut = np.clip(hu, FLUID_HU, parenchyma_hu + BRIGHT_HU)
    inner = ~(outside | rim)
    weight = (inner & (cut > parenchyma_hu - DUCT_LIKE_HU)).astype(np.float32)
    total = _gauss(cut * weight, grid, 3.0, 0, 0)
    share = _gauss(weight, grid, 3.0, 0, 0)
    near = (total + 0.02 * parenchyma_hu) / (share + 0.02)
    return np.where(inner, cut, near).astype(np.float32)


def _hessian(hu: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """Ridge strength, HU, and the direction across the ridge, (2, k, j, i): rows, columns."""
    best = np.full(hu.shape, -np.inf, np.float32)
    across = np.zeros((2, *hu.shape), np.float32)
    for scale in SCALES_MM:
        rows = scale**2 * _gauss(hu, grid, scale, 2, 0)
        columns = scale**2 * _gauss(hu, grid, scale, 0, 2)
        mixed = scale**2 * _gauss(hu, grid, scale, 1, 1)
        half = (rows + columns) / 2
        root = np.sqrt(((rows - columns) / 2) ** 2 + mixed**2)
        value = half + root
        better = value > best
        best = np.where(better, value, best)
        # Eigenvector of the larger eigenvalue; half the angle of the deviator.
        angle = 0.5 * np.arctan2(2 * mixed, rows - columns)
        way = np.stack([np.cos(angle), np.sin(angle)])
        across = np.where(better, way, across)
    return best, across


def _gauss(values: Floats, grid: Grid, sigma_mm: float, rows: int, columns: int) -> Floats:
    """Gaussian derivative in the slice's plane; orders along rows and columns, per mm."""
    image = sitk.GetImageFromArray(values.astype(np.float32))
    image.SetSpacing(grid.spacing_mm[::-1])
    for direction, order in ((0, columns), (1, rows)):
        image = sitk.RecursiveGaussian(image, sigma_mm, False, order, direction)
    # SimpleITK's derivatives are per pixel.
    per_mm = grid.spacing_mm[1] ** rows * grid.spacing_mm[2] ** columns
    return np.asarray(sitk.GetArrayFromImage(image) / np.float32(per_mm), np.float32)


def _crest(values: Floats) -> Bools:
    """Pixels that are no smaller than their neighbours along rows or along columns."""
    wide = np.pad(values, ((0, 0), (1, 1), (1, 1)), mode="edge")
    middle = wide[:, 1:-1, 1:-1]
    rows = (middle >= wide[:, :-2, 1:-1]) & (middle >= wide[:, 2:, 1:-1])
    columns = (middle >= wide[:, 1:-1, :-2]) & (middle >= wide[:, 1:-1, 2:])
    return np.asarray(rows | columns)


def _widths(
    hu: Floats, grid: Grid, at: NDArray[np.intp], across: Floats, parenchyma_hu: float
) -> NDArray[np.float64]:
    """Width of each ridge: what it lacks in density across, over what fluid would lack.

    Unlike the width at half depth this does not grow with the scanner's blur, as long as the
    duct holds fluid.
    """
    if not len(at):
        return np.zeros(0)
    reach = np.arange(-PROFILE_MM, PROFILE_MM + PROFILE_STEP_MM / 2, PROFILE_STEP_MM)
    rows_mm, columns_mm = grid.spacing_mm[1:]
    along = np.stack([-across[:, 1], across[:, 0]], axis=1)
    profiles = np.zeros((len(at), len(reach)))
    # The mean of three parallel profiles: less noise, the duct runs on for that far.
    for aside in (-1.0, 0.0, 1.0):
        rows = at[:, 1, None] + (reach * across[:, :1] + aside * along[:, :1]) / rows_mm
        columns = at[:, 2, None] + (reach * across[:, 1:] + aside * along[:, 1:]) / columns_mm
        profiles += _bilinear(hu, at[:, 0], rows, columns) / 3
    middle = len(reach) // 2
    local = np.percentile(profiles, 75, axis=1)
    local = np.maximum(local, FLUID_HU + 10)
    missing = local[:, None] - profiles
    half = np.maximum(missing[:, middle - 1 : middle + 2].max(axis=1), 1.0) / 2
    beyond = missing < half[:, None]
    right = _first(beyond[:, middle:], len(reach) - 1 - middle)
    left = _first(beyond[:, middle::-1], middle)
    # From half depth on by the blur's reach: the skirts of the profile belong to the duct.
    skirt = round(1.2 / PROFILE_STEP_MM)
    places = np.arange(len(reach))
    own = (places >= (middle - left - skirt)[:, None]) & (
        places <= (middle + right + skirt)[:, None]
    )
    lack = (missing * own).sum(axis=1) * PROFILE_STEP_MM
    return np.asarray(np.maximum(lack, 0) / (local - FLUID_HU))


def _first(found: Bools, otherwise: int) -> NDArray[np.intp]:
    return np.where(found.any(axis=1), found.argmax(axis=1), otherwise).astype(np.intp)


def _bilinear(
    hu: Floats, k: NDArray[np.intp], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float64]:
    """HU at fractional rows and columns (n, m) of slices k (n,); the border is repeated."""
    _, height, width = hu.shape
    rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
    r, c = np.floor(rows).astype(int), np.floor(columns).astype(int)
    r2, c2 = np.minimum(r + 1, height - 1), np.minimum(c + 1, width - 1)
    a, b = rows - r, columns - c
    s = k[:, None]
    top = hu[s, r, c] * (1 - b) + hu[s, r, c2] * b
    bottom = hu[s, r2, c] * (1 - b) + hu[s, r2, c2] * b
    return np.asarray(top * (1 - a) + bottom * a)
