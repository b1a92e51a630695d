"""The DICOM file format (PS3.10): preamble, file meta information, then the data set as sent.

Written by hand rather than by pydicom because it happens once for every object received, and
because the data set after it is neither parsed nor copied.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib.metadata import version

from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from imaging.identity import derive_uid
from pacs_bridge.errors import Refused

CANNOT_UNDERSTAND = 0xC000
IMPLEMENTATION_CLASS_UID = derive_uid("preread", "implementation")
IMPLEMENTATION_VERSION = f"PREREAD_{version('preread')}"[:16]

_PREAMBLE = bytes(128) + b"DICM"
_LONG_FORM = frozenset((b"OB", b"UN"))


@dataclass(frozen=True)
class FileParts:
    """A DICOM file taken apart; the UIDs are as the file's meta header gives them."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae: str
    dataset: memoryview


def meta_header(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str
) -> bytes:
    """Preamble, prefix and file meta information (PS3.10 7.1), as bytes to put before a data set.

    Args:
        sop_class_uid: MediaStorageSOPClassUID.
        sop_instance_uid: MediaStorageSOPInstanceUID.
        transfer_syntax_uid: of the data set that follows.
        source_ae: SourceApplicationEntityTitle; left out when empty.
    """
    elements = [
        _element(0x0001, b"OB", b"\x00\x01"),
        _element(0x0002, b"UI", sop_class_uid.encode("ascii")),
        _element(0x0003, b"UI", sop_instance_uid.encode("ascii")),
        _element(0x0010, b"UI", transfer_syntax_uid.encode("ascii")),
        _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode("ascii")),
    ]
    if source_ae:
        elements.append(_element(0x0016, b"AE", source_ae.encode("ascii", "replace")[:16]))
    body = b"".join(elements)
    return _PREAMBLE + _element(0x0000, b"UL", struct.pack("<I", len(body))) + body


def split_file(content: bytes | memoryview) -> FileParts:
    """Take a DICOM file apart without copying its data set.

    A file without preamble and meta header is read as a bare data set when it looks like one:
    old archives hold such files; its two SOP UIDs then come out empty.

    Raises:
        Refused: neither a DICOM file nor a bare data set.
    """
    view = memoryview(content)
    if len(view) >= 132 and bytes(view[128:132]) == b"DICM":
        return _split_meta(view, 132)
    if len(view) >= 8 and bytes(view[0:4]) == b"\x02\x00\x00\x00":  # meta without preamble
        return _split_meta(view, 0)
    syntax = _guess_syntax(bytes(view[:8]))
    return FileParts("", "", syntax, "", view)


def _split_meta(view: memoryview, position: int) -> FileParts:
    values: dict[int, str] = {}
    while position + 8 <= len(view) and bytes(view[position : position + 2]) == b"\x02\x00":
        (element,) = struct.unpack_from("<H", view, position + 2)
        vr = bytes(view[position + 4 : position + 6])
        if vr in _LONG_FORM:
            if position + 12 > len(view):
                break
            (length,) = struct.unpack_from("<I", view, position + 8)
            position += 12
        else:
            (length,) = struct.unpack_from("<H", view, position + 6)
            position += 8
        if position + length > len(view):
            raise Refused(
                f"the file meta information ends inside (0002,{element:04X}): the file is cut off",
                CANNOT_UNDERSTAND,
            )
        if vr in (b"UI", b"AE"):
            raw = bytes(view[position : position + length])
            values[element] = raw.decode("ascii", "replace").strip(" \x00")
        position += length
    syntax = values.get(0x0010) or _guess_syntax(bytes(view[position : position + 8]))
    dataset = view[position:]
    return FileParts(
        values.get(0x0002, ""), values.get(0x0003, ""), syntax, values.get(0x0016, ""), dataset
    )


def _guess_syntax(head: bytes) -> str:
    # The first element of a data set is in group 0008 nearly always (PS3.5 7.1: ascending).
    if len(head) == 8:
        lettered = head[4:6].isalpha() and head[4:6].isupper()
        (little,) = struct.unpack_from("<H", head)
        (big,) = struct.unpack_from(">H", head)
        if lettered and 0 < little <= 0x0020:
            return str(ExplicitVRLittleEndian)
        if lettered and 0 < big <= 0x0020:
            return str(ExplicitVRBigEndian)
        (length,) = struct.unpack_from("<I", head, 4)
        if 0 < little <= 0x0020 and length < 0x10000:
            return str(ImplicitVRLittleEndian)
    raise Refused(
        f"not a DICOM file: no 'DICM' at byte 128, and it begins with {head!r}", CANNOT_UNDERSTAND
    )


def _element(number: int, vr: bytes, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\x00" if vr in (b"UI", b"OB") else b" "
    if vr in _LONG_FORM:
        return struct.pack("<HH2s2xI", 0x0002, number, vr, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, number, vr, len(value)) + value
