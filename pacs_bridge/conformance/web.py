"""DICOMweb services (PS3.18) that Preread speaks, as which side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from fastapi.routing import APIRoute, APIWebSocketRoute

from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import named, settings_named
from pacs_bridge.dicomweb.server import PATH, files, pictures, qido, rendered, search, stow, wado
from pacs_bridge.ups import channel, routes
from pacs_bridge.ups.content import PUSH_CLASS
from pacs_bridge.ups.event import ASSIGNED, CANCEL_REQUESTED, EVERY, PROGRESS, STATE, STATUS
from pacs_bridge.ups.states import UpsState
from pacs_bridge.ups.watching import FILTERED, MOST_WAITING, WAIT_S

WEBSOCKET = "WebSocket"


@dataclass(frozen=True)
class WebOffer:
    """One service, as one side."""

    service: str
    role: Literal["origin server", "user agent"]
    """Ours."""
    what: str
    """Resources and media types."""
    when: str
    """What has to be set up."""


SERVED: dict[str, tuple[APIRouter, ...]] = {
    "STOW-RS": (stow.router,),
    "QIDO-RS": (qido.router,),
    "WADO-RS": (wado.router, pictures.router),
    "UPS-RS": (routes.router, channel.router),
}
"""The resources of each service of which we are the origin server."""

WEB = (
    WebOffer("STOW-RS", "origin server", "see below", "dicomweb.enabled"),
    WebOffer("QIDO-RS", "origin server", "see below", "dicomweb.enabled"),
    WebOffer("WADO-RS", "origin server", "see below", "dicomweb.enabled"),
    WebOffer("UPS-RS", "origin server", "see below", "dicomweb.enabled, ups.enabled"),
    WebOffer(
        "STOW-RS", "user agent",
        "`POST /studies`, one object a request, `multipart/related; type=application/dicom`",
        "destinations.dicomweb_url",
    ),
    WebOffer(
        "QIDO-RS", "user agent",
        "studies, series, instances as `application/dicom+json`",
        "priors.dicomweb_url, pull.dicomweb_url",
    ),
    WebOffer(
        "WADO-RS", "user agent",
        "studies, series, instances as `application/dicom`, any transfer syntax",
        "priors.dicomweb_url, pull.dicomweb_url",
    ),
)  # fmt: skip
"""Every service, one side a row."""


def resources() -> Iterator[tuple[str, str, str, str]]:
    """Service, method, path below the root, and what it is, of every resource that we serve."""
    for service, routers in SERVED.items():
        for route in (route for router in routers for route in router.routes):
            if isinstance(route, APIRoute | APIWebSocketRoute):
                what = (route.endpoint.__doc__ or "").strip().partition("\n")[0]
                methods = route.methods if isinstance(route, APIRoute) else {WEBSOCKET}
                for method in sorted(methods or ()):
                    yield service, method, route.path.replace(":path", ""), what


def web_section() -> Iterator[str]:
    """Lines about DICOMweb in section A.4."""
    yield "### A.4.5 DICOMweb"
    yield ""
    yield from table(
        ("Service", "Role", "Resources and media types", "Where"),
        ((each.service, each.role, each.what, settings_named(each.when)) for each in WEB),
    )
    yield ""
    yield f"Resources below `{PATH}` of the page's address:"
    yield ""
    rows = ((service, method, f"`{path}`", what) for service, method, path, what in resources())
    yield from table(("Service", "Method", "Resource", "What it is"), rows)
    yield ""
    yield (
        "`OPTIONS /` gives the capabilities description (PS3.18 8.9) as WADL or JSON. Data sets "
        "are DICOM JSON; `application/dicom+xml` is answered with 406 (415 where it is sent)."
    )
    yield ""
    yield from _searches()
    yield from _workitems()
    yield (
        "Callers are machines with a name and password (HTTP Basic) or token (Bearer), each with "
        "rights of its own (`machines`), or people who are logged in to the page."
    )
    yield ""
    yield (
        "As a user agent it verifies certificates, sends user and password (HTTP Basic) to the "
        "host in the settings alone, and follows no redirection when it stores."
    )
    yield ""


def _searches() -> Iterator[str]:
    yield (
        "**QIDO-RS** matches and returns these attributes, and below each level those of the "
        "levels above; of instances any other too, from their files. Matching: single value, list "
        "of UIDs, wild card, range of dates and times; `limit`, `offset`, `includefield`."
    )
    yield ""
    levels = (("Study", search.STUDY), ("Series", search.SERIES), ("Instance", search.INSTANCE))
    yield from table(
        ("Level", "Attributes"), ((name, ", ".join(sorted(keys))) for name, keys in levels)
    )
    yield ""
    pictures_as = ", ".join(f"`{kind}`" for kind in rendered.FORMATS)
    yield (
        "**WADO-RS** sends objects and frames in the transfer syntax that they came in "
        "(`transfer-syntax=*`) or in one of "
        + ", ".join(named(syntax) for syntax in files.MADE)
        + f"; rendered ones as {pictures_as}."
    )
    yield ""


def _workitems() -> Iterator[str]:
    yield (
        f"**UPS-RS** workitems are of {named(PUSH_CLASS)} ({PUSH_CLASS}). Their states: "
        + ", ".join(UpsState)
        + ". A workitem is created SCHEDULED; with a Transaction UID, which every later change has "
        "to show, it is claimed (IN PROGRESS), and by whoever claimed it completed or cancelled, "
        "after which nothing changes. Those that name a station or a work of ours "
        "(`ups`) are claimed, performed and completed or cancelled by Preread; a request for "
        "cancellation stops one that it performs."
    )
    yield ""
    yield (
        f"An AE subscribes to one workitem, to all ({EVERY}) or to all that match ({FILTERED}), "
        "with or without deletion lock. Reports go over its WebSocket (subprotocol "
        f"`{channel.PROTOCOL}`) as `application/dicom+json`; while it has none, at most "
        f"{MOST_WAITING} wait for it, for {WAIT_S / 86400:g} days."
    )
    yield ""
    yield from table(
        ("Event type", "Reported"),
        [
            (STATE, "state or readiness of the input changed; a new workitem"),
            (CANCEL_REQUESTED, "cancellation was asked for"),
            (PROGRESS, "progress"),
            (STATUS, "the server has started, and has kept workitems and subscriptions"),
            (ASSIGNED, "assigned to a station or a person"),
        ],
    )
    yield ""
