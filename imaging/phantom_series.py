"""The phantom as DICOM: a complete CT Image Storage series that says it is simulated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from imaging.identity import derive_uid
from imaging.phantom import Phantom

SIMULATED = "Simulated chest phantom"
INTERCEPT = -1024


def write_series(phantom: Phantom, folder: Path, *, patient_id: str = "PHANTOM-1") -> list[Path]:
    """Write the phantom as a CT series, one file a slice, explicit VR little endian.

    UIDs are derived from the seed, the shape and the patient id: the same phantom makes the
    same files.

    Args:
        phantom: what to write; axis-aligned, as :func:`imaging.phantom.make_phantom` makes it.
        folder: made if it is not there.
        patient_id: PatientID.

    Returns:
        the files, from the feet up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    grid = phantom.volume.grid
    key = ("phantom", phantom.seed, *grid.shape, *np.round(grid.spacing_mm, 4).tolist(), patient_id)
    paths = []
    for k in range(grid.shape[0]):
        image = _header(phantom, key, patient_id)
        position = grid.to_lps((k, 0, 0))
        image.SOPInstanceUID = derive_uid(*key, "image", k)
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [_ds(value) for value in position]
        image.SliceLocation = _ds(position[2])
        stored = phantom.volume.voxels[k].astype(np.int32) - INTERCEPT
        image.PixelData = np.clip(stored, 0, 4095).astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = image.SOPClassUID
        meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta = meta
        path = folder / f"CT{k + 1:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _ds(value: float) -> str:
    """A decimal string (PS3.5 6.2): at most 16 characters."""
    return f"{value:.5f}".rstrip("0").rstrip(".")


def _header(phantom: Phantom, key: tuple[str | int, ...], patient_id: str) -> Dataset:
    """Everything that the slices share (PS3.3 A.3, CT Image IOD)."""
    slice_mm, row_mm, column_mm = phantom.volume.grid.spacing_mm
    _, rows, columns = phantom.volume.grid.shape
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SOPClassUID = CTImageStorage
    image.PatientName = "Phantom^Chest"
    image.PatientID = patient_id
    image.PatientBirthDate = "19600101"
    image.PatientSex = "O"
    image.PatientAge = "066Y"
    image.PatientComments = f"{SIMULATED}, no patient"
    image.StudyInstanceUID = derive_uid(*key, "study")
    image.StudyID = f"PHANTOM{phantom.seed}"
    image.AccessionNumber = f"PHANTOM{phantom.seed}"
    image.StudyDescription = "CT chest (simulated)"
    image.ReferringPhysicianName = ""
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(image, f"{name}Date", "20260105")
        setattr(image, f"{name}Time", "090000")
    image.Modality = "CT"
    image.SeriesInstanceUID = derive_uid(*key, "series")
    image.SeriesNumber = 2
    image.SeriesDescription = SIMULATED
    image.BodyPartExamined = "CHEST"
    image.PatientPosition = "HFS"
    image.ProtocolName = SIMULATED
    image.FrameOfReferenceUID = derive_uid(*key, "frame of reference")
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "Preread"
    image.ManufacturerModelName = SIMULATED
    image.DeviceSerialNumber = str(phantom.seed)
    image.SoftwareVersions = "1"
    image.ImageComments = f"{SIMULATED}: computed, not acquired from a person"
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
    image.WindowCenter, image.WindowWidth = [-600, 40], [1500, 400]
    image.WindowCenterWidthExplanation = ["LUNG", "MEDIASTINUM"]
    return image
