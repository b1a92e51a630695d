"""The conformance statement as Markdown, its sections as in PS3.2 annex A."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import version

from pacs_bridge.conformance.annexes import annexes, characters, media
from pacs_bridge.conformance.glance import services_table
from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.networking import networking
from pacs_bridge.conformance.security import security
from pacs_bridge.dimse.accepted import (
    STORAGE_CLASSES,
    TRANSFER_SYNTAXES,
)
from pacs_bridge.settings import Settings


def conformance_statement(settings: Settings) -> str:
    """The whole statement.

    Args:
        settings: those in force: AE title, ports, limits, whom we call and who may call.
    """
    head = list(_overview(settings))
    rest = [
        *_introduction(), *networking(settings), *media(), *characters(), *security(settings),
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
        "DCMTK (3.6.7) has no tool that asks for storage commitment, and neither it nor Orthanc "
        "one that sends availability notifications: these services were not tried with them."
    )
    yield ""
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
    for line in lines:
        marks, _, title = line.partition(" ")
        if marks in ("##", "###"):
            yield f"{'  ' * (len(marks) - 2)}- {title}"
    yield ""


def _introduction() -> Iterator[str]:
    yield "## A.3 Introduction"
    yield ""
    yield (
        "For administrators of PACS and networks, to see whether two systems can work together; "
        "whether they do is shown by a test between them. Written by the program "
        "(`preread conformance`) from the tables that it negotiates with. Sections are numbered "
        "as in the template of PS3.2 annex A; terms are those of PS3.1 to PS3.18."
    )
    yield ""
    yield from table(
        ("Abbreviation", "Meaning"),
        [
            ("AE", "Application Entity"),
            ("DIMSE", "DICOM Message Service Element (PS3.7)"),
            ("PDU", "Protocol Data Unit (PS3.8)"),
            ("SCP", "Service Class Provider"),
            ("SCU", "Service Class User"),
            ("SOP", "Service-Object Pair"),
            ("UPS", "Unified Procedure Step (PS3.4 CC, PS3.18 11)"),
        ],
    )
    yield ""
