"""One labelled case: images and what is marked on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid, Point, Shape3
from imaging.volume import Region, Volume


@dataclass(frozen=True, eq=False)
class Lesion:
    """A reference lesion.

    Args:
        label: index of the spec's label.
        centre: LPS mm.
        radius_mm: half its diameter; of a mask, of the sphere of the same volume.
        region: its mask on the case's grid.
    """

    label: int
    centre: Point
    radius_mm: float
    region: Region


@dataclass(frozen=True, eq=False)
class Labelled:
    """A case in memory.

    Args:
        volumes: one for each series that the model takes, HU or signal.
        masks: what is marked, by label index, on the first volume's grid; a label that is
            absent is not on these images. None: only centres and diameters are known.
        lesions: of the labels that are lesions, each connected piece of a mask.
        notes: what whoever reads the figures must know of this case.
    """

    volumes: tuple[Volume, ...]
    masks: Mapping[int, Region] | None
    lesions: tuple[Lesion, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A case on disk. ``load`` reads it.

    ``load`` raises :class:`models.errors.DatasetError` or an
    :class:`imaging.errors.ImagingError`; both name the file.
    """

    name: str
    load: Callable[[], Labelled] = field(repr=False)


@dataclass(frozen=True)
class LeftOut:
    """What was there and is not in the figures, with the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class LabelledSet:
    """The cases of one folder, and what could not be used of it.

    ``layout`` names how it is laid out, ``source`` the folder or file.
    """

    source: str
    layout: str
    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...] = ()


def region_of(mask: NDArray[np.bool_], grid: Grid) -> Region | None:
    """The tight box around a mask on ``grid``; None where it is empty."""
    # Axis by axis: np.argwhere of a whole organ would take 24 bytes a voxel.
    low: list[int] = []
    high: list[int] = []
    for axis in range(3):
        others = tuple(a for a in range(3) if a != axis)
        at = np.flatnonzero(mask.any(axis=others))
        if not at.size:
            return None
        low.append(int(at[0]))
        high.append(int(at[-1]) + 1)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Region(mask[box].copy(), (low[0], low[1], low[2]), grid)


def lesions_of(label: int, region: Region) -> list[Lesion]:
    """Each connected piece (faces, edges and corners touch) of a lesion label's mask."""
    image = sitk.GetImageFromArray(region.voxels.astype(np.uint8))
    pieces = sitk.GetArrayFromImage(sitk.ConnectedComponent(image, True))
    shapes = sitk.LabelShapeStatisticsImageFilter()
    shapes.Execute(sitk.GetImageFromArray(pieces))
    lesions = []
    for number in shapes.GetLabels():
        # SimpleITK counts x, y, z: i, j, k.
        i, j, k, width, height, depth = shapes.GetBoundingBox(number)
        voxels = pieces[k : k + depth, j : j + height, i : i + width] == number
        start: Shape3 = (k + region.start[0], j + region.start[1], i + region.start[2])
        piece = Region(voxels, start, region.within)
        radius = (3 * piece.mask.volume_mm3 / (4 * np.pi)) ** (1 / 3)
        lesions.append(Lesion(label, piece.centre_mm, float(radius), piece))
    return lesions
