"""Section A.4.2.4 of the conformance statement: how each service behaves, and its statuses."""

from __future__ import annotations

from collections.abc import Iterator

from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import named
from pacs_bridge.dimse.outgoing import DEFLATED, PICTURE_SYNTAXES
from pacs_bridge.dimse.status import DUPLICATE, failure_of


def behaviour() -> Iterator[str]:
    """Its lines."""
    yield "#### A.4.2.4 SOP-specific conformance"
    yield ""
    yield (
        "**Storage SCP.** Every attribute is kept, none is coerced. "
        "Success is answered when the object is on the disk and in the database. An object that "
        "came before is kept once; one with the same SOP Instance UID and other content is kept "
        "beside it, and the newer is used."
    )
    yield ""
    yield from _statuses("C-STORE", {
        0x0000: "kept", 0x0110: "disk or database failed; sending again is safe",
        0xA700: "less free space than storage.minimum_free_gb",
        0xA900: "data set, command and presentation context disagree on SOP class or instance",
        0xC000: "cut off, not parseable, or a UID is missing or is none",
    })  # fmt: skip
    yield (
        "**Storage SCU.** Every object goes in its own transfer syntax where the peer takes it, "
        "else decompressed or re-encoded. Where `destinations.compression` says so, large ones go "
        "smaller, without loss, if the peer takes that: pictures in "
        + ", ".join(map(named, PICTURE_SYNTAXES))
        + f", others in {named(DEFLATED)}. How answers are taken:"
    )
    yield ""
    yield from _statuses("C-STORE", {status: _taken(status) for status in _ANSWERS})
    yield (
        "**Storage Commitment SCP (push model).** Every object is read and hashed again before "
        "it is committed to. The report goes over the association of the request while the peer "
        "keeps that open, else over a new one with the SCP role negotiated, and is repeated until "
        "it was heard. What is committed to is never deleted by the program."
    )
    yield ""
    yield from _statuses("N-ACTION", {
        0x0000: "the request is kept; a report comes", 0x0110: "it could not be kept; ask again",
        0x0112: "not the well-known SOP instance",
        0x0115: "no transaction UID, no object, or a UID that is none",
        0x0123: "not action type 1", 0x0124: "the AE title is not in commitment.peers",
    })  # fmt: skip
    yield from _statuses("Failure Reason (0008,1197) in reports", {
        0x0110: "what is here is damaged: send it again", 0x0112: "not here",
        0x0119: "here as another SOP class",
        0x0131: "the transaction UID is in use for other objects",
    })  # fmt: skip
    yield (
        "**Storage Commitment SCU.** Reports are heard on the association of the request and on "
        "associations that the SCP opens, with or without role selection."
    )
    yield ""
    yield (
        "**Query/Retrieve SCU.** Study root; levels STUDY, SERIES and IMAGE, one level a question. "
        "For C-GET the storage classes are proposed that the archive names (SOPClassUID at IMAGE "
        "level), else those of the series' Modality. What is too slow or too much is cancelled "
        "(C-CANCEL). How the last answer to C-MOVE and C-GET is taken:"
    )
    yield ""
    yield from _statuses("C-MOVE, C-GET", {
        0x0000: "done; a study counts as fetched when all of it is in the store",
        0xA801: "our AE title is no destination there: nothing more is asked until it is",
        0xB000: "some were not sent: asked again later for what is missing",
        0xFE00: "cancelled by us: asked again later",
    })  # fmt: skip
    yield "**Instance Availability Notification SCP.** What is told is recorded by study."
    yield ""
    yield from _statuses("N-CREATE", {
        0x0000: "recorded", 0x0106: "a UID that is none, or an unknown Instance Availability",
        0x0110: "could not be recorded; tell again",
        0x0120: "no study, no series or no object is named",
        0x0124: "the AE title is not in availability.ae_titles",
    })  # fmt: skip


def _statuses(message: str, meanings: dict[int, str]) -> Iterator[str]:
    yield from table((message, "Meaning"), ((f"{s:04X}", why) for s, why in meanings.items()))
    yield ""


_ANSWERS = (
    0x0000,
    DUPLICATE,
    0xB000,
    0xB006,
    0xB007,
    0xA700,
    0x0110,
    0x0213,
    0xA900,
    0xC000,
    0x0122,
)


def _taken(status: int) -> str:
    """What the sender of results makes of an answer; as the code judges it."""
    if status == DUPLICATE:
        return "delivered: the peer had the object already"
    error = failure_of(status)
    if error is None:
        return "delivered" + (", the warning is recorded" if status else "")
    return "sent again later" if error.retryable else "given up on, shown on the page"
