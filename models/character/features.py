"""A nodule's size, shape, border and texture as numbers that training and reading share.

What the training images lack no feature may need: their HU are known to about 15 % only and
there is nothing above or below the outlined slices. So everything is measured on the slices of
the mask, most of it relative to the step from the lung around the nodule to the nodule itself;
the two densities in HU are clipped, and training shakes them. Calcium can't be told so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.outline import axes, outlines
from imaging.volume import Region, Volume

Float = NDArray[np.float32]
Bits = NDArray[np.bool_]

MARGIN_MM = 12.0
"""What is looked at beside the mask, in its own slices."""
RING_MM = (1.5, 5.0)
"""The surroundings: far enough from a blurred edge, near enough to be the nodule's own."""
SHELL_MM = 1.5
"""Each side of the border, for its sharpness."""
SECTORS = 24
LEAST_STEP_HU = 150.0
"""A faint ground glass; smaller steps from lung to nodule are taken for this."""
SMOOTH_MM = 0.8

NAMES = (
    "diameter", "volume", "roundness", "height", "sphericity", "outline", "hull", "sharpness",
    "texture", "evenness", "median", "glass", "spicules", "attached",
)  # fmt: skip
"""Of each number of :func:`measure_features`, in its order; their meaning is in the function."""


@dataclass(frozen=True, eq=False)
class Crop:
    """A nodule cut out of its scan, on its own slices only.

    Args:
        hu: (k, j, i).
        mask: same shape; every slice holds some of it.
        spacing_mm: along (k, j, i).
    """

    hu: Float
    mask: Bits
    spacing_mm: tuple[float, float, float]


def cut(volume: Volume, region: Region) -> Crop:
    """The nodule's slices with :data:`MARGIN_MM` around it in the plane.

    Raises:
        ValueError: the mask is empty.
    """
    if not region.voxels.any():
        raise ValueError("the nodule's mask is empty")
    at = np.argwhere(region.voxels)
    low = at.min(0) + np.asarray(region.start)
    high = at.max(0) + np.asarray(region.start) + 1
    _, row_mm, column_mm = volume.grid.spacing_mm
    margin = np.array([0, np.ceil(MARGIN_MM / row_mm), np.ceil(MARGIN_MM / column_mm)], int)
    first = np.maximum(low - margin, 0)
    last = np.minimum(high + margin, volume.grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    mask = np.zeros(tuple(int(n) for n in last - first), np.bool_)
    mask[tuple((at + np.asarray(region.start) - first).T)] = True
    filled = mask.any(axis=(1, 2))
    hu = np.asarray(volume.voxels[box], np.float32)
    return Crop(hu[filled], mask[filled], volume.grid.spacing_mm)


def in_plane_distance(mask: Bits, spacing_mm: tuple[float, float, float]) -> Float:
    """Distance to the mask's border in each slice, mm; negative inside.

    The border runs half-way between voxel centres.
    """
    half = (spacing_mm[1] + spacing_mm[2]) / 4
    return np.where(mask, half - _away(~mask, spacing_mm), _away(mask, spacing_mm) - half)


def _away(mask: Bits, spacing_mm: tuple[float, float, float]) -> Float:
    """From each voxel's centre to the nearest of ``mask`` in its own slice, mm; 0 in it."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    # Slices so far apart that no other slice is ever the nearest.
    image.SetSpacing((spacing_mm[2], spacing_mm[1], 1e4))
    signed = sitk.SignedMaurerDistanceMap(image, False, False, True)
    return np.maximum(np.asarray(sitk.GetArrayFromImage(signed), np.float32), 0)


def measure_features(crop: Crop) -> NDArray[np.float64]:
    """The numbers named in :data:`NAMES`.

    ==========  ======================================================================
    diameter    ln of the mean axial diameter (long and short axis, largest slice), mm
    volume      ln of the diameter of a ball of the mask's volume, mm
    roundness   short by long axis
    height      extent over slices by long axis, at most 2
    sphericity  surface of a ball of that volume by the mask's
    outline     perimeter squared by 4 pi area of the largest slice, at most 4
    hull        area of the largest slice by its convex hull's
    sharpness   step within 1.5 mm of the border by the whole step
    texture     standard deviation 1 mm inside by the step
    evenness    (mean - lung) by (95th percentile - lung), inside
    median      HU, -900 to 150, in hundreds
    glass       share below -300 HU
    spicules    standard deviation over 24 sectors of the ring's mean by the step
    attached    share of the ring as dense as half the step
    ==========  ======================================================================
    """
    hu, mask, spacing = crop.hu, crop.mask, crop.spacing_mm
    k_mm, row_mm, column_mm = spacing
    areas = np.count_nonzero(mask, axis=(1, 2))
    long_mm, short_mm, outline, hull = _largest_slice(mask[int(areas.argmax())], row_mm, column_mm)
    volume = float(mask.sum()) * k_mm * row_mm * column_mm
    distance = in_plane_distance(mask, spacing)
    inside = hu[mask]
    ring = (distance > RING_MM[0]) & (distance < RING_MM[1])
    around = hu[ring] if ring.any() else hu[~mask]
    lung = float(np.percentile(around, 20)) if around.size else -850.0
    low, middle, high = (float(v) for v in np.percentile(inside, (5, 50, 95)))
    step = max(high - lung, LEAST_STEP_HU)
    near_in = hu[mask & (distance > -SHELL_MM)]
    near_out = hu[~mask & (distance < SHELL_MM)]
    deep = hu[distance < -1.0]
    deep = deep if deep.size >= 8 else inside
    sharp = float(near_in.mean() - near_out.mean()) / step if near_out.size else 0.5
    return np.array(
        [
            np.log((long_mm + short_mm) / 2),
            np.log((6 * volume / np.pi) ** (1 / 3)),
            short_mm / long_mm,
            min(len(mask) * k_mm / long_mm, 2.0),
            _sphericity(mask, spacing, volume),
            outline,
            hull,
            np.clip(sharp, -0.5, 1.5),
            min(float(deep.std()) / step, 1.0),
            np.clip((float(inside.mean()) - lung) / step, 0, 1.5),
            np.clip(middle, -900, 150) / 100,
            float((inside < -300).mean()),
            *_ring(hu, mask, ring, lung, step, spacing),
        ]
    )


def _largest_slice(
    mask: NDArray[np.bool_], row_mm: float, column_mm: float
) -> tuple[float, float, float, float]:
    """Long and short axis in mm, perimeter squared by 4 pi area, area by the convex hull's."""
    polygon = outlines(mask)[0] * np.array([column_mm, row_mm])
    found = axes(polygon)
    smooth = _rounded(polygon)
    edges = np.roll(smooth, -1, 0) - smooth
    perimeter = float(np.linalg.norm(edges, axis=1).sum())
    area = _area(smooth)
    outline = min(perimeter**2 / (4 * np.pi * max(area, 1e-6)), 4.0)
    hull = min(_area(polygon) / max(_hull_area(polygon), 1e-6), 1.0)
    return found.long_length, max(found.short_length, min(row_mm, column_mm)), outline, hull


def _rounded(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """The polygon without the stairs of its pixels: averaged along its length over 1.5 mm."""
    closed = np.concatenate([polygon, polygon[:1]])
    lengths = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0], np.cumsum(lengths)])
    count = max(int(along[-1] / 0.3), 12)
    at = np.linspace(0, along[-1], count, endpoint=False)
    even = np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], 1)
    total: NDArray[np.float64] = np.mean([np.roll(even, n, 0) for n in range(-2, 3)], axis=0)
    return total


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return float(abs(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1))))


