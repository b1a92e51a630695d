"""What the server can do, for machines (PS3.18 8.9 and annex H): WADL, or the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pacs_bridge.dicomweb.server import pictures, qido, stow, wado
from pacs_bridge.dicomweb.server.files import AS_HELD, MADE
from pacs_bridge.dicomweb.server.frames import LOSSLESS
from pacs_bridge.dicomweb.server.house import InHouse
from pacs_bridge.dicomweb.server.media import DICOM, JSON, OCTETS, Offer, chosen
from pacs_bridge.dicomweb.server.rendered import FORMATS
from pacs_bridge.dicomweb.server.sending import text

router = APIRouter()

WADL = "application/vnd.sun.wadl+xml"
_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_LISTED = (JSON, "application/json")


@dataclass(frozen=True)
class _Spoken:
    """What a method takes and gives, besides its path."""

    gives: Sequence[str] = _LISTED
    takes: Sequence[str] = ()
    query: Sequence[str] = ()


def _parts(kind: str, syntaxes: Sequence[str]) -> list[str]:
    return [f'multipart/related; type="{kind}"; transfer-syntax={each}' for each in syntaxes]


_SEARCH = _Spoken(query=("limit", "offset", "includefield", "{attribute}"))
_PICTURES = _Spoken(gives=tuple(FORMATS), query=("window", "viewport", "quality"))
_STORES = _Spoken(takes=(f'multipart/related; type="{DICOM}"', DICOM))
_SPOKEN: dict[Callable[..., Response], _Spoken] = {
    qido.studies: _SEARCH,
    qido.series: _SEARCH,
    qido.instances: _SEARCH,
    stow.store: _STORES,
    stow.store_of_study: _STORES,
    wado.objects: _Spoken(gives=_parts(DICOM, (*MADE, AS_HELD))),
    wado.bulk_data: _Spoken(gives=(f'multipart/related; type="{OCTETS}"', OCTETS)),
    pictures.frames: _Spoken(
        gives=[
            *_parts(OCTETS, (MADE[0], AS_HELD)),
            *(each for uid, kind in LOSSLESS.items() for each in _parts(kind, (uid,))),
        ]
    ),
    pictures.rendered: _Spoken(
        gives=(*FORMATS, "application/pdf", "text/html"), query=_PICTURES.query
    ),
    pictures.rendered_frames: _PICTURES,
    pictures.thumbnail: _PICTURES,
    pictures.frame_thumbnail: _PICTURES,
}
"""By endpoint; what is not named speaks DICOM JSON."""


@router.options("/", include_in_schema=False)
def capabilities(house: InHouse, request: Request) -> Response:
    """What the server can do (8.9)."""
    offer = chosen(request, (Offer(WADL), Offer("application/json")))
    tree = _tree(request.app.state.routers)
    url = house.url(request)
    if offer.type == WADL:
        return text(request, _wadl(tree, url), WADL)
    told = {"application": {"resources": {"base": url, "resource": tree.told()}}}
    return text(request, json.dumps(told, separators=(",", ":")).encode(), offer.type)


@dataclass
class _Resource:
    """A segment of a path, with what can be done there and what lies below."""

    path: str
    methods: list[dict[str, Any]] = field(default_factory=list)
    below: dict[str, _Resource] = field(default_factory=dict)

    def told(self) -> list[dict[str, Any]]:
        """Those below, as values of JSON."""
        return [
            {"path": each.path, "method": each.methods, "resource": each.told()}
            for each in self.below.values()
        ]


def _tree(routers: Iterable[APIRouter]) -> _Resource:
    root = _Resource("")
    for route in (route for router in routers for route in router.routes):
        if not isinstance(route, APIRoute):  # the channel of event reports is no resource
            continue
        at = root
        for segment in route.path.replace(":path", "").strip("/").split("/"):
            at = at.below.setdefault(segment, _Resource(segment))
        for method in sorted(route.methods or ()):
            spoken = _SPOKEN.get(
                route.endpoint, _Spoken(takes=_LISTED if method in ("POST", "PUT") else ())
            )
            at.methods.append(
                {
                    "name": method,
                    "id": route.name,
                    "doc": (route.endpoint.__doc__ or "").partition("\n")[0],
                    "query": list(spoken.query),
                    "takes": list(spoken.takes),
                    "gives": list(spoken.gives),
                }
            )
    return root


def _wadl(root: _Resource, url: str) -> bytes:
    application = ElementTree.Element("application", xmlns=_NAMESPACE)
    resources = ElementTree.SubElement(application, "resources", base=url)
    _add(resources, root)
    return bytes(ElementTree.tostring(application, "utf-8", xml_declaration=True))


def _add(parent: ElementTree.Element, resource: _Resource) -> None:
    for each in resource.below.values():
        element = ElementTree.SubElement(parent, "resource", path=each.path)
        if each.path.startswith("{"):
            name = each.path.strip("{}")
            ElementTree.SubElement(element, "param", name=name, style="template")
        for method in each.methods:
            _add_method(element, method)
        _add(element, each)


def _add_method(parent: ElementTree.Element, told: dict[str, Any]) -> None:
    method = ElementTree.SubElement(parent, "method", name=told["name"], id=told["id"])
    ElementTree.SubElement(method, "doc").text = told["doc"]
    request = ElementTree.SubElement(method, "request")
    accept = ElementTree.SubElement(
        request, "param", name="Accept", style="header", default=told["gives"][0]
    )
    for each in told["gives"]:
        ElementTree.SubElement(accept, "option", value=each)
    for each in told["query"]:
        ElementTree.SubElement(request, "param", name=each, style="query")
    for each in told["takes"]:
        ElementTree.SubElement(request, "representation", mediaType=each)
    response = ElementTree.SubElement(method, "response")
    for each in told["gives"]:
        ElementTree.SubElement(response, "representation", mediaType=each)
