"""How the inference engine stands, for whoever looks after the server."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from pacs_bridge.review.room import KnownVisit

router = APIRouter(prefix="/engine", include_in_schema=False)


@router.get("")
def engine_page(visit: KnownVisit) -> HTMLResponse:
    """Workers, models, queues, batches, memory."""
    return visit.page("engine.html", engine=visit.room.studio.engine())


@router.get("/state")
def engine_fragment(visit: KnownVisit) -> HTMLResponse:
    """The part of it that changes."""
    return visit.page("engine_state.html", engine=visit.room.studio.engine())
