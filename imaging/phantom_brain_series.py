"""The simulated brain study as DICOM: complete MR Image Storage series that say so."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage
from pydicom.valuerep import format_number_as_ds

from imaging.identity import derive_uid
from imaging.phantom_brain import BrainSeries, BrainStudy
from imaging.phantom_series import save_image

SIMULATED = "Simulated brain phantom"
TIMES_MS: dict[str, tuple[str, str, str, str, list[str]]] = {
    "T1c": ("1900", "2.5", "900", "*tfl3d1_16", ["GR", "IR"]),
    "T1": ("550", "12", "", "*se2d1", ["SE"]),
    "T2": ("4500", "98", "", "*tse2d1_15", ["SE"]),
    "FLAIR": ("9000", "110", "2500", "*spcir_278", ["SE", "IR"]),
}
"""RepetitionTime, EchoTime, InversionTime, SequenceName, ScanningSequence."""


def write_brain_study(
    study: BrainStudy, folder: Path, *, patient_id: str = "PHANTOM-BRAIN-1"
) -> dict[str, list[Path]]:
    """Write every series, one file a slice, explicit VR little endian.

    UIDs are derived from the seed, the shapes and the patient id: the same study makes the
    same files. The headers tell nothing of the head's motion between the series.

    Returns:
        the files of each role.
    """
    shapes = [n for each in study.series for n in each.plan.shape]
    key: tuple[str | int, ...] = ("brain phantom", study.seed, *shapes, patient_id)
    return {
        each.plan.role: _write(each, number, folder / each.plan.role, key, patient_id)
        for number, each in enumerate(study.series, start=1)
    }


def _write(
    series: BrainSeries, number: int, folder: Path, key: tuple[str | int, ...], patient_id: str
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    grid = series.volume.grid
    paths = []
    for k in range(grid.shape[0]):
        image = _header(series, number, key, patient_id)
        image.SOPInstanceUID = derive_uid(*key, number, "image", k)
        image.InstanceNumber = k + 1
        image.ImagePositionPatient = [
            format_number_as_ds(value) for value in grid.to_lps((k, 0, 0))
        ]
        path = folder / f"MR{k + 1:04d}.dcm"
        save_image(image, series.volume.voxels[k], path)
        paths.append(path)
    return paths


def _header(
    series: BrainSeries, number: int, key: tuple[str | int, ...], patient_id: str
) -> Dataset:
    """Everything that the slices share (PS3.3 A.4, MR Image IOD)."""
    plan = series.plan
    slice_mm, row_mm, column_mm = series.volume.grid.spacing_mm
    _, rows, columns = series.volume.grid.shape
    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    image.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    image.SOPClassUID = MRImageStorage
    image.PatientName = "Phantom^Brain"
    image.PatientID = patient_id
    image.PatientBirthDate = "19600101"
    image.PatientSex = "O"
    image.PatientAge = "066Y"
    image.PatientComments = f"{SIMULATED}, no patient"
    image.StudyInstanceUID = derive_uid(*key, "study")
    image.StudyID = image.AccessionNumber = "BRAIN1"
    image.StudyDescription = "MR brain (simulated)"
    image.ReferringPhysicianName = ""
    for name in ("Study", "Series", "Acquisition", "Content"):
        setattr(image, f"{name}Date", "20260105")
        setattr(image, f"{name}Time", f"09{number:02d}00" if name != "Study" else "090000")
    image.Modality = "MR"
    image.SeriesInstanceUID = derive_uid(*key, number, "series")
    image.SeriesNumber = number
    image.SeriesDescription = plan.description
    image.ProtocolName = SIMULATED
    image.BodyPartExamined = "BRAIN"
    image.PatientPosition = "HFS"
    image.FrameOfReferenceUID = derive_uid(*key, "frame of reference", plan.frame)
    image.PositionReferenceIndicator = ""
    image.Manufacturer = "Preread"
    image.ManufacturerModelName = SIMULATED
    image.DeviceSerialNumber = "1"
    image.SoftwareVersions = "1"
    image.ImageComments = f"{SIMULATED}: computed, not acquired from a person"
    repetition, echo, inversion, name, kinds = TIMES_MS[plan.role]
    image.ScanningSequence = kinds
    image.SequenceVariant = ["SP", "MP"] if "GR" in kinds else ["SK"]
    image.ScanOptions = ""
    image.MRAcquisitionType = "3D" if slice_mm < 2.5 else "2D"
    image.SequenceName = name
    image.RepetitionTime, image.EchoTime, image.EchoTrainLength = repetition, echo, "1"
    if inversion:
        image.InversionTime = inversion
    image.MagneticFieldStrength = "3"
    if plan.role == "T1c":
        image.ContrastBolusAgent = "Gadobutrol"
    image.AcquisitionNumber = 1
    image.ImageOrientationPatient = [
        format_number_as_ds(float(cosine)) for cosine in plan.orientation
    ]
    image.PixelSpacing = [format_number_as_ds(row_mm), format_number_as_ds(column_mm)]
    image.SliceThickness = format_number_as_ds(slice_mm)
    image.SpacingBetweenSlices = format_number_as_ds(slice_mm)
    image.SamplesPerPixel = 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.Rows, image.Columns = rows, columns
    image.BitsAllocated, image.BitsStored, image.HighBit = 16, 12, 11
    image.PixelRepresentation = 0
    image.WindowCenter, image.WindowWidth = 500, 1000
    return image
