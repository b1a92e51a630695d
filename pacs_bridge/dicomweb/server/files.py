"""Whole objects for WADO-RS: as they are held, or as Explicit VR Little Endian."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from pacs_bridge.dicomweb.server.frames import Undecodable
from pacs_bridge.dicomweb.server.reading import Unreadable, read, syntax_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class File:
    """A DICOM file that is sent."""

    content: bytes
    transfer_syntax: str


def file_of(path: Path, transfer_syntax: str) -> File:
    """A file to send.

    Args:
        path: of the object.
        transfer_syntax: Explicit VR Little Endian, or the one that it is held in. What can't be
            decoded here is sent as it is held; its own meta information says so.

    Raises:
        OSError, Unreadable: it can't be read.
    """
    stored = syntax_of(path)
    if stored == transfer_syntax or transfer_syntax != ExplicitVRLittleEndian:
        return File(path.read_bytes(), str(stored))
    try:
        return File(_explicit(path, stored), str(ExplicitVRLittleEndian))
    except (Undecodable, Unreadable) as error:
        _log.warning("%s is sent as it is held (%s): %s", path, stored.name, error)
        return File(path.read_bytes(), str(stored))


def _explicit(path: Path, stored: UID) -> bytes:
    dataset = read(path, pixels=True)
    buffer = io.BytesIO()
    try:
        if stored.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        elif stored == ExplicitVRBigEndian:
            dataset = _turned(dataset)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
    except Exception as error:
        # Nothing narrower: pydicom's decoders and the libraries behind them share no base. It
        # becomes a named error, and the object is sent as it is held.
        raise Undecodable(str(error)) from error
    return buffer.getvalue()


def _turned(dataset: Dataset) -> Dataset:
    """The same with the bytes of its words swapped, which pydicom leaves as they are."""
    turned = Dataset()
    for element in dataset:
        if element.VR == "SQ":
            items = [_turned(item) for item in element.value]
            turned.add(DataElement(element.tag, "SQ", Items(items)))
            continue
        if element.VR == "OW" and element.value:
            words = np.frombuffer(element.value, ">u2").astype("<u2")
            element.value = words.tobytes()
        elif element.VR in ("OF", "OL", "OD", "OV") and element.value:
            raise ValueError(f"{element.tag} {element.VR} in big endian")
        turned.add(element)
    if hasattr(dataset, "file_meta"):
        turned.file_meta = dataset.file_meta
    return turned
