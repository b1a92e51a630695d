"""How a conversation with a peer ends before its time."""

from __future__ import annotations

UNRECOGNISED_PDU, UNEXPECTED_PDU = 0x01, 0x02
UNRECOGNISED_PARAMETER, UNEXPECTED_PARAMETER, INVALID_VALUE = 0x04, 0x05, 0x06


class Violation(Exception):
    """The peer breaks the protocol; it is told with an A-ABORT.

    Args:
        what: what it did.
        reason: the abort's reason (PS3.8 table 9-26).
    """

    def __init__(self, what: str, reason: int) -> None:
        super().__init__(what)
        self.reason = reason


class Gone(Exception):
    """The connection has ended, or the peer ended the association with an A-ABORT."""


class Silent(Exception):
    """Nothing came for too long."""
