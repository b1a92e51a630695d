"""Sections A.5 to A.7 and A.9 of the conformance statement: objects, character sets, lists."""

from __future__ import annotations

from collections.abc import Iterator

from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import MADE, named
from pacs_bridge.dimse.accepted import STORAGE_CLASSES, TRANSFER_SYNTAXES


def media() -> Iterator[str]:
    """Lines of sections A.5 and A.6."""
    yield "## A.5 Media interchange"
    yield ""
    yield "None."
    yield ""
    yield "## A.6 Transformation of DICOM to CDA"
    yield ""
    yield "None."
    yield ""


def characters() -> Iterator[str]:
    """Lines of section A.7."""
    yield "## A.7 Support of character sets"
    yield ""
    yield (
        "Objects that come are kept in whatever set they name. All sets of PS3.3 C.12.1.1.2 are "
        "read, GB18030, GBK and ISO_IR 192 among them. Objects created keep the set of their "
        "images where it holds every text, else they are in ISO_IR 192 (UTF-8). Where a "
        "destination names the sets it reads, objects are converted, and one that fits none is "
        "not sent. Queries with other than ASCII characters are in ISO_IR 192."
    )
    yield ""


def annexes() -> Iterator[str]:
    """Lines of section A.9."""
    yield "## A.9 Annexes"
    yield ""
    yield "### A.9.1 Objects created"
    yield ""
    yield from table(
        ("`accepts`", "SOP class", "UID"), ((kind, named(uid), uid) for kind, uid in MADE.items())
    )
    yield ""
    yield (
        "Each is sent where a destination accepts it. UIDs are derived from the study, the "
        "revision of its reading and the kind of object: the same result made again is the same "
        "object. Patient and study attributes are those of the images."
    )
    yield ""
    yield "### A.9.2 Private attributes, SOP classes and transfer syntaxes"
    yield ""
    yield "None. Specialised and extended SOP classes: none."
    yield ""
    yield "### A.9.3 Coded terminology and templates"
    yield ""
    yield (
        "Structured reports follow TID 1500 (Measurement Report) with TID 1410 and TID 1411 "
        "groups. Codes are of SNOMED CT (SCT), DCM, LOINC (LN), UCUM, RadLex (RADLEX) and "
        "Preread's own (99PREREAD) where these have none."
    )
    yield ""
    yield "### A.9.4 Storage SOP classes taken"
    yield ""
    yield from table(("SOP class", "UID"), sorted((named(uid), uid) for uid in STORAGE_CLASSES))
    yield ""
    yield "### A.9.5 Transfer syntaxes of storage"
    yield ""
    uids = [str(uid) for uid in TRANSFER_SYNTAXES]
    yield from table(("Transfer syntax", "UID"), sorted((named(uid), uid) for uid in uids))
