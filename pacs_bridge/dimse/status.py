"""What a DIMSE status means for whoever sent the request."""

from __future__ import annotations

from pacs_bridge.errors import PeerBusy, PeerError, PeerRefused

DUPLICATE = 0x0111
"""Duplicate SOP Instance (PS3.7 C.5.6)."""
_TRANSIENT = frozenset((0x0110, 0x0213))  # processing failure, resource limitation (PS3.7 C)


def failure_of(status: int) -> type[PeerError] | None:
    """Judge a status (PS3.7 C, PS3.4 B.2.3 and C.4.1.1.4), or a failure reason (PS3.3 C.14.1.1).

    ============== ========= ==============================================
    status         error     meaning
    ============== ========= ==============================================
    0x0000         none      success
    0x0001, 0x01xx none      warning 0x0107, 0x0116
    0xBxxx         none      warning: coerced or dropped elements
    0xA7xx         busy      out of resources
    0x0110, 0x0213 busy      processing failure, resource limitation
    all others     refused   trying again would get the same answer
    ============== ========= ==============================================
    """
    if status in (0x0000, 0x0001, 0x0107, 0x0116) or status & 0xF000 == 0xB000:
        return None
    if status & 0xFF00 == 0xA700 or status in _TRANSIENT:
        return PeerBusy
    return PeerRefused
