"""Volumes in research files (NIfTI, MetaImage, NRRD), read with SimpleITK; LPS mm as in DICOM."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.resample import from_sitk
from imaging.volume import Volume
from models.errors import DatasetError

SUFFIXES = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")


def stem(path: Path) -> str | None:
    """The file's name without the ending; None where it is no such file."""
    name = path.name
    return next((name[: -len(end)] for end in SUFFIXES if name.lower().endswith(end)), None)


def files_under(folder: Path) -> list[Path]:
    """Every file in a folder, sorted; linked folders too, each once."""
    found: list[Path] = []
    seen: set[str] = set()
    for top, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(top)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        found += [Path(top, name) for name in names if Path(top, name).is_file()]
    return sorted(found)


def read_volumes(path: Path) -> list[Volume]:
    """The volumes of an image file: one, or one for each entry of a fourth axis.

    Returns:
        int16 where the values are whole and fit, else float32.

    Raises:
        DatasetError: it can't be read.
    """
    array, grid = _read(path)
    stack = array if array.ndim == 4 else array[np.newaxis]
    return [Volume(_narrow(voxels), grid) for voxels in stack]


def read_volume(path: Path) -> Volume:
    """The one volume of an image file.

    Raises:
        DatasetError: it can't be read, or holds several.
    """
    volumes = read_volumes(path)
    if len(volumes) != 1:
        raise DatasetError(f"{path}: holds {len(volumes)} volumes, one is needed; split the file")
    return volumes[0]


def read_mask(path: Path, image: Grid) -> NDArray[np.generic]:
    """The whole numbers of a mask file, (k, j, i), on the image's grid.

    Raises:
        DatasetError: it can't be read, holds fractions, or lies elsewhere than its image.
    """
    array, grid = _read(path)
    if array.ndim == 4:
        if array.shape[0] != 1:
            raise DatasetError(f"{path}: a mask has three axes, this one has {array.shape[0]} maps")
        array = array[0]
    if not grid.same_as(image, tolerance_mm=0.25 * min(image.spacing_mm)):
        raise DatasetError(
            f"{path}: the mask is {_place(grid)}, its image {_place(image)}; they must share a grid"
        )
    if not np.issubdtype(array.dtype, np.integer):
        whole = np.rint(array)
        if not np.array_equal(whole, array):
            raise DatasetError(f"{path}: a mask holds whole numbers, this one holds fractions")
        array = whole.astype(np.int32)
    return array


def _place(grid: Grid) -> str:
    spacing = " x ".join(f"{mm:.3g}" for mm in grid.spacing_mm)
    origin = ", ".join(f"{mm:.1f}" for mm in grid.affine[:3, 3])
    return f"{grid.shape} at ({origin}) mm, {spacing} mm"


def _read(path: Path) -> tuple[NDArray[np.generic], Grid]:
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    try:
        return from_sitk(sitk.ReadImage(str(path)))
    except (RuntimeError, ValueError) as error:
        why = str(error).strip().splitlines()[-1]
        raise DatasetError(f"{path}: cannot be read as an image ({why})") from error


def _narrow(voxels: NDArray[np.generic]) -> NDArray[np.float32] | NDArray[np.int16]:
    if voxels.dtype == np.int16:
        return voxels.astype(np.int16, copy=False)
    single = voxels.astype(np.float32)
    if not np.isfinite(single).all():
        return single  # the model's own check of its input says what to do
    if np.abs(single).max() <= np.iinfo(np.int16).max:
        whole = single.astype(np.int16)
        if np.array_equal(whole, single):
            return whole
    return single
