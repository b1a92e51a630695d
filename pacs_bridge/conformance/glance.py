"""Services and roles at a glance: the table that the README has too."""

from __future__ import annotations

from collections.abc import Iterable

from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import ACCEPTED, PROPOSED, Offer, settings_named
from pacs_bridge.conformance.web import WEB

TRIED_WITH = {
    "Verification": "echoscu, Orthanc, pynetdicom",
    "Storage": "storescu, dcmsend, storescp, Orthanc, pynetdicom",
    "Query/Retrieve": "Orthanc, dcmqrscp, movescu, findscu, pynetdicom",
    "Storage Commitment": "Orthanc, pynetdicom",
    "Instance Availability Notification": "pynetdicom",
    "STOW-RS": "Orthanc, dicomweb-client",
    "QIDO-RS": "Orthanc, dicomweb-client, OHIF",
    "WADO-RS": "Orthanc, dicomweb-client, OHIF",
    "UPS-RS": "httpx, websockets",
}
"""Peers that the tests run each service against."""


def services_table() -> str:
    """What a peer can ask of us, and what we ask of others."""
    rows = []
    for service in dict.fromkeys(each.service for each in (*ACCEPTED, *PROPOSED)):
        answers = _side(each for each in ACCEPTED if each.service == service)
        asks = _side(each for each in PROPOSED if each.service == service)
        rows.append((service, answers, asks, TRIED_WITH[service]))
    for service in dict.fromkeys(each.service for each in WEB):
        roles = {each.role: f"{each.role} ({settings_named(each.when)})" for each in WEB
                 if each.service == service}  # fmt: skip
        answers, asks = roles.get("origin server", "no"), roles.get("user agent", "no")
        rows.append((service, answers, asks, TRIED_WITH[service]))
    head = ("Service", "Peers call us", "We call peers", "Tried with")
    return "\n".join(table(head, rows)) + "\n"


def _side(offers: Iterable[Offer]) -> str:
    told = []
    for each in offers:
        what = f"{each.role}: {each.messages}"
        count = len(each.sop_classes)
        if count > 1:
            what += f", {count} SOP classes"
        told.append(what + (f" ({settings_named(each.when)})" if each.when else ""))
    return "; ".join(told) or "no"
