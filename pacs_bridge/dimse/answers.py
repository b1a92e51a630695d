"""How a C-STORE is answered (PS3.4 B.2.3), and what is said of it in the log.

====== ============================================================================
status meaning
====== ============================================================================
0x0000 Success: written, fsynced, renamed, recorded (or held already, unchanged)
0x0110 Processing failure: disk or database failed, or a bug here; see the log;
       sending again is safe
0xA700 Refused, out of resources: less free space than storage.minimum_free_gb
0xA900 Data set does not match SOP class: data set, command and presentation context
       disagree on SOP class or instance
0xC000 Cannot understand: cut off, not parseable, or a UID is missing or is no UID
====== ============================================================================

An ErrorComment (0000,0902) goes with every refusal.
"""

from __future__ import annotations

import logging

from pacs_bridge.errors import DiskFull, Refused

_log = logging.getLogger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900


def not_kept(error: BaseException, who: str) -> tuple[int, str]:
    """Status and comment for an object that was not kept; logged here."""
    if isinstance(error, Refused):
        _log.warning("refused object from %s: %s (0x%04X)", who, error, error.status)
        return error.status, str(error)
    if isinstance(error, DiskFull):
        _log.error("REFUSED object from %s: %s (0xA700)", who, error)
        return OUT_OF_RESOURCES, str(error)
    _log.error("object from %s failed (0x0110)", who, exc_info=error)
    return PROCESSING_FAILURE, "internal error, see the receiver's log"


def wrong_context(sop_class_uid: str, abstract_syntax: str) -> Refused:
    """The command names another class than its presentation context is for."""
    return Refused(
        f"AffectedSOPClassUID (0000,0002) = {sop_class_uid[:64]!r} in a presentation context "
        f"for {abstract_syntax}",
        MISMATCH,
    )


def asked_by_us(originator: str, our_title: str) -> bool | None:
    """Whether an object comes because of our C-MOVE (PS3.7 9.3.1); None: it isn't said.

    Args:
        originator: MoveOriginatorApplicationEntityTitle (0000,1030).
        our_title: our AE title.
    """
    originator = originator.strip()
    return originator == our_title if originator else None


def comment(text: str) -> str:
    """What fits into an ErrorComment: 64 printable ASCII characters (LO)."""
    return "".join(c if " " <= c <= "~" and c != "\\" else "?" for c in text)[:64]
