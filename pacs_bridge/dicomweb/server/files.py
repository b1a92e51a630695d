"""Whole objects for WADO-RS: as held, as Explicit VR Little Endian, or compressed without loss."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from pacs_bridge.dicomweb.server.frames import (
    LOSSLESS,
    NoFrame,
    Undecodable,
    Unencodable,
    frames_of,
)
from pacs_bridge.dicomweb.server.reading import Unreadable, read, syntax_of

_log = logging.getLogger(__name__)

AS_HELD = "*"
"""In place of a transfer syntax: each object in its own."""
MADE = (str(ExplicitVRLittleEndian), *LOSSLESS)
"""Transfer syntaxes that any object is given in, whatever it is held in."""


@dataclass(frozen=True)
class File:
    """A DICOM file that is sent."""

    content: bytes | Path
    """Path: as it is held."""
    transfer_syntax: str


def file_of(path: Path, transfer_syntax: str) -> File:
    """A file to send.

    Args:
        path: of the object.
        transfer_syntax: of :data:`MADE`, else it is sent as it is held. What can't be compressed
            (a report, a mask) is sent as Explicit VR Little Endian, and what can't be decoded
            here as it is held: its own meta information says so.

    Raises:
        OSError, Unreadable: it can't be read.
    """
    stored = syntax_of(path)
    if transfer_syntax == stored or transfer_syntax not in MADE:
        return File(path, str(stored))
    if transfer_syntax in LOSSLESS:
        try:
            return File(_compressed(path, transfer_syntax), transfer_syntax)
        except (NoFrame, Unencodable, Undecodable, Unreadable) as error:
            _log.info("%s is sent uncompressed: %s", path, error)
    try:
        return File(_explicit(path, stored), str(ExplicitVRLittleEndian))
    except (Undecodable, Unreadable) as error:
        _log.warning("%s is sent as it is held (%s): %s", path, stored.name, error)
        return File(path, str(stored))


def _compressed(path: Path, transfer_syntax: str) -> bytes:
    frames = frames_of(path)
    made = [frames.encoded(index, transfer_syntax) for index in range(frames.count)]
    dataset = read(path)
    try:
        if frames.syntax == ExplicitVRBigEndian:
            dataset = _turned(dataset)
        for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
            if keyword in dataset:
                delattr(dataset, keyword)
        dataset.PixelData = encapsulate(made)
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        return _written(dataset, UID(transfer_syntax))
    except Exception as error:
        # Nothing narrower: over damaged values pydicom raises anything.
        raise Unencodable(str(error)) from error


def _explicit(path: Path, stored: UID) -> bytes:
    dataset = read(path, pixels=True)
    try:
        if stored.is_encapsulated:
            dataset.decompress(generate_instance_uid=False)
        elif stored == ExplicitVRBigEndian:
            dataset = _turned(dataset)
        return _written(dataset, ExplicitVRLittleEndian)
    except Exception as error:
        # Nothing narrower: pydicom's decoders and the libraries behind them share no base. It
        # becomes a named error, and the object is sent as it is held.
        raise Undecodable(str(error)) from error


def _written(dataset: Dataset, transfer_syntax: UID) -> bytes:
    buffer = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    dataset.save_as(buffer, implicit_vr=False, little_endian=True, enforce_file_format=True)
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
