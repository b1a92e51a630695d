"""Pixels to a :class:`~imaging.volume.Volume` in Hounsfield units."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.arrange import Place, Stack, arrange, one_shape
from imaging.errors import NoImages
from imaging.headers import ImageSlice
from imaging.notices import Notice, notice
from imaging.pixels import Plane, Undecoded, decode_files
from imaging.pixels.decode import LOWEST_HU
from imaging.pixels.moved import Window, covered, moved
from imaging.series import Series
from imaging.stacks import one_stack
from imaging.volume import SourceSlice, Volume

log = logging.getLogger(__name__)

Pixels = dict[tuple[Path, int | None], Plane]
"""By file and frame number."""


@dataclass(frozen=True)
class Loaded:
    """A volume and what a reader must know of how it came about."""

    volume: Volume
    notices: tuple[Notice, ...]


def load_series(series: Series, *, helpers: int | None = None) -> Loaded:
    """Read, decode, order and rescale the images of one series.

    Args:
        series: images in any order, with position, orientation and pixel spacing.
        helpers: processes that decode beside this one; None: as many as pay.

    Returns:
        int16 voxels (float32 where a rescale slope is no whole number), (k, j, i), on an
        orthogonal grid; k grows along the slices' normal. One or two missing slices in a row
        are interpolated, a gantry tilt is taken out, uneven distances are brought to one; a
        notice says so, and the source of a slice that is interpolated is None.

    Raises:
        SeriesError: the images make no regular volume.
    """
    wanted, notices = _wanted(series)
    pixels, unreadable = _decoded(series, wanted, helpers)
    notices = [*unreadable, *notices]
    readable = tuple(s for s in wanted if (s.path, s.frame_number) in pixels)
    if not readable:
        first = f"; {notices[0].text.en}" if notices else ""
        raise NoImages(
            f"none of the {len(wanted)} images of series {series.uid} is readable{first}"
        )
    single = _without_exact_copies(readable, pixels)
    if len(single) < len(readable):
        copies, of = len(readable) - len(single), len(readable)
        how = "the others are exact copies"
        told = notice("duplicate-positions", count=copies, kept=len(single), of=of, how=how)
        notices.append(told)
    stack = arrange(single)
    voxels = _fill(stack, pixels, series.header.modality)
    notices += [*stack.notices, *_check(series, stack, voxels)]
    sources = tuple(
        None if n is None else _source(stack.images[n], stack.places[n])
        for n in stack.layers.sources
    )
    return Loaded(Volume(voxels, stack.grid, sources), tuple(notices))


def _wanted(series: Series) -> tuple[tuple[ImageSlice, ...], list[Notice]]:
    """What need be decoded: of several stacks the one that will be used."""
    if any(image.position is None or image.orientation is None for image in series.slices):
        return series.slices, []
    kept, notices = one_shape(series.slices)
    chosen, more = one_stack(kept)
    return chosen, notices + more


def _decoded(
    series: Series, images: tuple[ImageSlice, ...], helpers: int | None
) -> tuple[Pixels, list[Notice]]:
    pixels: Pixels = {}
    files: dict[Path, list[ImageSlice]] = defaultdict(list)
    for image in images:
        files[image.path].append(image)
    lost: dict[Path, Notice] = {}
    for made in decode_files(files, helpers=helpers):
        if isinstance(made, Undecoded):
            log.warning("series %s: %s", series.uid, made.error)
            problem = made.error.problem
            lost[made.path] = notice("unreadable-file", file=made.path.name, problem=problem)
        else:
            pixels |= {(made.path, number): plane for number, plane in made.planes.items()}
    # Of a file of many frames others may have been readable: it is whole, or it is not used.
    kept = {key: plane for key, plane in pixels.items() if key[0] not in lost}
    return kept, [lost[path] for path in sorted(lost)]


def _source(image: ImageSlice, place: Place) -> SourceSlice:
    return SourceSlice(
        path=image.path,
        sop_class_uid=image.sop_class_uid,
        sop_instance_uid=image.sop_instance_uid,
        frame_number=image.frame_number,
        first_row=place.row,
        first_column=place.column,
        above_mm=place.above_mm,
    )


def _without_exact_copies(slices: tuple[ImageSlice, ...], pixels: Pixels) -> tuple[ImageSlice, ...]:
    """Leave out images that repeat position and pixels of another under a new UID."""
    seen: dict[tuple[object, ...], list[Plane]] = {}
    kept = []
    for image in slices:
        key = (image.position, image.orientation, image.rows, image.columns)
        mine = pixels[image.path, image.frame_number]
        if any(np.array_equal(mine, other) for other in seen.get(key, ())):
            continue
        seen.setdefault(key, []).append(mine)
        kept.append(image)
    return tuple(kept)


def _fill(stack: Stack, pixels: Pixels, modality: str) -> Plane:
    """The slices: images as they are, moved within their plane, or mixed of two."""
    keys = [(image.path, image.frame_number) for image in stack.images]
    small = all(pixels[key].dtype == np.int16 for key in keys)
    outside = LOWEST_HU if modality == "CT" else min(float(pixels[key].min()) for key in keys)
    shape = stack.grid.shape
    voxels: Plane = np.empty(shape, np.int16) if small else np.empty(shape, np.float32)
    last = {n: k for k, mix in enumerate(stack.layers.mixes) for n in mix[:2]}
    planes: dict[int, Plane] = {}
    for k, (below, above, part) in enumerate(stack.layers.mixes):
        for n in (below, above):
            if n not in planes:
                plane = pixels.pop(keys[n])
                planes[n] = moved(plane, stack.places[n], shape[1:], outside)
        if part == 0:
            voxels[k] = planes[below]
        else:
            # A voxel that one of the two images does not reach is outside, not half air.
            both = _both(stack, below, above)
            mixed = (1 - part) * planes[below][both].astype(np.float32) + part * planes[above][both]
            voxels[k] = outside
            voxels[k][both] = np.rint(mixed) if small else mixed
        for n in (below, above):
            if last[n] == k:
                planes.pop(n, None)
    return voxels


def _both(stack: Stack, below: int, above: int) -> Window:
    shape = stack.grid.shape[1], stack.grid.shape[2]
    one, two = (
        covered((stack.images[n].rows, stack.images[n].columns), stack.places[n], shape)
        for n in (below, above)
    )
    rows, columns = (
        slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))
        for a, b in zip(one, two, strict=True)
    )
    return rows, columns


def _check(series: Series, stack: Stack, voxels: NDArray[np.generic]) -> list[Notice]:
    notices = []
    found = stack.grid.spacing_mm[0]
    said = stack.images[0].slice_thickness_mm
    # Overlapping reconstruction is normal; a distance well above the thickness is a gap.
    if said and found > 1.2 * said:
        notices.append(notice("thickness-differs", said=said, found=round(found, 3)))
    if series.header.modality == "CT":
        sample = voxels[:: max(1, len(voxels) // 16), ::8, ::8].astype(np.float32)
        body = float((sample > -200).mean())
        if body < 0.01 or float(sample.max()) < 0 or float(sample.min()) > -100:
            low, high = float(sample.min()), float(sample.max())
            notices.append(notice("implausible-values", found=f"{low:g} .. {high:g}"))
    return notices
