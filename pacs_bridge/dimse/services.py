"""What a listener answers beside C-ECHO and C-STORE: normalised services, as values.

A listener negotiates the SOP class of each :class:`Service`, decodes the request and hands it
over; it knows nothing of what the service is for. Two services may share a SOP class, one for
peers that are its SCU and one for peers that are its SCP: the kind of request tells them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

Kind = Literal["N-ACTION", "N-CREATE", "N-EVENT-REPORT"]


@dataclass(frozen=True)
class Asked:
    """One DIMSE-N request (PS3.7 10.1)."""

    kind: Kind
    sop_class_uid: str
    sop_instance_uid: str
    """Requested or affected; where an N-CREATE leaves it to us, one that the listener made and
    answers with (PS3.7 10.1.5.1.4)."""
    number: int | None
    """ActionTypeID of an N-ACTION, EventTypeID of an N-EVENT-REPORT."""
    dataset: Dataset
    """Action information, attribute list or event information; empty where none came."""
    calling_ae: str
    address: str


def nobody_waits(status: int | None) -> None:
    """What an event is answered with matters to nobody; a function, so that it can be pickled."""


@dataclass(frozen=True)
class Event:
    """One N-EVENT-REPORT that we send (PS3.7 10.1.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    number: int
    """EventTypeID."""
    dataset: Dataset | None
    done: Callable[[int | None], None] = nobody_waits
    """Called once: with the status that the peer answered, or with None where it could not be
    sent, or the association ended without an answer."""


@dataclass(frozen=True)
class Answered:
    """The response: a DIMSE status (PS3.7 annex C) and what goes with it."""

    status: int
    dataset: Dataset | None = None
    comment: str = ""
    """ErrorComment (0000,0902), where the status is no success; its first 64 characters."""
    then: Callable[[], Event] | None = None
    """Called after the response went out, and may take its time: what it makes is sent to the
    peer over the same association, unless that is at its end (``done(None)`` then)."""


@dataclass(frozen=True)
class Service:
    """One SOP class with what answers its requests.

    ``handle`` is called from the association's thread; what it raises is answered with
    0x0110 (processing failure) and logged.
    """

    sop_class_uid: str
    kinds: frozenset[Kind]
    handle: Callable[[Asked], Answered]
    peer_is_scp: bool = False
    """The peer opens the association and is its SCP (role selection, PS3.7 D.3.3.4), as an
    archive that reports a storage commitment (PS3.4 J.3.3)."""
