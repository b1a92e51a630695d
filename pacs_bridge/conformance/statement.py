"""The conformance statement as Markdown, its sections as in PS3.2 annex A."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from pynetdicom._globals import DEFAULT_MAX_LENGTH

from pacs_bridge.conformance.annexes import annexes, characters, media
from pacs_bridge.conformance.behaviour import behaviour
from pacs_bridge.conformance.glance import services_table
from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import ACCEPTED, PROPOSED, Offer, named, settings_named
from pacs_bridge.conformance.security import security
from pacs_bridge.conformance.web import web_section
from pacs_bridge.dimse.accepted import (
    OPERATIONS_AT_ONCE,
    STORAGE_CLASSES,
    STORAGE_LEVEL,
    TRANSFER_SYNTAXES,
)
from pacs_bridge.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from pacs_bridge.settings import Settings


def conformance_statement(settings: Settings) -> str:
    """The whole statement.

    Args:
        settings: those in force: AE title, ports, limits, whom we call and who may call.
    """
    head = list(_overview(settings))
    rest = [
        *_introduction(), *_networking(settings), *media(), *characters(), *security(settings),
        *annexes(),
    ]  # fmt: skip
    lines = [*head, *_contents([*head, *rest]), *rest]
    return "\n".join(lines).rstrip() + "\n"


def _overview(settings: Settings) -> Iterator[str]:
    yield f"# DICOM Conformance Statement: Preread {version('preread')}"
    yield ""
    yield "Research software; not a medical device; not for diagnosis."
    yield ""
    yield "## A.1 Conformance statement overview"
    yield ""
    yield (
        "Preread takes CT and MR images from the network, makes draft findings of them and sends "
        "them on as DICOM objects, which a radiologist signs on its page. Roles below are "
        "Preread's own."
    )
    yield ""
    yield services_table()
    yield (
        f"It takes {len(STORAGE_CLASSES)} storage SOP classes in {len(TRANSFER_SYNTAXES)} transfer "
        "syntaxes and keeps every object as it came, bit by bit; it creates the objects of A.9.1."
    )
    yield ""
    yield "Services marked with a setting are offered only where that is set. In force here:"
    yield ""
    yield from table(("Setting", "Value"), _in_force(settings))
    yield ""


def _in_force(settings: Settings) -> Iterator[tuple[str, str]]:
    listener = settings.listener
    yield "AE title", listener.ae_title
    yield "Port", str(listener.port) if listener.plain else "none without TLS"
    yield "Port with TLS", str(listener.tls.port) if listener.tls else "none"
    yield "Storage commitment for", _titles(peer.ae_title for peer in settings.commitment.peers)
    yield "Availability told by", _titles(settings.availability.ae_titles)
    yield "Results go to", _titles(f"{each.name} ({', '.join(each.accepts)})"
                                   for each in settings.destinations)  # fmt: skip
    yield (
        "Archive asked",
        _titles(
            {each.ae_title for each in (settings.assembly.source, settings.priors_pacs) if each}
            | {each.source.ae_title for each in settings.pull if each.source}
        ),
    )


def _titles(titles: Iterable[str]) -> str:
    return ", ".join(sorted(titles)) or "nobody"


def _contents(lines: Iterable[str]) -> Iterator[str]:
    yield "## A.2 Table of contents"
    yield ""
    yield from (f"- {line.removeprefix('## ')}" for line in lines if line.startswith("## "))
    yield ""


def _introduction() -> Iterator[str]:
    yield "## A.3 Introduction"
    yield ""
    yield (
        "For administrators of PACS and networks, to see whether two systems can work together; "
        "whether they do is shown by a test between them. Written by the program "
        "(`preread conformance`) from the tables that it negotiates with."
    )
    yield ""


def _networking(settings: Settings) -> Iterator[str]:
    listener = settings.listener
    yield "## A.4 Networking"
    yield ""
    yield "### A.4.1 Implementation model"
    yield ""
    yield (
        f"One application entity, `{listener.ae_title}`, listens for associations and opens "
        "them. Objects that come are kept and recorded before they are acknowledged; a study that "
        "is whole is analysed; its results go to every destination that takes them."
    )
    yield ""
    yield "### A.4.2 AE specification"
    yield ""
    yield "#### A.4.2.1 Association policies"
    yield ""
    yield from table(
        ("Policy", "As acceptor", "As initiator"),
        [
            ("Application context", "1.2.840.10008.3.1.1.1", "1.2.840.10008.3.1.1.1"),
            ("Associations at the same time", listener.maximum_associations,
             "1 for each destination, archive and peer"),
            ("Of one address", listener.maximum_each or "no limit", "-"),
            ("Longest PDU taken", "unlimited", f"{DEFAULT_MAX_LENGTH} bytes"),
            ("Operations at once (asynchronous window)",
             f"{OPERATIONS_AT_ONCE} where the peer asks, performed in order", "1"),
            (
                "SOP class extended negotiation",
                f"of storage: level {STORAGE_LEVEL[0]}, digital signatures level "
                f"{STORAGE_LEVEL[2]}, element coercion {STORAGE_LEVEL[4]} (PS3.4 B.3.1)",
                "none",
            ),
            ("SCP/SCU role selection", "where A.4.2.3 says so", "where A.4.2.2 says so"),
            ("User identity", "not asked for; ignored where it comes", "none"),
            ("A silent association ends after", f"{listener.idle_timeout_s:g} s", "-"),
            ("A connection without request ends after", f"{listener.request_timeout_s:g} s", "-"),
            ("Implementation class UID", IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID),
            ("Implementation version name", IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION),
        ],
    )  # fmt: skip
    yield ""
    yield "#### A.4.2.2 Association initiation"
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
    yield from behaviour()
    yield from web_section()


def _offers(offers: Iterable[Offer]) -> Iterator[str]:
    rows = []
    for each in offers:
        many = len(each.sop_classes) > 8
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
