"""Scans that are not what the nodule model is for, through the product's plan and reading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from benchmarks.archives import unpack
from imaging.errors import ImagingError
from imaging.identity import derive_uid
from models.errors import InputRefused
from models.loaded import LoadedModel
from models.study.reading import plan_study, read_study


def refused_or_warned(data: Path, scratch: Path, model: LoadedModel) -> list[dict[str, object]]:
    """What each study is answered with; printed too."""
    tilted = data / "protocol" / "geometry_tilt_gaps" / "dcm_qa_ct_GE_tilt18.5_gap.tar.xz"
    studies = {
        "chest in 8 mm slices (Lung_Dx-A0002)": unpack(
            data / "chest" / "Lung_Dx-A0002" / "ct.tar.xz", scratch / "thick"
        ),
        "head, tilted (GE)": unpack(tilted, scratch / "head"),
        "abdomen in 5 mm slices (TCGA-LIHC-BC-A3KF)": abdomen(
            data / "abdomen" / "TCGA-LIHC-BC-A3KF.npz", scratch / "abdomen"
        ),
    }
    rows: list[dict[str, object]] = []
    for name, folder in studies.items():
        outcome, reasons = answered(folder, model)
        print(f"{name}: {outcome}: {'; '.join(reasons)}")
        rows.append({"study": name, "outcome": outcome, "reasons": reasons})
    return rows


def answered(folder: Path, model: LoadedModel) -> tuple[str, list[str]]:
    """``refused``, or ``read`` with how many findings, and what people are told."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    scan, plan = plan_study(files, model.spec)
    if plan.chosen is None:
        return "refused", [n.text.en for verdict in plan.verdicts for n in verdict.notices]
    try:
        reading = read_study(scan, plan, model)
    except InputRefused as error:
        return "refused", [error.reason.text.en]
    except ImagingError as error:
        return "refused", [str(error)]
    told = [n.text.en for n in reading.report.warnings]
    return f"read, {len(reading.report.findings)} findings", told


def abdomen(archive: Path, folder: Path) -> Path:
    """The abdomen's array as a DICOM series."""
    with np.load(archive) as arrays:
        hu, z, pixel = arrays["hu"], arrays["z_mm"], arrays["pixel_mm"]
    folder.mkdir(parents=True)
    for k, plane in enumerate(hu):
        image = Dataset()
        image.SOPClassUID = CTImageStorage
        image.SOPInstanceUID = derive_uid("abdomen", k)
        image.StudyInstanceUID = derive_uid("abdomen", "study")
        image.SeriesInstanceUID = derive_uid("abdomen", "series")
        image.FrameOfReferenceUID = derive_uid("abdomen", "frame")
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.Modality, image.PatientID, image.PatientName = "CT", "A3KF", "A3KF"
        image.StudyDate, image.SeriesNumber, image.InstanceNumber = "20000101", 1, k + 1
        image.SeriesDescription, image.StudyID, image.AccessionNumber = "ABDOMEN ART", "1", "1"
        image.ImagePositionPatient = [-200.0, -200.0, float(z[k])]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.PixelSpacing = [float(v) for v in pixel]
        image.SliceThickness = abs(float(z[1] - z[0]))
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelRepresentation = 1
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.PixelData = plane.astype("<i2").tobytes()
        image["PixelData"].VR = "OW"
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = image.SOPClassUID
        meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.file_meta = meta
        image.save_as(folder / f"{k:03d}.dcm", enforce_file_format=True)
    return folder
