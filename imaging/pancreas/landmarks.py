"""Landmarks of an abdominal CT found by place and density: spine, aorta, liver.

Works on slices of 2 mm pixels, about 5 mm apart. No network: the spine is where bone is densest
in the back half of the body, the aorta the roundest dense disc in front of it that goes on from
slice to slice, the liver the largest even piece of tissue right of the spine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.body import Bools, body_mask
from imaging.geometry import Grid
from imaging.resample import axial_grid, resample
from imaging.volume import Volume

PIXEL_MM = 2.0
SLICE_MM = 5.0
BONE_HU = 200.0

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Coarse:
    """A CT on slices of 2 mm pixels about 5 mm apart, along +S, +P, +L, and the body in it.

    Attributes:
        hu: (k, j, i).
        body: (k, j, i), the body with the air in it, without the couch.
        grid: its place, LPS mm.
    """

    hu: Annotated[Floats, "k, j, i; HU"]
    body: Annotated[Bools, "k, j, i"]
    grid: Grid

    @property
    def slice_mm(self) -> float:
        """From slice to slice, mm."""
        return self.grid.spacing_mm[0]

    def z_mm(self, k: float) -> float:
        """LPS z of slice k, mm."""
        return float(self.grid.to_lps((k, 0, 0))[2])


def coarse(volume: Volume) -> Coarse:
    """The volume on :class:`Coarse`'s grid.

    Slices that are already 4 mm or more apart are kept as they are; of thinner ones the mean of
    about 5 mm is taken, so that noise falls as in a thick slice.
    """
    fine = axial_grid(volume.grid, PIXEL_MM)
    native = volume.grid.spacing_mm[int(np.argmax(np.abs(volume.grid.affine[2, :3])))]
    thick = native >= 0.8 * SLICE_MM
    step = native if thick else SLICE_MM
    affine = fine.affine.copy()
    affine[2, 0] = step
    k, j, i = (np.array([0, n - 1]) for n in volume.grid.shape)
    corners = np.stack(np.meshgrid(k, j, i), axis=-1)
    count = int(np.ptp(volume.grid.to_lps(corners)[..., 2]) / step + 1e-3) + 1
    grid = Grid((count, *fine.shape[1:]), affine)
    source = np.asarray(resample(volume, grid if thick else fine).voxels, np.float32)
    hu = source if thick else _means(source, count)
    return Coarse(hu, body_mask(hu), grid)


def _means(slices: Floats, count: int) -> Floats:
    """Weighted means of 2 mm slices about every fifth mm, weights falling off over 5 mm."""
    out = np.empty((count, *slices.shape[1:]), np.float32)
    for n in range(count):
        place = n * SLICE_MM / PIXEL_MM
        near = np.arange(max(int(place) - 1, 0), min(int(place) + 3, len(slices)))
        weight = np.maximum(1 - np.abs(near - place) * PIXEL_MM / SLICE_MM, 0)
        out[n] = np.tensordot(weight / weight.sum(), slices[near], 1)
    return out


@dataclass(frozen=True, eq=False)
class Aorta:
    """The aorta's course.

    Attributes:
        place: (n, 3), k (whole), j, i of its centre in the coarse grid, from the feet up.
        radius_mm: (n,).
        hu: (n,), median of its middle in each slice.
        sharpness: (n,), how far it stands out from what is round it, in standard deviations.
    """

    place: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    hu: NDArray[np.float64]
    sharpness: NDArray[np.float64]


def find_spine(ct: Coarse) -> NDArray[np.float64]:
    """(k, 2): row and column of each slice's spine, about its canal; NaN without bone.

    Bone is dense there over the whole length; a bright aorta lies farther to the front and a
    kidney farther to the side, so both weigh less.
    """
    bone = ((ct.hu > BONE_HU) & ct.body).astype(np.float32)
    reach = max(round(20.0 / ct.slice_mm), 1)
    summed = np.cumsum(np.pad(bone, ((reach + 1, reach), (0, 0), (0, 0))), axis=0)
    slab = (summed[2 * reach + 1 :] - summed[: -2 * reach - 1]) / (2 * reach + 1)
    out = np.full((len(bone), 2), np.nan)
    rows, columns = (np.arange(n) for n in bone.shape[1:])
    for k in range(len(bone)):
        j, i = np.flatnonzero(ct.body[k].any(1)), np.flatnonzero(ct.body[k].any(0))
        if len(j) < 30 or len(i) < 30:
            continue
        depth = (rows - (j[0] + 0.70 * (j[-1] - j[0]))) * PIXEL_MM
        aside = (columns - (i[0] + i[-1]) / 2) * PIXEL_MM
        usual = np.exp(-0.5 * ((depth / 26) ** 2)[:, None] - 0.5 * ((aside / 22) ** 2)[None, :])
        smooth = blurred(slab[k], 8.0 / PIXEL_MM)
        row, column = np.unravel_index(int(np.argmax(smooth * usual)), smooth.shape)
        if smooth[row, column] > 0.1:
            out[k] = row, column
    return _steadied(out)


def _steadied(track: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running median over seven slices, so that one rib head or one osteophyte moves nothing."""
    out = track.copy()
    for k in range(len(track)):
        near = track[max(k - 3, 0) : k + 4]
        near = near[~np.isnan(near[:, 0])]
        if len(near):
            out[k] = np.median(near, axis=0)
    return out


