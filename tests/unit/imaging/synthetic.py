"""Tiny CT series, written as DICOM files; every value that a test is about can be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from imaging.headers import scan_files
from imaging.identity import derive_uid
from imaging.load import Loaded, load_series
from imaging.series import Series, group_series

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
SHAPE = (12, 32, 28)
FIRST = (-10.0, -20.0, -100.0)
SPACING = (0.8, 0.7)
STEP_MM = 2.5
INTERCEPT = -1024

Change = Callable[[int, Dataset], None]


def random_hu(shape: tuple[int, int, int] = SHAPE, seed: int = 1) -> NDArray[np.int16]:
    """Noise from air to bone, so that no two slices are alike."""
    return np.random.default_rng(seed).integers(-1000, 900, shape).astype(np.int16)


def normal_of(orientation: Sequence[float]) -> NDArray[np.float64]:
    return np.cross(orientation[:3], orientation[3:]).astype(np.float64)


def make_images(
    hu: NDArray[np.int16] | None = None,
    *,
    orientation: Sequence[float] = AXIAL,
    first: ArrayLike = FIRST,
    spacing: tuple[float, float] = SPACING,
    step: ArrayLike | None = None,
    name: str = "series",
    change: Change = lambda k, image: None,
) -> list[Dataset]:
    """One CT image a slice, unsigned 16 bits; ``step`` by default 2.5 mm along the normal.

    ``name`` goes into the series' and the images' UIDs; ``change`` edits each image at the end.
    """
    voxels = random_hu() if hu is None else hu
    move = STEP_MM * normal_of(orientation) if step is None else np.asarray(step, np.float64)
    images = []
    for k, plane in enumerate(voxels):
        image = Dataset()
        image.SOPClassUID = CTImageStorage
        image.SOPInstanceUID = derive_uid("synthetic", name, k)
        image.StudyInstanceUID = derive_uid("synthetic", "study")
        image.SeriesInstanceUID = derive_uid("synthetic", name)
        image.FrameOfReferenceUID = derive_uid("synthetic", "frame")
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.Modality = "CT"
        image.PatientID, image.PatientName = "S1", "Synthetic^One"
        image.PatientBirthDate, image.PatientSex = "19700102", "O"
        image.StudyDate, image.StudyTime, image.StudyID = "20260105", "090000", "1"
        image.AccessionNumber, image.ReferringPhysicianName = "A1", ""
        image.SeriesNumber, image.SeriesDescription = 3, f"synthetic {name}"
        image.InstanceNumber = k + 1
        image.ImageOrientationPatient = [_ds(value) for value in orientation]
        position = np.asarray(first, np.float64) + k * move
        image.ImagePositionPatient = [_ds(value) for value in position]
        image.PixelSpacing = list(spacing)
        image.SliceThickness = _ds(abs(float(move @ normal_of(orientation))))
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelRepresentation = 0
        image.RescaleIntercept, image.RescaleSlope = INTERCEPT, 1
        set_stored(image, plane.astype(np.int32) - INTERCEPT)
        change(k, image)
        images.append(image)
    return images


def set_stored(image: Dataset, values: NDArray[np.generic], *, signed: bool = False) -> None:
    """Put stored values into an image as 16 bits."""
    image.PixelRepresentation = int(signed)
    image.PixelData = values.astype("<i2" if signed else "<u2").tobytes()
    image["PixelData"].VR = "OW"


def write(folder: Path, images: Iterable[Dataset], prefix: str = "CT") -> list[Path]:
    """Write images as files named by their order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, image in enumerate(images):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = image.SOPClassUID
        meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta = meta
        path = folder / f"{prefix}{n:03d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def series_of(paths: Iterable[Path]) -> Series:
    """The one series that the files hold."""
    (series,) = group_series(scan_files(paths))
    return series


def load(paths: Iterable[Path]) -> Loaded:
    """The volume of the one series that the files hold."""
    return load_series(series_of(paths))


def codes(loaded: Loaded) -> list[str]:
    """The codes of its notices."""
    return [item.code for item in loaded.notices]


def _ds(value: float) -> str:
    """A decimal string has at most 16 characters (PS3.5 6.2)."""
    return f"{float(value):.10f}"[:16]
