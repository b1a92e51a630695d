"""DICOMweb services (PS3.18) that Preread speaks, as which side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fastapi import APIRouter
from fastapi.routing import APIRoute, APIWebSocketRoute

from pacs_bridge.conformance.markdown import table
from pacs_bridge.conformance.offers import settings_named
from pacs_bridge.dicomweb.server import PATH, pictures, qido, stow, wado
from pacs_bridge.ups import channel, routes

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
    yield "### A.4.3 DICOMweb"
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
        "Callers are machines with a name and password (HTTP Basic) or token (Bearer), each with "
        "rights of its own (`machines`), or people who are logged in to the page."
    )
    yield ""
    yield (
        "As a user agent it verifies certificates, sends user and password (HTTP Basic) to the "
        "host in the settings alone, and follows no redirection when it stores."
    )
    yield ""
