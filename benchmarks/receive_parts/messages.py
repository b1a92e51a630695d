"""C-STORE requests as bytes, made before anything is timed."""

import os
import struct
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, generate_uid

ROOT = "1.2.826.0.1.3680043.10.1000."


class Objects:
    """CT images of 512 x 512 with pixels that no file system compresses; one series a sender."""

    def __init__(self) -> None:
        self._template: bytes = _image()
        self._number = 0

    def next(self, series: int) -> tuple[str, bytes]:
        """SOP Instance UID and data set of an image that never was before."""
        self._number += 1
        uid = f"{ROOT}{os.getpid() % 100_000:05d}.{self._number:010d}"
        content = self._template.replace(_UID, uid.encode())
        return uid, content.replace(_SERIES, f"{ROOT}9{series:05d}".encode())


_UID = f"{ROOT}{0:05d}.{0:010d}".encode()
_SERIES = f"{ROOT}9{0:05d}".encode()


def _image() -> bytes:
    image = Dataset()
    image.SOPClassUID = CTImageStorage
    image.SOPInstanceUID = _UID.decode()
    image.StudyDate, image.Modality = "20240102", "CT"
    image.AccessionNumber, image.StudyDescription = "A1", "Chest"
    image.PatientName, image.PatientID = "Zhang^San", "P1"
    image.StudyInstanceUID = generate_uid()
    image.SeriesInstanceUID = _SERIES.decode()
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows = image.Columns = 512
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation = 15, 0
    image.PixelData = os.urandom(512 * 512 * 2)
    image["PixelData"].VR = "OW"
    buffer = BytesIO()
    file = DicomFileLike(buffer)
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, image)
    return buffer.getvalue()


def store_request(uid: str, dataset: bytes, number: int, longest_pdu: int) -> bytes:
    """All PDUs of a C-STORE request, none longer than the receiver takes."""
    body = (
        _element(0x0002, CTImageStorage.encode())
        + _element(0x0100, struct.pack("<H", 1))
        + _element(0x0110, struct.pack("<H", number))
        + _element(0x0700, struct.pack("<H", 0))
        + _element(0x0800, struct.pack("<H", 1))
        + _element(0x1000, uid.encode())
    )
    parts = [_pdu(_element(0, struct.pack("<I", len(body))) + body, 0x03)]
    piece = longest_pdu - 6
    for start in range(0, len(dataset), piece):
        last = 0x02 if start + piece >= len(dataset) else 0x00
        parts.append(_pdu(dataset[start : start + piece], last))
    return b"".join(parts)


def _element(number: int, value: bytes) -> bytes:
    value += b"\x00" * (len(value) % 2)
    return struct.pack("<HHI", 0, number, len(value)) + value


def _pdu(content: bytes, control: int) -> bytes:
    length = len(content)
    return struct.pack(">BxIIBB", 4, length + 6, length + 2, 1, control) + content
