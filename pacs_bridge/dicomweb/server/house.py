"""What every route of the DICOMweb server can reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from pacs_bridge.dicomweb.server.access import Access, Caller, may
from pacs_bridge.dicomweb.server.held import Held, Holdings
from pacs_bridge.dicomweb.server.search import Search
from pacs_bridge.dicomweb.server.storing import Storing
from pacs_bridge.review.room import Views
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

PATH = "/dicom-web"
"""Where the server is mounted, beside the page."""
STUDY = "/studies/{study_uid}"
SERIES = STUDY + "/series/{series_uid}"
INSTANCE = SERIES + "/instances/{instance_uid}"
"""Paths of the resources, see :data:`Objects`."""


@dataclass(frozen=True)
class House:
    """Everything the routes share."""

    settings: Settings
    store: Store
    access: Access
    holdings: Holdings
    search: Search
    storing: Storing
    views: Views

    def note(self, caller: Caller, held: Sequence[Held]) -> None:
        """Enter into the audit trail that somebody saw a study."""
        self.views.note(caller.who, "web-retrieved", held[0].study_uid, f"{len(held)} objects")

    def object_url(self, request: Request, held: Held) -> str:
        """Where an object is found."""
        return (
            f"{self.url(request)}/studies/{held.study_uid}/series/{held.series_uid}"
            f"/instances/{held.sop_instance_uid}"
        )

    def url(self, request: Request) -> str:
        """Of the service, as callers reach it, without a slash at the end."""
        if self.settings.review.url:
            return self.settings.review.url.rstrip("/") + PATH
        url = request.url.replace(path=PATH, query="", fragment="")
        server = request.scope.get("server")
        if url.port is None and server:
            # Some callers name the host without its port (dicomweb-client for Python); behind a
            # proxy, where that is right, review.url says how we are reached.
            url = url.replace(port=server[1])
        return str(url)


def house_of(request: Request) -> House:
    """The house of the application that a request came to."""
    return cast(House, request.app.state.house)


InHouse = Annotated[House, Depends(house_of)]
Reads = Annotated[Caller, Depends(may("read"))]
"""A caller who may search and retrieve."""


def _objects(house: InHouse, _caller: Reads, request: Request) -> list[Held]:
    named = request.path_params
    return house.holdings.objects(
        named["study_uid"], named.get("series_uid"), named.get("instance_uid")
    )


Objects = Annotated[list[Held], Depends(_objects)]
"""What the path names: the objects of a study, of a series, or a single one; else 404."""
Stores = Annotated[Caller, Depends(may("store"))]
"""A caller who may send objects."""
Orders = Annotated[Caller, Depends(may("order"))]
"""A caller who may create and follow workitems."""
