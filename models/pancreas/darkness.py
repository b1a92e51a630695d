"""Darkness x place: how much darker than the own parenchyma, how deep in the gland.

The plain score beside the learned map. Fat at the border and between lobules is dark too; a place
deep in the organ is where darkness is unusual, and a mass makes the gland thick. Widths were chosen
on lesions drawn into the training patients' glands.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from models.pancreas.gland import Bools, Floats, GlandSlices

SMOOTH_MM = 4.0
DEPTH_SMOOTH_MM = 3.2
DARKEST_HU, BRIGHTEST_HU = -100.0, 60.0
"""Beyond these a voxel is fat, gas, calcium or a vessel, and says no more about the gland."""
HALF = 144.0
"""HU x mm of score one half; half of the healthy training glands reach it somewhere."""


def darkness(gland: GlandSlices) -> Floats:
    """The score of every voxel, [k, j, i], 0 to 1, 0 outside the organ; no probability.

    Within each slice (slices may be far apart): the mean darkness around a voxel over the organ
    alone, times how deep it lies.
    """
    score = np.zeros_like(gland.delta)
    pixel = gland.grid.spacing_mm[1]
    for k, organ in enumerate(gland.organ):
        if organ.any():
            dark = -within(gland.delta[k], organ, SMOOTH_MM / pixel)
            deep = within(depth_mm(organ, pixel), organ, DEPTH_SMOOTH_MM / pixel)
            product = np.maximum(dark, 0) * deep
            score[k] = np.where(organ, product / (product + HALF), 0)
    return score


def depth_mm(organ: Bools, pixel_mm: float) -> Floats:
    """Of a slice's pixels: distance to the nearest centre outside the organ; 0 outside."""
    padded = np.pad(organ, 1).astype(np.uint8)
    image = sitk.GetImageFromArray(1 - padded)
    image.SetSpacing((pixel_mm, pixel_mm))
    far = sitk.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    found: Floats = sitk.GetArrayFromImage(far)[1:-1, 1:-1]
    return np.where(organ, found, 0).astype(np.float32)


def within(values: Floats, organ: Bools, sigma: float) -> Floats:
    """A slice smoothed over the organ's own pixels; ``sigma`` in pixels; 0 outside."""
    clipped = np.clip(values, DARKEST_HU, BRIGHTEST_HU)
    weight = _gaussian(organ.astype(np.float32), sigma)
    total = _gaussian(np.where(organ, clipped, 0).astype(np.float32), sigma)
    return np.where(organ, total / np.maximum(weight, 1e-6), 0).astype(np.float32)


def _gaussian(values: Floats, sigma: float) -> Floats:
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (0, 1):
        wide = np.pad(values, [(reach, reach) if n == axis else (0, 0) for n in (0, 1)])
        length = values.shape[axis]
        values = sum(
            (
                weight * (wide[n : n + length] if axis == 0 else wide[:, n : n + length])
                for n, weight in enumerate(kernel)
            ),
            np.zeros_like(values),
        )
    return values
