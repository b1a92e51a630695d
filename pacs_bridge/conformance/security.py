"""Section A.8 of the conformance statement: who may call, and what protects the wire."""

from __future__ import annotations

from collections.abc import Iterator

from pacs_bridge.conformance.markdown import table
from pacs_bridge.dimse.tls import CIPHER_SUITES_1_2
from pacs_bridge.settings import Settings


def security(settings: Settings) -> Iterator[str]:
    """Its lines."""
    listener = settings.listener
    yield "## A.8 Security"
    yield ""
    yield "### A.8.1 Security profiles"
    yield ""
    yield (
        "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12), as acceptor "
        "(`listener.tls`) and as initiator (`tls` of a peer): TLS 1.3, and 1.2 unless `minimum` "
        "says otherwise; certificates on both sides unless the settings say otherwise; no older "
        "version, no compression, no renegotiation. Cipher suites of TLS 1.2, as OpenSSL calls "
        "them: " + ", ".join(CIPHER_SUITES_1_2) + "; of 1.3 all that OpenSSL offers. The modified "
        "profile (B.13) is not claimed."
    )
    yield ""
    yield "### A.8.2 Association level security"
    yield ""
    yield from table(
        ("Rule", "Setting", "In force"),
        [
            ("Only our AE title may be called", "listener.require_called_ae",
             _yes(listener.require_called_ae)),
            ("Who may call", "listener.calling_ae_titles",
             ", ".join(listener.calling_ae_titles) or "anybody"),
            ("From which addresses", "listener.calling_addresses",
             ", ".join(listener.calling_addresses) or "everywhere"),
            ("Without TLS", "listener.plain", _yes(listener.plain)),
            ("With TLS", "listener.tls", _yes(listener.tls is not None)),
            ("Client certificates", "listener.tls.client_certificates",
             listener.tls.client_certificates if listener.tls else "-"),
            ("Storage commitment", "commitment.peers",
             ", ".join(each.ae_title for each in settings.commitment.peers) or "nobody"),
            ("Availability notification", "availability.ae_titles",
             ", ".join(settings.availability.ae_titles) or "nobody"),
        ],
    )  # fmt: skip
    yield ""
    yield "### A.8.3 Application level security"
    yield ""
    yield (
        "User identity negotiation (PS3.7 D.3.3.7) is not used. Readers log in to the page with a "
        "password; every arrival, result, delivery and signature is an event of the audit trail "
        "in the database."
    )
    yield ""


def _yes(value: bool) -> str:
    return "yes" if value else "no"