def _hull_area(polygon: NDArray[np.float64]) -> float:
    """Of the convex hull, from its width at every angle: a half integral of h(h + h'')."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    reach = (polygon - polygon.mean(0)) @ np.stack([np.cos(angle), np.sin(angle)])
    height = reach.max(axis=0)
    turn = angle[1]
    slope = (np.roll(height, -1) - np.roll(height, 1)) / (2 * turn)
    return float(0.5 * np.sum(height**2 - slope**2) * turn)


def _sphericity(mask: Bits, spacing: tuple[float, float, float], volume: float) -> float:
    """Surface from the slope of the smoothed mask (co-area formula), which knows no stairs."""
    pad = [int(np.ceil(3 * SMOOTH_MM / mm)) + 1 for mm in spacing]
    image = sitk.GetImageFromArray(np.pad(mask, [(n, n) for n in pad]).astype(np.float32))
    image.SetSpacing(tuple(spacing[::-1]))
    sigma = max(SMOOTH_MM, 0.5 * max(spacing))
    smooth = sitk.GetArrayFromImage(sitk.DiscreteGaussian(image, [sigma**2] * 3))
    slope = np.gradient(smooth, *spacing)
    surface = float(np.sqrt(sum(s**2 for s in slope)).sum()) * float(np.prod(spacing))
    return float(min(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / max(surface, 1e-6), 1.5))


def _ring(
    hu: Float, mask: Bits, ring: Bits, lung: float, step: float,
    spacing: tuple[float, float, float],
) -> tuple[float, float]:  # fmt: skip
    """How uneven the surroundings are from direction to direction, and how much is dense."""
    at = np.argwhere(ring)
    if len(at) < SECTORS:
        return 0.0, 0.0
    k = at[:, 0]
    _, row_mm, column_mm = spacing
    rows, columns = np.arange(mask.shape[1]), np.arange(mask.shape[2])
    counts = mask.sum(axis=(1, 2))
    middle_j = (mask.sum(axis=2) @ rows) / counts
    middle_i = (mask.sum(axis=1) @ columns) / counts
    angle = np.arctan2((at[:, 1] - middle_j[k]) * row_mm, (at[:, 2] - middle_i[k]) * column_mm)
    sector = ((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    level = np.clip((hu[ring] - lung) / step, -0.5, 1.5)
    total = np.bincount(sector, level, SECTORS)
    held = np.bincount(sector, minlength=SECTORS)
    means = total[held > 0] / held[held > 0]
    return float(means.std()), float((level > 0.5).mean())
