"""What an encoded data set says it is: a few elements read from its head, nothing decoded.

The walk is a loop, not a recursion, touches each element once, copies only the values wanted
and stops after SeriesInstanceUID. So a data set nested a hundred thousand deep, a deflate
bomb or a length that points past the end costs a bounded time and ends in an answer.
"""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import PersonName

from imaging.undeclared import understood
from pacs_bridge.errors import Refused
from pacs_bridge.part10 import CANNOT_UNDERSTAND

MISMATCH = 0xA900
MOST_ELEMENTS = 1_000_000
"""More than this before SeriesInstanceUID is an attack, not an image."""
LONGEST_TEXT = 400
"""Characters kept of a text value for the worklist (a PN has at most 3 x 64)."""

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LONG_FORM = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")

_CHARACTER_SET = 0x00080005
_UNDECLARED = ("iso8859",)
"""What pydicom calls the default repertoire, where no set is named."""
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_STUDY_UID, _SERIES_UID = 0x0020000D, 0x0020000E
_UIDS = (_SOP_CLASS, _SOP_INSTANCE, _STUDY_UID, _SERIES_UID)
_TEXTS = {
    "study_date": 0x00080020,
    "accession_number": 0x00080050,
    "description": 0x00081030,
    "patient_name": 0x00100010,
    "patient_id": 0x00100020,
}
_WANTED = frozenset((_CHARACTER_SET, *_UIDS, *_TEXTS.values()))
_NAMES = {
    _SOP_CLASS: "SOPClassUID",
    _SOP_INSTANCE: "SOPInstanceUID",
    _STUDY_UID: "StudyInstanceUID",
    _SERIES_UID: "SeriesInstanceUID",
}


@dataclass(frozen=True)
class Identity:
    """What a data set says it is; UIDs are checked, texts are decoded and without controls."""

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""


def identify(encoded: bytes | memoryview, transfer_syntax_uid: str) -> Identity:
    """Read the identifying elements at the head of an encoded data set.

    Args:
        encoded: the data set, without file meta information.
        transfer_syntax_uid: how it is encoded; one that is not known is read as Explicit VR
            Little Endian, which every compressed syntax is (PS3.5 A.4).

    Raises:
        Refused: 0xC000, the head can't be parsed, or a UID is missing or not a UID.
    """
    return _identity(_head(memoryview(encoded), transfer_syntax_uid))


def identify_head(head: bytes, transfer_syntax_uid: str) -> Identity | None:
    """The same from the first bytes of a data set; None: only all of it can tell.

    Args:
        head: where the data set begins; it goes on.
        transfer_syntax_uid: how it is encoded.
    """
    if transfer_syntax_uid == DeflatedExplicitVRLittleEndian:
        return None
    walk = _Walk(memoryview(head), transfer_syntax_uid)
    try:
        raw = walk.wanted()
        return _identity(raw) if walk.ended_early else None
    except Refused:
        return None


def _identity(raw: dict[int, bytes]) -> Identity:
    uids = [checked_uid(_uid_text(raw.get(tag)), _name(tag)) for tag in _UIDS]
    encodings = _encodings(raw.get(_CHARACTER_SET, b""))
    texts = {name: _text(raw.get(tag, b""), tag, encodings) for name, tag in _TEXTS.items()}
    return Identity(*uids, **texts)


def checked_uid(value: str, what: str) -> str:
    """The UID, when it is one (PS3.5 9.1: digits and dots, at most 64 characters).

    Leading zeros in a component, which the standard forbids and scanners send, pass.

    Raises:
        Refused: 0xC000; the message names ``what`` and the value.
    """
    if len(value) > 64 or not _UID.fullmatch(value):
        problem = "is missing or empty" if not value else f"= {value[:80]!r} is not a UID"
        raise Refused(f"{what} {problem}", CANNOT_UNDERSTAND)
    return value


def _head(view: memoryview, syntax: str) -> dict[int, bytes]:
    if syntax != DeflatedExplicitVRLittleEndian:
        return _Walk(view, syntax).wanted()
    for limit in (1 << 20, 1 << 26):  # nearly always the first is enough; never more than 64 MiB
        try:
            inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            inflated = inflater.decompress(view, limit)
        except zlib.error as error:
            raise Refused(f"the deflated data set is damaged: {error}", CANNOT_UNDERSTAND) from None
        try:
            return _Walk(memoryview(inflated), syntax).wanted()
        except Refused:
            if len(inflated) < limit:
                raise
    raise Refused("no SeriesInstanceUID in the first 64 MiB of it inflated", CANNOT_UNDERSTAND)


