"""What every route of the DICOMweb server can reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from pacs_bridge.dicomweb.server.access import Access, Caller, may
from pacs_bridge.dicomweb.server.held import Holdings
from pacs_bridge.dicomweb.server.search import Search
from pacs_bridge.dicomweb.server.storing import Storing
from pacs_bridge.review.room import Views
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

PATH = "/dicom-web"
"""Where the server is mounted, beside the page."""


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
Stores = Annotated[Caller, Depends(may("store"))]
"""A caller who may send objects."""
Orders = Annotated[Caller, Depends(may("order"))]
"""A caller who may create and follow workitems."""
