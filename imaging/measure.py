"""A mask on a volume to the numbers of a finding (a lesion) or a structure (an organ)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.errors import NothingToEncode
from imaging.finding import ImageReference, Outline
from imaging.geometry import Point
from imaging.outline import Axes, axes, outlines
from imaging.volume import Region, Volume


@dataclass(frozen=True)
class Measurement:
    """What was measured; the meaning and the units are those of ``Finding``'s fields."""

    centre_lps_mm: Point
    long_axis_mm: float
    short_axis_mm: float
    long_axis_lps_mm: tuple[Point, Point]
    short_axis_lps_mm: tuple[Point, Point]
    volume_mm3: float
    mean_hu: float
    slices: tuple[str, ...]
    key_image: ImageReference
    key_slice: int
    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class StructureMeasurement:
    """What was measured of an organ; the meaning is that of ``Structure``'s fields."""

    centre_lps_mm: Point
    volume_mm3: float
    mean_hu: float
    slices: tuple[str, ...]
    key_image: ImageReference
    key_slice: int
    outlines: tuple[Outline, ...]


def measure(volume: Volume, region: Region) -> Measurement:
    """Measure one lesion.

    Axes are measured on the volume's own slices: on the slice where the long axis is
    longest. Slices that were interpolated have no image to point to and are left out of
    ``slices``, ``outlines`` and the choice of the key slice, not of volume and density.

    Args:
        volume: HU, with sources.
        region: the lesion, on the volume's grid.

    Raises:
        NothingToEncode: the region is empty, or lies on interpolated slices only.
    """
    if not region.voxels.any():
        raise NothingToEncode("the mask of the lesion is empty")
    found: list[tuple[Axes, int]] = []
    contours: list[Outline] = []
    for offset in np.flatnonzero(region.voxels.any(axis=(1, 2))):
        k = region.start[0] + int(offset)
        image = _reference(volume, k)
        if image is None:
            continue
        polygons = _polygons(region, int(offset))
        contours += _outlines(volume, k, image, polygons)
        found.append((_axes_mm(volume, polygons[0]), k))
    if not found:
        raise NothingToEncode("the lesion lies on interpolated slices only")
    best, key = max(found, key=lambda entry: entry[0].long_length)
    key_image = _reference(volume, key)
    assert key_image is not None
    return Measurement(
        centre_lps_mm=_point(region.centre_mm),
        long_axis_mm=best.long_length,
        short_axis_mm=best.short_length,
        long_axis_lps_mm=_ends(volume, key, best.long),
        short_axis_lps_mm=_ends(volume, key, best.short),
        volume_mm3=region.mask.volume_mm3,
        mean_hu=_mean(volume, region),
        slices=tuple(dict.fromkeys(o.image.sop_instance_uid for o in contours)),
        key_image=key_image,
        key_slice=key,
        outlines=tuple(contours),
    )


def measure_structure(volume: Volume, region: Region) -> StructureMeasurement:
    """Measure an organ: no axes, and one outline, on the slice where its area is largest.

    Args:
        volume: HU or signal, with sources.
        region: the organ, on the volume's grid.

    Raises:
        NothingToEncode: the region is empty, or lies on interpolated slices only.
    """
    areas = np.count_nonzero(region.voxels, axis=(1, 2))
    images = {
        int(offset): image
        for offset in np.flatnonzero(areas)
        if (image := _reference(volume, region.start[0] + int(offset))) is not None
    }
    if not images:
        raise NothingToEncode("the structure is empty or lies on interpolated slices only")
    key = max(images, key=lambda offset: (areas[offset], -offset))
    return StructureMeasurement(
        centre_lps_mm=_point(region.centre_mm),
        volume_mm3=region.mask.volume_mm3,
        mean_hu=_mean(volume, region),
        slices=tuple(dict.fromkeys(image.sop_instance_uid for image in images.values())),
        key_image=images[key],
        key_slice=region.start[0] + key,
        outlines=tuple(
            _outlines(volume, region.start[0] + key, images[key], _polygons(region, key))
        ),
    )


def outlines_on(volume: Volume, region: Region, k: int) -> tuple[Outline, ...]:
    """The outlines of a region on one slice; none where it does not reach, or no image was.

    Args:
        volume: with sources.
        region: on the volume's grid.
        k: slice index of the volume.
    """
    image = _reference(volume, k)
    offset = k - region.start[0]
    if image is None or not 0 <= offset < len(region.voxels) or not region.voxels[offset].any():
        return ()
    return tuple(_outlines(volume, k, image, _polygons(region, offset)))


def _polygons(region: Region, offset: int) -> list[np.ndarray]:
    """Outlines of one slice of the box, (column, row) of the whole slice."""
    shift = np.array([region.start[2], region.start[1]], dtype=np.float64)
    return [polygon + shift for polygon in outlines(region.voxels[offset])]


def _outlines(
    volume: Volume, k: int, image: ImageReference, polygons: list[np.ndarray]
) -> list[Outline]:
    """Outlines on a slice to outlines on its image, which a tilt moves against it."""
    first = volume.image_offset(k)[::-1]
    return [
        Outline(image=image, points=tuple((float(c), float(r)) for c, r in polygon + first))
        for polygon in polygons
    ]


def _mean(volume: Volume, region: Region) -> float:
    return float(volume.voxels[region.box][region.voxels].mean(dtype=np.float64))


def _reference(volume: Volume, k: int) -> ImageReference | None:
    source = volume.sources[k] if volume.sources else None
    if source is None:
        return None
    return ImageReference(
        sop_class_uid=source.sop_class_uid,
        sop_instance_uid=source.sop_instance_uid,
        frame_number=source.frame_number,
    )


def _axes_mm(volume: Volume, polygon: np.ndarray) -> Axes:
    """Axes of a (column, row) polygon in mm from the slice's own top left corner."""
    _, row_mm, column_mm = volume.grid.spacing_mm
    return axes(polygon * np.array([column_mm, row_mm]))


def _ends(volume: Volume, k: int, axis_mm: np.ndarray) -> tuple[Point, Point]:
    """End points in mm on slice k to LPS mm."""
    _, row_mm, column_mm = volume.grid.spacing_mm
    first, second = (
        _point(volume.grid.to_lps((k, y / row_mm - 0.5, x / column_mm - 0.5))) for x, y in axis_mm
    )
    return first, second


def _point(lps_mm: np.ndarray | Point) -> Point:
    x, y, z = (round(float(value), 3) for value in lps_mm)
    return x, y, z
