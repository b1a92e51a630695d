"""Pixels to a :class:`~imaging.volume.Volume` in Hounsfield units."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from imaging.arrange import Stack, arrange
from imaging.errors import FileError, NoImages, PixelsUndecodable
from imaging.headers import ImageSlice, read_header
from imaging.notices import Notice, notice
from imaging.series import Series
from imaging.volume import SourceSlice, Volume

log = logging.getLogger(__name__)

Plane = NDArray[np.float32] | NDArray[np.int16]
"""Values after rescaling, HU for CT."""
Pixels = dict[tuple[Path, int | None], Plane]
"""By file and frame number."""

LOWEST_HU = -1024
"""Scanners write -2000 or -3024 outside the circle of reconstruction; that is air."""


@dataclass(frozen=True)
class Loaded:
    """A volume and what a reader must know of how it came about."""

    volume: Volume
    notices: tuple[Notice, ...]


def load_series(series: Series) -> Loaded:
    """Read, decode, order and rescale the images of one series.

    Args:
        series: images in any order, with position, orientation and pixel spacing.

    Returns:
        int16 voxels (float32 where a rescale slope is no whole number), (k, j, i); k grows along
        the slices' normal. One or two missing slices in a row are interpolated, their
        source is None and a notice says so.

    Raises:
        SeriesError: the images make no regular volume.
    """
    notices: list[Notice] = []
    pixels: Pixels = {}
    files: dict[Path, list[ImageSlice]] = defaultdict(list)
    for image in series.slices:
        files[image.path].append(image)
    for path, images in files.items():
        try:
            pixels |= {(path, n): frame for n, frame in _decode(images).items()}
        except FileError as error:
            log.warning("series %s: %s", series.uid, error)
            notices.append(notice("unreadable-file", file=path.name, problem=error.problem))
    readable = tuple(s for s in series.slices if (s.path, s.frame_number) in pixels)
    if not readable:
        first = f"; {notices[0].text.en}" if notices else ""
        raise NoImages(
            f"none of the {len(series.slices)} images of series {series.uid} is readable{first}"
        )
    single = _without_exact_copies(readable, pixels)
    if len(single) < len(readable):
        copies, of = len(readable) - len(single), len(readable)
        how = "the others are exact copies"
        told = notice("duplicate-positions", count=copies, kept=len(single), of=of, how=how)
        notices.append(told)
    stack = arrange(single)
    voxels = _fill(stack, pixels)
    notices += [*stack.notices, *_check(series, stack, voxels)]
    sources = tuple(
        None
        if image is None
        else SourceSlice(
            image.path, image.sop_class_uid, image.sop_instance_uid, image.frame_number
        )
        for image in stack.slices
    )
    return Loaded(Volume(voxels, stack.grid, sources), tuple(notices))


def _decode(images: list[ImageSlice]) -> dict[int | None, Plane]:
    """The frames of one file, rescaled; keys are frame numbers.

    Raises:
        PixelsUndecodable: damaged, truncated, or of a transfer syntax no decoder here knows.
    """
    path = images[0].path
    try:
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        stored = dataset.pixel_array
        if stored.ndim == 2:
            stored = stored[np.newaxis]
        if stored.ndim != 3:
            raise ValueError(f"{stored.ndim} dimensions; colour images are not CT or MR slices")
        return {
            image.frame_number: _rescale(stored[(image.frame_number or 1) - 1], dataset, image)
            for image in images
        }
    except Exception as error:
        # Nothing narrower: pydicom's decoders and the libraries behind them (GDCM, pylibjpeg,
        # NumPy) share no base. It becomes a named error, which load_series logs and tells.
        syntax = _syntax_name(path)
        raise PixelsUndecodable(
            path, f"its pixels can't be decoded ({syntax}: {error})", "Send the image again."
        ) from error


def _syntax_name(path: Path) -> str:
    try:
        return str(read_header(path).file_meta.TransferSyntaxUID.name)
    except (FileError, AttributeError):
        return "unknown transfer syntax"


def _rescale(stored: NDArray[np.number[Any]], dataset: Dataset, image: ImageSlice) -> Plane:
    """Stored values to HU: PS3.3 C.11.1 (Modality LUT), padding (C.7.5.1.1.2) to air.

    int16 where the values are whole and fit, so that a study takes half the memory.
    """
    place = dataset
    if image.frame_number is not None and "PerFrameFunctionalGroupsSequence" in dataset:
        shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
        frame = dataset.PerFrameFunctionalGroupsSequence[image.frame_number - 1]
        for groups in (frame, shared[0]):
            if "PixelValueTransformationSequence" in groups:
                place = groups.PixelValueTransformationSequence[0]
                break
    slope = float(place.get("RescaleSlope", 1) or 1)
    intercept = float(place.get("RescaleIntercept", 0) or 0)
    values = stored.astype(np.float32) * slope + intercept
    if image.modality == "CT":
        padding = dataset.get("PixelPaddingValue")
        if padding is not None:
            limit = dataset.get("PixelPaddingRangeLimit", padding)
            low, high = sorted((int(padding), int(limit)))
            values[(stored >= low) & (stored <= high)] = LOWEST_HU
        np.maximum(values, LOWEST_HU, out=values)
    if values.shape != (image.rows, image.columns):
        raise ValueError(f"{values.shape} pixels, header says {image.rows} x {image.columns}")
    whole = values.astype(np.int16)
    return whole if np.array_equal(whole, values) else values


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


def _fill(stack: Stack, pixels: Pixels) -> Plane:
    small = all(plane.dtype == np.int16 for plane in pixels.values())
    shape = stack.grid.shape
    voxels: Plane = np.empty(shape, np.int16) if small else np.empty(shape, np.float32)
    present = [k for k, image in enumerate(stack.slices) if image is not None]
    for k in present:
        image = stack.slices[k]
        assert image is not None
        voxels[k] = pixels.pop((image.path, image.frame_number))
    for k in sorted(set(range(len(stack.slices))) - set(present)):
        below = max(p for p in present if p < k)
        above = min(p for p in present if p > k)
        part = (k - below) / (above - below)
        voxels[k] = np.rint((1 - part) * voxels[below] + part * voxels[above])
    return voxels


def _check(series: Series, stack: Stack, voxels: NDArray[np.generic]) -> list[Notice]:
    notices = []
    first = next(image for image in stack.slices if image is not None)
    found = stack.grid.spacing_mm[0]
    said = first.slice_thickness_mm
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
