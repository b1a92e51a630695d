"""Section A.4 of the conformance statement: what is spoken, with whom, and by which rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pynetdicom._globals import APPLICATION_CONTEXT_NAME, DEFAULT_MAX_LENGTH

from pacs_bridge.conformance.behaviour import behaviour
from pacs_bridge.conformance.configuration import configuration, interfaces
from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import ACCEPTED, PROPOSED, Offer, named, settings_named
from pacs_bridge.conformance.web import web_section
from pacs_bridge.dimse.accepted import (
    OPERATIONS_AT_ONCE,
    REFUSALS,
    STORAGE_CLASSES,
    STORAGE_LEVEL,
    TRANSFER_SYNTAXES,
)
from pacs_bridge.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from pacs_bridge.settings import ListenerSettings, Settings

_RESULTS = {1: "rejected-permanent", 2: "rejected-transient"}
_SOURCES = {1: "service-user", 2: "service-provider, ACSE", 3: "service-provider, presentation"}
_REASONS = {
    (1, 2): "application-context-name-not-supported",
    (1, 3): "calling-AE-title-not-recognized",
    (1, 7): "called-AE-title-not-recognized",
    (2, 2): "protocol-version-not-supported",
    (3, 2): "local-limit-exceeded",
}  # PS3.8 table 9-21, by source


def networking(settings: Settings) -> Iterator[str]:
    """Its lines."""
    yield "## A.4 Networking"
    yield ""
    yield from _model(settings.listener.ae_title)
    yield "### A.4.2 AE specification"
    yield ""
    yield from _policies(settings.listener)
    yield "#### A.4.2.2 Association initiation"
    yield ""
    yield (
        "Opened when there is something to ask or to send, and released after it; tried again "
        "later, ever more seldom, where a node can't be reached or is busy."
    )
    yield ""
    yield from _offers(PROPOSED)
    yield "#### A.4.2.3 Association acceptance"
    yield ""
    yield (
        "Of the transfer syntaxes proposed for a SOP class, the first that the peer names and "
        "Preread knows is accepted."
    )
    yield ""
    yield from _offers(ACCEPTED)
    yield from _rejections()
    yield from behaviour()
    yield from interfaces(settings)
    yield from configuration(settings)
    yield from web_section()


def _model(ae_title: str) -> Iterator[str]:
    yield "### A.4.1 Implementation model"
    yield ""
    yield "#### A.4.1.1 Application data flow"
    yield ""
    yield from table(
        ("Local activity", "Association", "Remote activity"),
        [
            ("keep objects", "opened by the peer", "send objects, by itself or after our C-MOVE"),
            ("answer for objects", "opened by either", "ask for storage commitment"),
            ("hear what is available", "opened by the peer", "tell of a study that came in"),
            ("look for studies, fetch them", "opened by us", "answer queries, send objects"),
            ("deliver results", "opened by us", "keep objects"),
            ("see that results are kept", "opened by either", "answer for objects"),
        ],
    )
    yield ""
    yield "#### A.4.1.2 Functional definition"
    yield ""
    yield (
        f"One application entity, `{ae_title}`, listens for associations and opens them. Objects "
        "that come are kept and recorded before they are acknowledged; a study that is whole is "
        "analysed; its results go to every destination that takes them."
    )
    yield ""
    yield "#### A.4.1.3 Sequencing of real-world activities"
    yield ""
    yield (
        "Objects of a study come in any order, over any number of associations, pushed or "
        "fetched. When it is whole (the archive's count, the end of the associations, no gap "
        "between slices, or the waits of `assembly`) its results are made and delivered; a "
        "destination with storage commitment is then asked for it. Images that come later make a "
        "new revision, whose results name those before. When a radiologist has signed, the final "
        "results are delivered."
    )
    yield ""


def _policies(listener: ListenerSettings) -> Iterator[str]:
    window = f"{OPERATIONS_AT_ONCE} where the peer asks, performed in order"
    yield "#### A.4.2.1 Association policies"
    yield ""
    yield from table(
        ("Policy", "As acceptor", "As initiator"),
        [
            ("Application context", APPLICATION_CONTEXT_NAME, APPLICATION_CONTEXT_NAME),
            (
                "Associations at the same time",
                listener.maximum_associations,
                "1 for each destination, archive and peer; `pull.studies_at_once` for each rule",
            ),
            ("Longest PDU taken", "unlimited", f"{DEFAULT_MAX_LENGTH} bytes"),
            (
                "Operations at once (asynchronous window)",
                window if listener.data_path == "own" else "1",
                "1",
            ),
            (
                "SOP class extended negotiation",
                f"of storage: level {STORAGE_LEVEL[0]}, digital signatures level "
                f"{STORAGE_LEVEL[2]}, element coercion {STORAGE_LEVEL[4]} (PS3.4 B.3.1)",
                "none",
            ),
            ("SOP class common extended negotiation", "passed over", "none"),
            ("SCP/SCU role selection", "where A.4.2.3 says so", "where A.4.2.2 says so"),
            ("User identity", "passed over, without an answer (PS3.7 D.3.3.7.2)", "none"),
            ("Implementation class UID", IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID),
            ("Implementation version name", IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION),
        ],
    )
    yield ""


def _rejections() -> Iterator[str]:
    yield "Why an association is rejected (A-ASSOCIATE-RJ, PS3.8 table 9-21):"
    yield ""
    yield from table(
        ("Result", "Source", "Reason", "When"),
        (
            (
                f"{each.result} ({_RESULTS[each.result]})",
                f"{each.source} ({_SOURCES[each.source]})",
                f"{each.diagnostic} ({_REASONS[each.source, each.diagnostic]})",
                each.why,
            )
            for each in REFUSALS
        ),
    )
    yield ""
    yield (
        "What breaks the protocol, and silence for too long (A.4.4.3), are answered with A-ABORT."
    )
    yield ""


def _offers(offers: Iterable[Offer]) -> Iterator[str]:
    rows = []
    for each in offers:
        many = set(each.sop_classes) == set(STORAGE_CLASSES)
        rows.append((
            each.service,
            "see A.9.4" if many else ", ".join(f"{named(u)} ({u})" for u in each.sop_classes),
            each.messages,
            each.role + (", negotiated (role selection)" if each.negotiated else ""),
            "see A.9.5" if set(each.transfer_syntaxes) == set(TRANSFER_SYNTAXES)
            else ", ".join(map(named, each.transfer_syntaxes)),
            settings_named(each.when) or "always",
        ))  # fmt: skip
    yield from table(
        ("Service", "SOP classes", "Messages", "Role", "Transfer syntaxes", "Where"), rows
    )
    yield ""
