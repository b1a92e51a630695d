"""A phantom as DICOM: a complete CT Image Storage series that says it is simulated."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from imaging.identity import derive_uid
from imaging.pancreatic import Phase
from imaging.phantom import Phantom
from imaging.phantom_abdomen import AbdomenPhantom

SIMULATED = "Simulated chest phantom"
INTERCEPT = -1024
Key = tuple[str | int, ...]


@dataclass(frozen=True)
class _Labels:
    """What the headers say of a phantom."""

    simulated: str
    patient: str
    study: str
    body_part: str
    contrast: str
    windows: tuple[tuple[str, int, int], ...]


_CHEST = _Labels(
    SIMULATED, "Phantom^Chest", "CT chest (simulated)", "CHEST", "",
    (("LUNG", -600, 1500), ("MEDIASTINUM", 40, 400)),
)  # fmt: skip


def _labels(phantom: Phantom | AbdomenPhantom, patient_id: str) -> tuple[_Labels, Key]:
    """What the headers say, and what the UIDs are derived from."""
    grid = phantom.volume.grid
    form = (*grid.shape, *np.round(grid.spacing_mm, 4).tolist(), patient_id)
    if isinstance(phantom, Phantom):
        return _CHEST, ("phantom", phantom.seed, *form)
    text = f"Simulated abdomen phantom, {phantom.phase.value}"
    agent = "" if phantom.phase is Phase.PLAIN else "simulated"
    windows = (("ABDOMEN", 40, 400), ("PANCREAS", 60, 250))
    labels = _Labels(text, "Phantom^Abdomen", "CT abdomen (simulated)", "ABDOMEN", agent, windows)
    voxels = sha256(phantom.volume.voxels.tobytes()).hexdigest()[:16]
    return labels, ("phantom-abdomen", phantom.seed, voxels, *form)


def write_series(
    phantom: Phantom | AbdomenPhantom, folder: Path, *, patient_id: str = "PHANTOM-1"
) -> list[Path]:
    """Write a phantom as a CT series, one file a slice, explicit VR little endian.

    UIDs are derived from the seed, the shape and the patient id, an abdomen's from its voxels
    too: the same phantom makes the same files.

    Args:
        phantom: what to write; axis-aligned, as ``make_phantom`` and ``make_abdomen`` make it.
        folder: made if it is not there.
        patient_id: PatientID.

    Returns:
        the files, from the feet up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = phantom.volume.grid
    labels, key = _labels(phantom, patient_id)
    paths = []
    for k in range(grid.shape[0]):
        image = _header(phantom, labels, key, patient_id)
        position = grid.to_lps((k, 0, 0))
        image.SOPInstanceUID = derive_uid(*key, "image", k)
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [_ds(value) for value in position]
        image.SliceLocation = _ds(position[2])
        stored = phantom.volume.voxels[k].astype(np.int32) - INTERCEPT
        path = folder / f"CT{k + 1:04d}.dcm"
        save_image(image, np.clip(stored, 0, 4095), path)
        paths.append(path)
    return paths


def save_image(image: Dataset, pixels: NDArray[np.integer[Any]], path: Path) -> None:
    """Write a header and its pixels (row, column; 0 to 65535), explicit VR little endian."""
    image.PixelData = pixels.astype("<u2").tobytes()
    image["PixelData"].VR = "OW"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = image.SOPClassUID
    meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.file_meta = meta
    image.save_as(path, enforce_file_format=True)


def _ds(value: float) -> str:
    """A decimal string (PS3.5 6.2): at most 16 characters."""
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _header(
    phantom: Phantom | AbdomenPhantom, labels: _Labels, key: Key, patient_id: str
) -> Dataset:
    """Everything that the slices share (PS3.3 A.3, CT Image IOD)."""
    slice_mm, row_mm, column_mm = phantom.volume.grid.spacing_mm
    _, rows, columns = phantom.volume.grid.shape
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SOPClassUID = CTImageStorage
    image.PatientName = labels.patient
    image.PatientID = patient_id
    image.PatientBirthDate = "19600101"
    image.PatientSex = "O"
    image.PatientAge = "066Y"
    image.PatientComments = f"{labels.simulated}, no patient"
    image.StudyInstanceUID = derive_uid(*key, "study")
    image.StudyID = f"PHANTOM{phantom.seed}"
    image.AccessionNumber = f"PHANTOM{phantom.seed}"
    image.StudyDescription = labels.study
    image.ReferringPhysicianName = ""
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(image, f"{name}Date", "20260105")
        setattr(image, f"{name}Time", "090000")
    image.Modality = "CT"
    image.SeriesInstanceUID = derive_uid(*key, "series")
    image.SeriesNumber = 2
    image.SeriesDescription = labels.simulated
    image.BodyPartExamined = labels.body_part
    image.PatientPosition = "HFS"
    image.ProtocolName = labels.simulated
    image.FrameOfReferenceUID = derive_uid(*key, "frame of reference")
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "Preread"
    image.ManufacturerModelName = labels.simulated
    image.DeviceSerialNumber = str(phantom.seed)
    image.SoftwareVersions = "1"
    image.ImageComments = f"{labels.simulated}: computed, not acquired from a person"
    image.AcquisitionNumber = 1
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [_ds(row_mm), _ds(column_mm)]
    image.SliceThickness = _ds(slice_mm)
    image.SpacingBetweenSlices = _ds(slice_mm)
    image.KVP = "120"
    image.ConvolutionKernel = "STANDARD"
    image.ReconstructionDiameter = _ds(columns * column_mm)
    image.GantryDetectorTilt = "0"
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = INTERCEPT, 1, "HU"
    if labels.contrast:
        image.ContrastBolusAgent = labels.contrast
    image.WindowCenter = [centre for _, centre, _ in labels.windows]
    image.WindowWidth = [width for _, _, width in labels.windows]
    image.WindowCenterWidthExplanation = [name for name, _, _ in labels.windows]
    return image
