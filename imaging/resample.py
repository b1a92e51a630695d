"""From one grid to another. The only file that speaks SimpleITK's x, y, z order."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.volume import Mask, Volume

AIR_HU = -1024.0


def to_sitk(voxels: np.ndarray, grid: Grid) -> sitk.Image:
    """Array (k, j, i) on an orthogonal grid to a SimpleITK image in LPS mm.

    Raises:
        ValueError: the grid is sheared (SimpleITK knows orthonormal directions only).
    """
    if not grid.is_orthogonal():
        raise ValueError("a sheared grid has no SimpleITK image; straighten the volume first")
    image = sitk.GetImageFromArray(voxels)
    _place(image, grid)
    return image


def from_sitk(image: sitk.Image) -> tuple[np.ndarray, Grid]:
    """A SimpleITK image to its array and grid.

    Returns:
        (k, j, i), or (c, k, j, i) of an image with a fourth axis; and the grid in LPS mm.

    Raises:
        ValueError: it has neither three nor four axes.
    """
    axes = image.GetDimension()
    if axes not in (3, 4):
        raise ValueError(f"{axes} axes; a volume has three, a stack of volumes four")
    voxels: np.ndarray = sitk.GetArrayFromImage(image)
    cosines = np.array(image.GetDirection()).reshape(axes, axes)[:3, :3]
    affine = np.eye(4)
    affine[:3, :3] = (cosines * np.array(image.GetSpacing()[:3]))[:, ::-1]
    affine[:3, 3] = image.GetOrigin()[:3]
    k, j, i = voxels.shape[-3:]
    return voxels, Grid((k, j, i), affine)


def resample(volume: Volume, target: Grid, *, fill: float = AIR_HU, order: int = 1) -> Volume:
    """Interpolate a volume onto another grid.

    Args:
        volume: any orthogonal grid; HU or signal.
        target: the wanted grid, orthogonal.
        fill: value outside the source, HU.
        order: 1 linear, 0 nearest neighbour.

    Returns:
        float32 voxels on ``target``.
    """
    image = to_sitk(volume.voxels, volume.grid)
    out = _run(image, target, fill, sitk.sitkLinear if order else sitk.sitkNearestNeighbor)
    return Volume(sitk.GetArrayFromImage(out), target)


def resample_moved(
    volume: Volume, motion: NDArray[np.float64], target: Grid, *, fill: float = 0.0
) -> Volume:
    """Interpolate a volume linearly onto a grid that a rigid motion maps into it; float32.

    Args:
        volume: any orthogonal grid.
        motion: 4 x 4, from LPS mm of ``target`` to LPS mm of ``volume``.
        target: orthogonal.
        fill: value outside the source.
    """
    through = sitk.AffineTransform(3)
    through.SetMatrix(motion[:3, :3].ravel().tolist())
    through.SetTranslation(motion[:3, 3].tolist())
    image = to_sitk(volume.voxels, volume.grid)
    out = _run(image, target, fill, sitk.sitkLinear, through)
    return Volume(sitk.GetArrayFromImage(out), target)


def resample_labels(labels: np.ndarray, grid: Grid, target: Grid) -> np.ndarray:
    """Nearest-neighbour copy of whole numbers (k, j, i) on another grid, both orthogonal.

    Returns:
        the same type of number on ``target``; 0 outside ``grid``.
    """
    image = to_sitk(labels, grid)
    out = sitk.Resample(image, _reference(target), sitk.Transform(), sitk.sitkNearestNeighbor, 0.0)
    copied: np.ndarray = sitk.GetArrayFromImage(out)
    return copied


def resample_probability(values: np.ndarray, grid: Grid, target: Grid) -> np.ndarray:
    """Interpolate a probability map (float, 0 outside) linearly onto ``target``; float32."""
    image = to_sitk(values.astype(np.float32), grid)
    out: np.ndarray = sitk.GetArrayFromImage(_run(image, target, 0.0, sitk.sitkLinear))
    return out


def resample_mask(mask: Mask, target: Grid) -> Mask:
    """Nearest-neighbour copy of a mask on another grid; False outside."""
    labels = resample_labels(mask.voxels.astype(np.uint8), mask.grid, target)
    return Mask(labels.astype(bool), target)


def axial_grid(grid: Grid, spacing_mm: float) -> Grid:
    """The smallest isotropic grid along +S, +P, +L that holds ``grid``.

    Axes (k, j, i) point to the head, the back and the left, whatever way the source was
    stored; the origin is the source's lowest corner on each axis.
    """
    corners = np.array(
        [[k, j, i] for k in (0, grid.shape[0] - 1) for j in (0, grid.shape[1] - 1)
         for i in (0, grid.shape[2] - 1)],
        dtype=np.float64,
    )  # fmt: skip
    points = grid.to_lps(corners)
    low, high = points.min(axis=0), points.max(axis=0)
    x, y, z = (int(n) for n in np.floor((high - low) / spacing_mm + 1e-6) + 1)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = low
    return Grid((z, y, x), affine)


def to_isotropic(volume: Volume, spacing_mm: float = 1.0, *, fill: float = AIR_HU) -> Volume:
    """The volume on :func:`axial_grid`, linear, float32; HU outside the source is ``fill``."""
    return resample(volume, axial_grid(volume.grid, spacing_mm), fill=fill)


def _reference(target: Grid) -> sitk.Image:
    k, j, i = target.shape
    image = sitk.Image([i, j, k], sitk.sitkUInt8)
    _place(image, target)
    return image


def _place(image: sitk.Image, grid: Grid) -> None:
    spacing = grid.spacing_mm[::-1]
    # Re-orthonormalise: header cosines are rounded, SimpleITK's check is strict. Its matrix
    # inversion fails without an error on numbers like 1e-308, hence the rounding.
    u, _, vt = np.linalg.svd(grid.affine[:3, 2::-1] / np.asarray(spacing))
    image.SetSpacing(spacing)
    image.SetDirection(np.round(u @ vt, 12).ravel().tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())


def _run(
    image: sitk.Image, target: Grid, fill: float, how: int, through: sitk.Transform | None = None
) -> sitk.Image:
    """``through`` maps points of the target to points of the image; None: they are the same."""
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(_reference(target))
    resampler.SetInterpolator(how)
    resampler.SetDefaultPixelValue(fill)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    if through is not None:
        resampler.SetTransform(through)
    result: sitk.Image = resampler.Execute(image)
    return result