class _Walk:
    """One pass over the top level of a data set; sequences are stepped over."""

    def __init__(self, view: memoryview, syntax: str) -> None:
        self.view = view
        self.end = len(view)
        self.explicit = syntax != ImplicitVRLittleEndian
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        self.tag_of = struct.Struct(f"{order}HH").unpack_from
        self.short_of = struct.Struct(f"{order}H").unpack_from
        self.long_of = struct.Struct(f"{order}I").unpack_from
        self.steps = 0
        self.ended_early = False
        """What comes after where it ended changes nothing."""

    def wanted(self) -> dict[int, bytes]:
        """Raw values of the wanted elements, by tag."""
        values: dict[int, bytes] = {}
        position = 0
        while position < self.end:
            tag, position, length, implicit = self.element(position, implicit=False)
            if tag > _SERIES_UID and all(uid in values for uid in _UIDS):
                self.ended_early = True
                break
            if length == _UNDEFINED:
                position = self.after_sequence(tag, position, implicit)
                continue
            if tag in _WANTED:
                value = bytes(self.view[position : position + min(length, 4096)])
                if tag in _UIDS and values.get(tag, value) != value:
                    raise Refused(f"{_name(tag)} stands twice, with two values", CANNOT_UNDERSTAND)
                values[tag] = value
            position += length
        return values

    def element(self, position: int, *, implicit: bool) -> tuple[int, int, int, bool]:
        """Tag, where its value begins, its length, and whether what it holds is implicit VR."""
        self.steps += 1
        if self.steps > MOST_ELEMENTS:
            raise Refused(f"more than {MOST_ELEMENTS} elements in its head", CANNOT_UNDERSTAND)
        if position + 8 > self.end:
            raise Refused(f"the data set ends inside an element, at byte {position}",
                          CANNOT_UNDERSTAND)  # fmt: skip
        group, number = self.tag_of(self.view, position)
        tag = group << 16 | number
        implicit = implicit or not self.explicit
        if not implicit and group != 0xFFFE:
            vr = bytes(self.view[position + 4 : position + 6])
            if vr in _LONG_FORM:
                if position + 12 > self.end:
                    raise Refused(f"the data set ends inside {_name(tag)}", CANNOT_UNDERSTAND)
                (length,) = self.long_of(self.view, position + 8)
                # UN of undefined length holds implicit VR (PS3.5 6.2.2, note)
                return self._checked(tag, position + 12, length, vr == b"UN")
            if b"AA" <= vr <= b"ZZ" and vr.isalpha():
                (length,) = self.short_of(self.view, position + 6)
                return self._checked(tag, position + 8, length, False)
        (length,) = self.long_of(self.view, position + 4)
        return self._checked(tag, position + 8, length, implicit)

    def _checked(
        self, tag: int, position: int, length: int, implicit: bool
    ) -> tuple[int, int, int, bool]:
        # A cut-off or lying element after the UIDs is for whoever reads the image to report.
        if length != _UNDEFINED and position + length > self.end and tag <= _SERIES_UID:
            raise Refused(
                f"{_name(tag)} says it has {length} bytes and {self.end - position} are left",
                CANNOT_UNDERSTAND,
            )
        return tag, position, length, implicit

    def after_sequence(self, tag: int, position: int, implicit: bool) -> int:
        """Where the sequence of undefined length whose content begins here ends."""
        stack = bytearray([_sequence(implicit)])
        while stack:
            if position >= self.end:
                raise Refused(f"{_name(tag)}, a sequence, is never closed", CANNOT_UNDERSTAND)
            inner, position, length, implicit = self.element(
                position, implicit=bool(stack[-1] & _IMPLICIT)
            )
            if inner in (_SEQUENCE_END, _ITEM_END):
                stack.pop()
            elif stack[-1] & _IN_SEQUENCE and inner != _ITEM:
                raise Refused(
                    f"{_name(tag)}, a sequence, holds {_name(inner)} where an item should be",
                    CANNOT_UNDERSTAND,
                )
            elif length != _UNDEFINED:
                position += length
            elif inner == _ITEM:
                stack.append(stack[-1] & _IMPLICIT)
            else:
                stack.append(_sequence(implicit))
        return position


_IN_SEQUENCE, _IMPLICIT = 1, 2


def _sequence(implicit: bool) -> int:
    return _IN_SEQUENCE | (_IMPLICIT if implicit else 0)


def _name(tag: int) -> str:
    label = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return f"{_NAMES[tag]} {label}" if tag in _NAMES else label


def _uid_text(raw: bytes | None) -> str:
    return (raw or b"").decode("latin-1").strip(" \x00")


@lru_cache(maxsize=64)
def _encodings(raw: bytes) -> tuple[str, ...]:
    names = [name.strip(" \x00") for name in raw.decode("latin-1").split("\\")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return tuple(convert_encodings(names))
    except (LookupError, ValueError):
        return ("iso8859",)


@lru_cache(maxsize=1024)  # a study's images say the same, one after another
def _text(raw: bytes, tag: int, encodings: tuple[str, ...]) -> str:
    raw = raw.rstrip(b" \x00")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if tag == _TEXTS["patient_name"]:
                text = str(PersonName(raw, list(encodings)))
            else:
                text = decode_bytes(raw, list(encodings), set())
    except (LookupError, ValueError):
        text = raw.decode("latin-1")
    if encodings == _UNDECLARED:
        text = understood(text)
    text = text.encode("utf-8", "replace").decode("utf-8")  # no lone surrogates into a database
    return _CONTROL.sub(" ", text).strip()[:LONGEST_TEXT]