def blurred(plane: Floats, sigma: float) -> Floats:
    """Gaussian blur of a plane; sigma in pixels."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(plane))
    out: Floats = sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, [sigma * sigma] * 2, 32))
    return out


RADII_MM = (6.0, 7.5, 9.0, 11.0, 13.0, 15.5)
_BEFORE_MM, _BEHIND_MM, _RIGHT_MM, _LEFT_MM = 76.0, 4.0, 34.0, 50.0
"""The window in front of the spine where the aorta is looked for."""


def find_aorta(ct: Coarse, spine: NDArray[np.float64]) -> Aorta | None:
    """The aorta by its roundness and its course, or None where no spine was found.

    In each slice every place of a window in front of the spine is scored as the middle of a disc
    of several sizes; the course is the one of the highest total score that moves little from
    slice to slice (Viterbi 1967).
    """
    seen = np.flatnonzero(~np.isnan(spine[:, 0]))
    if len(seen) < 3:
        return None
    shape = (
        round((_BEFORE_MM + _BEHIND_MM) / PIXEL_MM),
        round((_RIGHT_MM + _LEFT_MM) / PIXEL_MM),
    )
    corner = np.round(
        spine[seen] - np.array([_BEFORE_MM, _RIGHT_MM]) / PIXEL_MM
    ).astype(int)  # fmt: skip
    windows = np.stack([_window(ct.hu[k], at, shape) for k, at in zip(seen, corner, strict=True)])
    score, size = _disc_scores(windows)
    score += _prior(shape)
    path = _course(score, corner)
    rows, columns = path[:, 0], path[:, 1]
    n = np.arange(len(seen))
    radius = np.array(RADII_MM)[size[n, rows, columns]]
    middle = [
        float(np.median(w[_disc(w.shape, (j, i), 0.6 * r / PIXEL_MM)]))
        for w, j, i, r in zip(windows, rows, columns, radius, strict=True)
    ]
    place = np.column_stack([seen, rows + corner[:, 0], columns + corner[:, 1]]).astype(float)
    sharp = (score - _prior(shape))[n, rows, columns].astype(np.float64)
    return Aorta(place, radius, np.array(middle), sharp)


def _window(plane: Floats, corner: NDArray[np.int_], shape: tuple[int, int]) -> Floats:
    """A window of a slice, air where it reaches beyond the slice."""
    out = np.full(shape, -1000.0, np.float32)
    start = np.maximum(corner, 0)
    stop = np.minimum(corner + shape, plane.shape)
    if (stop > start).all():
        there = tuple(slice(a, b) for a, b in zip(start - corner, stop - corner, strict=True))
        here = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        out[there] = plane[here]
    return out


def _disc(shape: tuple[int, ...], centre: tuple[float, float], radius: float) -> Bools:
    j, i = np.ogrid[: shape[0], : shape[1]]
    inside: Bools = (j - centre[0]) ** 2 + (i - centre[1]) ** 2 <= radius**2
    return inside


def _disc_scores(windows: Floats) -> tuple[Floats, NDArray[np.int_]]:
    """How disc-like the surroundings of each place are, and the best radius' number.

    The mean inside less the mean of a ring about it, over the spread inside; bone is cut to the
    density of an artery.
    """
    values = np.clip(windows, -100, 350)
    _, rows, columns = values.shape
    size = (rows + 32, columns + 32)
    spectrum = np.fft.rfft2(values, size)
    squares = np.fft.rfft2(values * values, size)
    best = np.full(values.shape, -np.inf, np.float32)
    which = np.zeros(values.shape, int)
    for number, radius in enumerate(RADII_MM):
        r = radius / PIXEL_MM
        inner = _kernel(size, 0, 0.85 * r)
        ring = _kernel(size, r + 0.9, r + 2.2)
        mean = _convolved(spectrum, inner, size)[:, :rows, :columns]
        square = _convolved(squares, inner, size)[:, :rows, :columns]
        about = _convolved(spectrum, ring, size)[:, :rows, :columns]
        spread = np.sqrt(np.maximum(square - mean * mean, 0))
        score = (mean - about) / (spread + 0.1 * np.abs(mean) + 10)
        better = score > best
        best[better], which[better] = score[better], number
    return best, which


def _kernel(size: tuple[int, int], low: float, high: float) -> NDArray[np.complex128]:
    """Spectrum of a ring (or disc) of unit sum about the origin, edges softened."""
    j = np.fft.fftfreq(size[0], 1 / size[0])[:, None]
    i = np.fft.fftfreq(size[1], 1 / size[1])[None, :]
    r = np.hypot(j, i)
    kernel = np.clip(high - r + 0.5, 0, 1) * (np.clip(r - low + 0.5, 0, 1) if low else 1.0)
    spectrum: NDArray[np.complex128] = np.fft.rfft2(kernel / kernel.sum())
    return spectrum


def _convolved(
    spectrum: NDArray[np.complex128], kernel: NDArray[np.complex128], size: tuple[int, int]
) -> Floats:
    return np.fft.irfft2(spectrum * kernel, size).astype(np.float32)


def _prior(shape: tuple[int, int]) -> Floats:
    """The aorta usually lies 20 to 55 mm in front of the densest bone, a little to the left."""
    y = (np.arange(shape[0]) * PIXEL_MM - _BEFORE_MM)[:, None]
    x = (np.arange(shape[1]) * PIXEL_MM - _RIGHT_MM)[None, :]
    lateral = np.where(x < 2, (x - 2) / 9, np.maximum(x - 18, 0) / 12)
    depth = np.where(y < -52, (y + 52) / 10, np.maximum(y + 24, 0) / 8)
    out: Floats = (-0.5 * (lateral**2 + depth**2)).astype(np.float32)
    return out


_REACH, _STIFF = 4, 0.06
"""Pixels that the aorta may move from one slice to the next, and the cost of a squared pixel."""


def _course(score: Floats, corner: NDArray[np.int_]) -> NDArray[np.int_]:
    """Rows and columns (n, 2), in the windows, of the path of the highest total score."""
    count, rows, columns = score.shape
    margin = _REACH + 18
    moved = np.clip(np.diff(corner, axis=0), _REACH - margin, margin - _REACH)
    steps = [(j, i) for j in range(-_REACH, _REACH + 1) for i in range(-_REACH, _REACH + 1)]
    total = score[0]
    came = np.zeros(score.shape, int)
    for n in range(1, count):
        wide = np.pad(total, margin, constant_values=-1e6)
        best = np.full((rows, columns), -np.inf, np.float32)
        for code, step in enumerate(steps):
            j, i = margin + moved[n - 1] + step
            value = wide[j : j + rows, i : i + columns] - _STIFF * (step[0] ** 2 + step[1] ** 2)
            better = value > best
            best[better], came[n][better] = value[better], code
        total = best + score[n]
    path = np.zeros((count, 2), int)
    path[-1] = np.unravel_index(int(np.argmax(total)), (rows, columns))
    for n in range(count - 1, 0, -1):
        step = steps[came[n][tuple(path[n])]]
        path[n - 1] = np.clip(path[n] + step + moved[n - 1], 0, (rows - 1, columns - 1))
    return path


def find_liver(ct: Coarse, spine: NDArray[np.float64]) -> Bools:
    """The inside of the liver (k, j, i), 6 mm off its edge and its vessels; empty if not seen.

    The largest piece of even tissue between fat and bone, right of the spine and not behind it.
    """
    smooth = np.stack([blurred(np.clip(plane, -200, 400), 1.2) for plane in ct.hu])
    even = np.stack([blurred(np.abs(np.clip(plane, -200, 400) - s), 1.5)
                     for plane, s in zip(ct.hu, smooth, strict=True)])  # fmt: skip
    tissue = (smooth > 5) & (smooth < 220) & (even < 22) & ct.body
    row, column = (np.where(np.isnan(spine[:, n]), -1.0, spine[:, n]) for n in range(2))
    tissue &= np.arange(ct.hu.shape[2]) < (column - 10 / PIXEL_MM)[:, None, None]
    tissue &= np.arange(ct.hu.shape[1])[:, None] < row[:, None, None]
    core = sitk.BinaryErode(sitk.GetImageFromArray(tissue.astype(np.uint8)), (3, 3, 0))
    labels = sitk.RelabelComponent(sitk.ConnectedComponent(core))
    found: Bools = sitk.GetArrayFromImage(labels) == 1
    if np.count_nonzero(found) * ct.grid.voxel_volume_mm3 < LEAST_LIVER_ML * 1000:
        found[:] = False
    return found


LEAST_LIVER_ML = 40.0
"""Of the liver's inside; less can be muscle, a kidney or bowel."""
