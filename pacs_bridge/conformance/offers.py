"""Which services Preread speaks, as which side; the tests hold each row against the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    _STORAGE_CLASSES,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from pacs_bridge.announced.service import AVAILABILITY_CLASS
from pacs_bridge.dimse.accepted import STORAGE_CLASSES, TRANSFER_SYNTAXES
from pacs_bridge.dimse.commitment import COMMITMENT_CLASS
from pacs_bridge.dimse.normalised import MESSAGE_SYNTAXES
from pacs_bridge.dimse.retrieve import FETCHED_CLASSES, FETCHED_SYNTAXES

MADE = {
    "SEG": str(SegmentationStorage),
    "SR": str(ComprehensiveSRStorage),
    "RTSTRUCT": str(RTStructureSetStorage),
    "GSPS": str(GrayscaleSoftcopyPresentationStateStorage),
    "SC": str(SecondaryCaptureImageStorage),
    "PDF": str(EncapsulatedPDFStorage),
}
"""SOP class of every kind of object that a destination may accept."""
MADE_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
"""Results are written in the first, and sent in either."""
_KEYWORDS = {uid: keyword for keyword, uid in _STORAGE_CLASSES.items()}
_QUERY_SYNTAXES = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2",
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """One service, as one side, over associations that one side opens."""

    service: str
    role: Literal["SCU", "SCP"]
    """Ours."""
    opened_by: Literal["us", "the peer"]
    messages: str
    sop_classes: tuple[str, ...]
    transfer_syntaxes: tuple[str, ...]
    when: str
    """What has to be set up; empty: it is always offered."""
    negotiated: bool = False
    """The role is negotiated (PS3.7 D.3.3.4), since it is not the default one."""


def named(uid: str) -> str:
    """The name of a UID in the standard (PS3.6 annex A)."""
    known = UID(uid)
    if known.name != uid:
        return known.name + (" (Retired)" if known.is_retired else "")
    keyword = _KEYWORDS.get(uid, uid)  # pydicom's dictionary is older than the class
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", keyword)


def settings_named(when: str) -> str:
    """The settings of an offer, set as code."""
    return ", ".join(f"`{each}`" for each in when.split(", ") if each)


_STORAGE = tuple(sorted(STORAGE_CLASSES))
_TAKEN = tuple(sorted(str(syntax) for syntax in TRANSFER_SYNTAXES))
_MESSAGES = tuple(MESSAGE_SYNTAXES)
_GOT = tuple(dict.fromkeys(str(kind) for kinds in FETCHED_CLASSES.values() for kind in kinds))

ACCEPTED = (
    Offer("Verification", "SCP", "the peer", "C-ECHO", (str(Verification),), _TAKEN, ""),
    Offer("Storage", "SCP", "the peer", "C-STORE", _STORAGE, _TAKEN, ""),
    Offer(
        "Storage Commitment", "SCP", "the peer", "N-ACTION, N-EVENT-REPORT", (COMMITMENT_CLASS,),
        _MESSAGES, "commitment.peers",
    ),
    Offer(
        "Storage Commitment", "SCU", "the peer", "N-EVENT-REPORT", (COMMITMENT_CLASS,),
        _MESSAGES, "destinations.commitment", negotiated=True,
    ),
    Offer(
        "Instance Availability Notification", "SCP", "the peer", "N-CREATE",
        (AVAILABILITY_CLASS,), _MESSAGES, "availability.ae_titles",
    ),
)  # fmt: skip
"""What the listener takes."""

PROPOSED = (
    Offer("Verification", "SCU", "us", "C-ECHO", (str(Verification),), _QUERY_SYNTAXES,
          "preread doctor"),
    Offer("Storage", "SCU", "us", "C-STORE", tuple(MADE.values()), MADE_SYNTAXES, "destinations"),
    Offer(
        "Query/Retrieve", "SCU", "us", "C-FIND",
        (str(StudyRootQueryRetrieveInformationModelFind),), _QUERY_SYNTAXES,
        "assembly.source, priors, pull",
    ),
    Offer(
        "Query/Retrieve", "SCU", "us", "C-MOVE",
        (str(StudyRootQueryRetrieveInformationModelMove),), _QUERY_SYNTAXES,
        "priors.method, pull.method",
    ),
    Offer(
        "Query/Retrieve", "SCU", "us", "C-GET",
        (str(StudyRootQueryRetrieveInformationModelGet),), _QUERY_SYNTAXES,
        "priors.method, pull.method",
    ),
    Offer(
        "Storage", "SCP", "us", "C-STORE (of C-GET)", _GOT,
        tuple(map(str, FETCHED_SYNTAXES)), "priors.method, pull.method", negotiated=True,
    ),
    Offer(
        "Storage Commitment", "SCU", "us", "N-ACTION, N-EVENT-REPORT", (COMMITMENT_CLASS,),
        _QUERY_SYNTAXES, "destinations.commitment",
    ),
    Offer(
        "Storage Commitment", "SCP", "us", "N-EVENT-REPORT", (COMMITMENT_CLASS,), _QUERY_SYNTAXES,
        "commitment.peers", negotiated=True,
    ),
)  # fmt: skip
"""What we propose to others."""
