"""Small DICOM objects made on the spot, for tests of receiving and sending."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom.dsutils import encode


def ct(**changes: Any) -> Dataset:
    """A CT image of 16 x 16 zeros, with new UIDs; ``changes`` by keyword, None removes."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyDate = "20240102"
    dataset.AccessionNumber = "A1"
    dataset.Modality = "CT"
    dataset.StudyDescription = "Chest"
    dataset.PatientName = "Zhang^San"
    dataset.PatientID = "P1"
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = 16
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(512)
    dataset["PixelData"].VR = "OW"
    for keyword, value in changes.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    return dataset


def encoded(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The data set as it travels in a C-STORE."""
    uid = UID(syntax)
    data = encode(dataset, uid.is_implicit_VR, uid.is_little_endian, uid.is_deflated)
    assert data is not None
    return data


def command(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> dict[str, str]:
    """What the C-STORE command says of it, as keyword arguments of ``Inbox.receive``."""
    return {
        "sop_class_uid": str(dataset.SOPClassUID),
        "sop_instance_uid": str(dataset.SOPInstanceUID),
        "transfer_syntax_uid": str(syntax),
        "source_ae": "SENDER",
    }


def saved(dataset: Dataset, path: Path) -> Path:
    """The data set as a DICOM file."""
    dataset.save_as(path, enforce_file_format=True)
    return path


def nested(depth: int) -> bytes:
    """An element (0008,1140) of ``depth`` sequences of undefined length in one another."""
    open_one = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    close_one = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return open_one * depth + close_one * depth


def with_element(dataset: Dataset, element: bytes) -> bytes:
    """The data set encoded explicitly, with raw bytes put in before its group 0010."""
    before, after = Dataset(), Dataset()
    for each in dataset:
        (before if each.tag.group < 0x0010 else after).add(each)
    parts = []
    for part in (before, after):
        buffer = BytesIO()
        file = DicomFileLike(buffer)
        file.is_implicit_VR, file.is_little_endian = False, True
        write_dataset(file, part)
        parts.append(buffer.getvalue())
    return parts[0] + element + parts[1]
