"""One file to the planes of its frames, rescaled: HU for CT, signal for MR."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array

from imaging.errors import FileError, PixelsUndecodable
from imaging.headers import ImageSlice, read_header
from imaging.pixels.jpeg12 import is_jpeg12, read_jpeg12

Plane = NDArray[np.float32] | NDArray[np.int16]
"""Values after rescaling, (row, column)."""

LOWEST_HU = -1024
"""Scanners write -2000 or -3024 outside the circle of reconstruction; that is air."""
_FEW = 0.5
"""Where less than this part of a file's frames is wanted, they are decoded one by one."""


def decode_frames(images: Sequence[ImageSlice]) -> dict[int | None, Plane]:
    """The frames of one file, rescaled.

    Args:
        images: of one file; frames that are not among them are not decoded where that is less
            work.

    Returns:
        By frame number; int16 where the values are whole and fit.

    Raises:
        PixelsUndecodable: damaged, truncated, in colour, or of a transfer syntax no decoder here
            knows.
    """
    path = images[0].path
    try:
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        numbers = [image.frame_number or 1 for image in images]
        stored = _stored(path, dataset, numbers)
        return {
            image.frame_number: _values(stored[number], dataset, image)
            for number, image in zip(numbers, images, strict=True)
        }
    except PixelsUndecodable:
        raise
    except Exception as error:
        # Nothing narrower: pydicom's decoders and the libraries behind them (GDCM, pylibjpeg,
        # NumPy) share no base. It becomes a named error, which load_series logs and tells.
        syntax = _syntax_name(path)
        raise PixelsUndecodable(
            path, f"its pixels can't be decoded ({syntax}: {error})", "Send the image again."
        ) from error


def _stored(
    path: Path, dataset: Dataset, numbers: Sequence[int]
) -> dict[int, NDArray[np.number[Any]]]:
    """Stored values by frame number, (row, column)."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if is_jpeg12(dataset):
        whole: NDArray[np.number[Any]] = read_jpeg12(path, dataset)
    elif frames > 1 and len(numbers) < _FEW * frames:
        few = (pixel_array(dataset, index=n - 1) for n in numbers)
        return {n: _grey(path, plane[None])[0] for n, plane in zip(numbers, few, strict=True)}
    else:
        whole = dataset.pixel_array
        whole = whole[np.newaxis] if frames == 1 else whole
    whole = _grey(path, whole)
    return {n: whole[n - 1] for n in numbers}


def _grey(path: Path, stored: NDArray[np.number[Any]]) -> NDArray[np.number[Any]]:
    """(frame, row, column).

    Raises:
        PixelsUndecodable: the pixels have several samples.
    """
    if stored.ndim != 3:
        problem = f"its pixels are in colour ({_syntax_name(path)}), no CT or MR slice"
        raise PixelsUndecodable(path, problem, "Send the original images.")
    return stored


def _syntax_name(path: Path) -> str:
    try:
        return str(read_header(path).file_meta.TransferSyntaxUID.name)
    except (FileError, AttributeError):
        return "unknown transfer syntax"


def _values(stored: NDArray[np.number[Any]], dataset: Dataset, image: ImageSlice) -> Plane:
    """Stored values to HU or signal: PS3.3 C.11.1 (Modality LUT), C.7.5.1.1.2 (padding).

    Padding becomes air in CT, and the lowest value that is none in MR. int16 where the values
    are whole and fit, so that a study takes half the memory. MONOCHROME1 is a matter of display
    (C.7.6.3.1.2) and changes no value.
    """
    if stored.shape != (image.rows, image.columns):
        raise ValueError(f"{stored.shape} pixels, header says {image.rows} x {image.columns}")
    place = _transformation(dataset, image)
    if place.get("ModalityLUTSequence"):
        values = apply_modality_lut(stored, place).astype(np.float32)
    else:
        slope, intercept = _number(place, "RescaleSlope", 1), _number(place, "RescaleIntercept", 0)
        values = stored.astype(np.float32) * (slope or 1) + intercept
    padding = _padding(stored, dataset)
    if image.modality == "CT":
        if padding is not None:
            values[padding] = LOWEST_HU
        np.maximum(values, LOWEST_HU, out=values)
    elif padding is not None and padding.any() and not padding.all():
        values[padding] = values[~padding].min()
    if not np.isfinite(values).all():
        raise ValueError("values that are no finite numbers")
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int16)
    return whole if np.array_equal(whole, values) else values


def _number(place: Dataset, keyword: str, absent: float) -> float:
    value = place.get(keyword)
    return absent if value in (None, "") else float(value)


def _transformation(dataset: Dataset, image: ImageSlice) -> Dataset:
    """Where the rescale stands: of an enhanced image in the frame's or the shared groups."""
    if image.frame_number is None or "PerFrameFunctionalGroupsSequence" not in dataset:
        return dataset
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    frame = dataset.PerFrameFunctionalGroupsSequence[image.frame_number - 1]
    for groups in (frame, shared[0]):
        if groups.get("PixelValueTransformationSequence"):
            found: Dataset = groups.PixelValueTransformationSequence[0]
            return found
    return dataset


def _padding(stored: NDArray[np.number[Any]], dataset: Dataset) -> NDArray[np.bool_] | None:
    """Which stored values are Pixel Padding; None where the header names none."""
    padding = dataset.get("PixelPaddingValue")
    if padding is None:
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    low, high = sorted(
        _as_stored(int(value), dataset) for value in (padding, padding if limit is None else limit)
    )
    return np.asarray((stored >= low) & (stored <= high))


def _as_stored(value: int, dataset: Dataset) -> int:
    """Some writers give a negative padding as US, or an unsigned one as SS: the bits count."""
    bits = int(dataset.get("BitsAllocated") or 16)
    if dataset.get("PixelRepresentation") == 1:
        return value - (1 << bits) if value >= 1 << (bits - 1) else value
    return value + (1 << bits) if value < 0 else value
