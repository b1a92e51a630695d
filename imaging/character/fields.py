"""Smoothing, distances and connected pieces on grids whose voxels are no cubes.

Arrays are (k, j, i); spacings are (k, j, i) in mm.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Spacing = tuple[float, float, float]


def smoothed(values: NDArray[np.floating], spacing: Spacing, sigma_mm: float) -> Floats:
    """Gaussian smoothing, the same in mm along every axis; the borders are repeated.

    Along an axis whose voxels are much larger than ``sigma_mm`` next to nothing happens: what
    is coarse already is not made coarser.
    """
    out = np.asarray(values, np.float32)
    for axis, step in enumerate(spacing):
        reach = int(np.ceil(3 * sigma_mm / step))
        offsets = np.arange(-reach, reach + 1)
        kernel = np.exp(-0.5 * (offsets * step / sigma_mm) ** 2)
        kernel /= kernel.sum()
        if kernel[reach] > 0.995:
            continue
        out = _convolved(out, kernel.astype(np.float32), axis)
    return out


def _convolved(values: Floats, kernel: Floats, axis: int) -> Floats:
    reach = len(kernel) // 2
    n = values.shape[axis]
    wide = np.pad(values, [(reach, reach) if a == axis else (0, 0) for a in range(3)], mode="edge")
    out = np.zeros_like(values)
    for offset, weight in enumerate(kernel):
        part = [slice(None)] * 3
        part[axis] = slice(offset, offset + n)
        out += weight * wide[tuple(part)]
    return out


def signed_distance(mask: Bools, spacing: Spacing) -> Floats:
    """Distance to the border of ``mask`` in mm, negative inside.

    The border lies half-way between a true voxel's centre and its false neighbour's, so that
    0 is where :func:`imaging.outline.outlines` draws. An empty or full mask has no border:
    all values are then large.
    """
    return _outside(mask, spacing) - _outside(~mask, spacing)


def _outside(mask: Bools, spacing: Spacing) -> Floats:
    """Distance from each false voxel to the nearest true one, centre to centre, mm; 0 inside."""
    if not mask.any():
        return np.full(mask.shape, 1e3, np.float32)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing(spacing[::-1])
    far = sitk.GetArrayFromImage(
        sitk.SignedMaurerDistanceMap(
            image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
        )
    )
    # Outside the map counts from the centre of the nearest true voxel. The border is half-way
    # to its neighbour; neighbours on both sides of it are then equally far from 0.
    return np.asarray(np.maximum(far, 0), np.float32)


def opened(mask: Bools, spacing: Spacing, radius_mm: float) -> Bools:
    """What a ball of ``radius_mm`` reaches from within: thin strands are gone."""
    kernel = signed_distance(mask, spacing) < -radius_mm
    if not kernel.any():
        return kernel
    return np.asarray(mask & (signed_distance(kernel, spacing) <= radius_mm + min(spacing)))


def pieces(mask: Bools) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Connected pieces (26 neighbours), the largest first.

    Returns:
        labels, 0 outside and 1 for the largest piece; and voxel counts of pieces 1, 2, ...
    """
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    found = sitk.GetArrayFromImage(
        sitk.RelabelComponent(sitk.ConnectedComponent(image, True), sortByObjectSize=True)
    )
    labels = found.astype(np.int32)
    return labels, np.bincount(labels.ravel())[1:].astype(np.int64)


def largest_piece(mask: Bools) -> Bools:
    """Only the largest connected piece; an empty mask stays empty."""
    labels, _ = pieces(mask)
    return np.asarray(labels == 1)
