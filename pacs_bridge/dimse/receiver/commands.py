"""DIMSE command sets (PS3.7 6.3.1): Implicit VR Little Endian, group 0000, a few elements.

Read and written by hand because it happens twice for every object received.
"""

from __future__ import annotations

import struct

from pacs_bridge.dimse.receiver.violation import INVALID_VALUE, Violation

AFFECTED_CLASS, REQUESTED_CLASS = 0x0002, 0x0003
COMMAND_FIELD, MESSAGE_ID, ANSWERED_ID = 0x0100, 0x0110, 0x0120
DATA_SET_TYPE, STATUS = 0x0800, 0x0900
COMMENT = 0x0902
AFFECTED_INSTANCE, REQUESTED_INSTANCE = 0x1000, 0x1001
EVENT_TYPE, ACTION_TYPE, MOVE_ORIGINATOR = 0x1002, 0x1008, 0x1030

C_STORE, C_ECHO, C_CANCEL = 0x0001, 0x0030, 0x0FFF
N_EVENT_REPORT, N_ACTION, N_CREATE = 0x0100, 0x0130, 0x0140
RESPONSE = 0x8000
"""Set in the CommandField of a response."""
NO_DATA_SET = 0x0101
A_DATA_SET = 0x0001

_HEADER = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")
_LONG = struct.Struct("<I")


class Command:
    """What a peer sent.

    Args:
        encoded: the whole command set.

    Raises:
        Violation: it can't be taken apart.
    """

    def __init__(self, encoded: bytes | bytearray) -> None:
        self._values: dict[int, bytes] = {}
        position, end = 0, len(encoded)
        while position < end:
            if position + 8 > end:
                raise Violation("a command ends inside an element", INVALID_VALUE)
            group, element, length = _HEADER.unpack_from(encoded, position)
            position += 8
            if group != 0 or position + length > end:
                raise Violation("a command that is none", INVALID_VALUE)
            self._values[element] = bytes(encoded[position : position + length])
            position += length
        self.field = self.number(COMMAND_FIELD)
        """Which command; None: it doesn't say."""
        self.has_data_set = self.number(DATA_SET_TYPE) != NO_DATA_SET

    def number(self, element: int) -> int | None:
        """A US; None: it is missing or has no value."""
        value = self._values.get(element, b"")
        return int(_SHORT.unpack_from(value)[0]) if len(value) >= 2 else None

    def text(self, element: int) -> str:
        """A UI, AE or LO; empty where it is missing."""
        return self._values.get(element, b"").decode("latin-1").strip(" \x00")


def encoded(*elements: tuple[int, int | str]) -> bytes:
    """A command set.

    Args:
        elements: number and value, in ascending order; an empty text is left out.
    """
    parts = []
    for element, value in elements:
        if isinstance(value, int):
            parts.append(_HEADER.pack(0, element, 2) + _SHORT.pack(value))
        elif value:
            raw = value.encode("ascii", "replace")
            if len(raw) % 2:
                raw += b" " if element == COMMENT else b"\x00"
            parts.append(_HEADER.pack(0, element, len(raw)) + raw)
    body = b"".join(parts)
    return _HEADER.pack(0, 0, 4) + _LONG.pack(len(body)) + body


def answer_to(
    command: Command, status: int, comment: str = "", *, instance: str = "", data_set: bool = False
) -> bytes:
    """The response to a request (PS3.7 9.3 and 10.3).

    Args:
        command: the request.
        status: see PS3.7 annex C.
        comment: ErrorComment; at most 64 ASCII characters.
        instance: AffectedSOPInstanceUID, where it isn't the request's.
        data_set: whether one follows.
    """
    field = command.field or 0
    kind: list[tuple[int, int | str]] = []
    for element in (EVENT_TYPE, ACTION_TYPE):
        value = command.number(element)
        if value is not None:
            kind.append((element, value))
    return encoded(
        (AFFECTED_CLASS, command.text(AFFECTED_CLASS) or command.text(REQUESTED_CLASS)),
        (COMMAND_FIELD, field | RESPONSE),
        (ANSWERED_ID, command.number(MESSAGE_ID) or 0),
        (DATA_SET_TYPE, A_DATA_SET if data_set else NO_DATA_SET),
        (STATUS, status),
        (COMMENT, comment),
        (
            AFFECTED_INSTANCE,
            instance or command.text(AFFECTED_INSTANCE) or command.text(REQUESTED_INSTANCE),
        ),
        *kind,
    )
