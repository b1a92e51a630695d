"""The abdominal CT of a patient as a DICOM series: voxels from an archive, headers made here.

TCGA-LIHC-BC-A3KF (TCIA, CC BY 3.0): arterial phase, 37 x 5 mm, the whole pancreas in view. The
archive has no DICOM headers; those that a scanner would have written are plausible, not original.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from imaging.geometry import Grid
from imaging.identity import derive_uid
from imaging.volume import Volume

INTERCEPT = -1024
KEY = ("TCGA-LIHC-BC-A3KF", "arterial")
STUDY_UID = derive_uid(*KEY, "study")
SERIES_UID = derive_uid(*KEY, "series")


def read_abdomen(archive: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU (k, j, i), slices from the feet up; z of each slice and pixel (row, column), mm."""
    with np.load(archive) as stored:
        return stored["hu"], stored["z_mm"], stored["pixel_mm"]


def abdomen_volume(archive: Path) -> Volume:
    """The CT as a volume, on the same grid as the written series has."""
    hu, z_mm, pixel_mm = read_abdomen(archive)
    x, y = _corner(hu, pixel_mm)
    step = (0.0, 0.0, float(z_mm[1] - z_mm[0]))
    first = (x, y, float(z_mm[0]))
    grid = Grid.from_dicom(hu.shape, first, (1, 0, 0, 0, 1, 0), pixel_mm, step)
    return Volume(np.maximum(hu, INTERCEPT), grid)


def _corner(hu: np.ndarray, pixel_mm: np.ndarray) -> tuple[float, float]:
    """LPS x, y of the first voxel: the field of view lies about the middle."""
    _, rows, columns = hu.shape
    return -(columns - 1) / 2 * float(pixel_mm[1]), -(rows - 1) / 2 * float(pixel_mm[0])


def write_abdomen(archive: Path, folder: Path) -> list[Path]:
    """Write the CT as a CT Image Storage series, one file a slice, in the scanner's order.

    The scanner goes from the head down, as this one would have: instance 1 is the highest slice.

    Returns:
        the files, from the head down.
    """
    hu, z_mm, pixel_mm = read_abdomen(archive)
    folder.mkdir(parents=True, exist_ok=True)
    x, y = _corner(hu, pixel_mm)
    order = np.argsort(-z_mm)
    paths = []
    for number, k in enumerate(order, start=1):
        image = _header(hu, float(abs(z_mm[1] - z_mm[0])), pixel_mm)
        image.SOPInstanceUID = derive_uid(*KEY, "image", number)
        image.InstanceNumber = number
        image.ImagePositionPatient = [x, y, float(z_mm[k])]
        image.SliceLocation = float(z_mm[k])
        stored = np.clip(hu[k].astype(np.int32) - INTERCEPT, 0, 4095)
        image.PixelData = stored.astype("<u2").tobytes()
        image["PixelData"].VR = "OW"
        image.file_meta = FileMetaDataset()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"CT{number:04d}.dcm"
        image.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _header(hu: np.ndarray, slice_mm: float, pixel_mm: np.ndarray) -> Dataset:
    """What the slices share (PS3.3 A.3, CT Image IOD)."""
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.SOPClassUID = CTImageStorage
    image.PatientName = "TCGA^LIHC"
    image.PatientID = "TCGA-BC-A3KF"
    image.PatientBirthDate = ""
    image.PatientSex = ""
    image.StudyInstanceUID = STUDY_UID
    image.StudyID = "1"
    image.AccessionNumber = "A3KF"
    image.StudyDescription = "CT ABDOMEN W CONTRAST"
    image.ReferringPhysicianName = ""
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(image, f"{name}Date", "20040614")
        setattr(image, f"{name}Time", "101500")
    image.Modality = "CT"
    image.SeriesInstanceUID = SERIES_UID
    image.SeriesNumber = 3
    image.SeriesDescription = "ARTERIAL 5.0"
    image.BodyPartExamined = "ABDOMEN"
    image.PatientPosition = "HFS"
    image.ProtocolName = "LIVER 3 PHASE"
    image.FrameOfReferenceUID = derive_uid(*KEY, "frame of reference")
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "GE MEDICAL SYSTEMS"
    image.ManufacturerModelName = "LightSpeed Plus"
    image.ContrastBolusAgent = "CONTRAST"
    image.ContrastBolusRoute = "IV"
    image.AcquisitionNumber = 2
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing = [float(pixel_mm[0]), float(pixel_mm[1])]
    image.SliceThickness = slice_mm
    image.SpacingBetweenSlices = slice_mm
    image.KVP = 120
    image.ConvolutionKernel = "STANDARD"
    image.ReconstructionDiameter = float(pixel_mm[1]) * hu.shape[2]
    image.GantryDetectorTilt = 0
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = hu.shape[1:]
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.RescaleIntercept, image.RescaleSlope, image.RescaleType = INTERCEPT, 1, "HU"
    image.WindowCenter, image.WindowWidth = 40, 400
    return image
