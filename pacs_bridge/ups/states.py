"""The states of a workitem and the ways between them (PS3.4 CC.1.1, tables CC.1.1-1 and -2)."""

from __future__ import annotations

import re
from enum import StrEnum

from pydicom.uid import RE_VALID_UID

from pacs_bridge.errors import WorkitemRefused


class UpsState(StrEnum):
    """Procedure Step State (0074,1000)."""

    SCHEDULED = "SCHEDULED"
    """To be performed."""
    IN_PROGRESS = "IN PROGRESS"
    """Somebody has claimed it, and holds its Transaction UID."""
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"

    @property
    def final(self) -> bool:
        """Whether nothing changes any more."""
        return self in FINAL


FINAL = (UpsState.COMPLETED, UpsState.CANCELED)

UID_MISSING = "The Transaction UID is missing."
UID_WRONG = "The Transaction UID is incorrect."
INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."
INCONSISTENT_UPDATE = (
    "The submitted request is inconsistent with the current state of the Workitem."
)
UNCLAIMED = "The target URI did not reference a claimed Workitem."


def is_uid(text: str) -> bool:
    """Whether a text is a UID (PS3.5 9.1)."""
    return len(text) <= 64 and re.fullmatch(RE_VALID_UID, text) is not None


def not_here(uid: str) -> WorkitemRefused:
    """No such workitem."""
    return WorkitemRefused(
        404,
        "Specified SOP Instance UID does not exist or is not a UPS Instance managed by this SCP.",
        uid[:64],
        0xC307,
    )


def removed(uid: str) -> WorkitemRefused:
    """It was here, and was removed some time after its end."""
    return WorkitemRefused(410, "The Target Workitem has been deleted.", uid, 0xC307)


def change(state: UpsState, owner_uid: str, wanted: str, transaction_uid: str) -> str:
    """Whether the state may be changed.

    Args:
        state: it is in.
        owner_uid: Transaction UID that whoever claimed it gave; empty: nobody did.
        wanted: the state asked for.
        transaction_uid: given with the request.

    Returns:
        A warning where it is in that state already; empty: change it.

    Raises:
        WorkitemRefused: it may not.
    """
    if wanted == UpsState.SCHEDULED:
        raise WorkitemRefused(409, INCONSISTENT, "only a new workitem is SCHEDULED", 0xC303)
    if wanted not in list(UpsState):
        raise WorkitemRefused(400, INCONSISTENT, f"{wanted[:40]!r} is no state")
    if not transaction_uid:
        raise WorkitemRefused(400, UID_MISSING, code=0xC301)
    if state is UpsState.SCHEDULED:
        if wanted == UpsState.IN_PROGRESS:
            return ""
        raise WorkitemRefused(409, INCONSISTENT, 'it is not yet in the "IN PROGRESS" state', 0xC310)
    if transaction_uid != owner_uid:
        raise WorkitemRefused(400, UID_WRONG, code=0xC301)
    if state is UpsState.IN_PROGRESS:
        if wanted == UpsState.IN_PROGRESS:
            raise WorkitemRefused(409, INCONSISTENT, "it is already IN PROGRESS", 0xC302)
        return ""
    if wanted == state:
        return already(state)
    raise WorkitemRefused(409, INCONSISTENT, f"it is {state} and stays so", 0xC300)


def already(state: UpsState) -> str:
    """The warning that a workitem is in the state asked for."""
    return f"The UPS is already in the requested state of {state}."


def may_update(state: UpsState, owner_uid: str, transaction_uid: str) -> None:
    """Whether the content may be changed (PS3.4 CC.2.6.3, PS3.18 11.6).

    Raises:
        WorkitemRefused: it may not.
    """
    if state.final:
        raise WorkitemRefused(400, INCONSISTENT_UPDATE, f"it is {state}", 0xC300)
    if state is UpsState.SCHEDULED:
        if transaction_uid:
            raise WorkitemRefused(409, UNCLAIMED, "it is SCHEDULED", 0xC310)
        return
    if not transaction_uid:
        raise WorkitemRefused(400, INCONSISTENT_UPDATE, UID_MISSING, 0xC301)
    if transaction_uid != owner_uid:
        raise WorkitemRefused(400, INCONSISTENT_UPDATE, UID_WRONG, 0xC301)
