"""QIDO-RS routes (PS3.18 10.6)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs_bridge.dicomweb.server.house import SERIES, STUDY, House, InHouse, Reads
from pacs_bridge.dicomweb.server.media import JSON, Offer, chosen
from pacs_bridge.dicomweb.server.model import as_json, encoded
from pacs_bridge.dicomweb.server.query import Query, parse
from pacs_bridge.dicomweb.server.search import Page
from pacs_bridge.dicomweb.server.sending import text, warned

router = APIRouter()

LISTS = (Offer(JSON), Offer("application/json"))
"""Media types of lists of data sets."""
MORE = "There are additional results that can be requested"


@router.get("/studies")
def studies(house: InHouse, caller: Reads, request: Request) -> Response:
    """Studies that match."""
    query = _query(request)
    page = house.search.studies(query, house.url(request))
    return _answer(house, caller.who, request, query, page)


@router.get("/series")
@router.get(STUDY + "/series")
def series(house: InHouse, caller: Reads, request: Request) -> Response:
    """Series that match, of one study or of all."""
    query = _query(request)
    study_uid = request.path_params.get("study_uid")
    page = house.search.series(query, house.url(request), study_uid)
    return _answer(house, caller.who, request, query, page)


@router.get("/instances")
@router.get(STUDY + "/instances")
@router.get(SERIES + "/instances")
def instances(house: InHouse, caller: Reads, request: Request) -> Response:
    """Instances that match, of one study or series, or of all."""
    query = _query(request)
    named = request.path_params
    page = house.search.instances(
        query, house.url(request), named.get("study_uid"), named.get("series_uid")
    )
    return _answer(house, caller.who, request, query, page)


def _query(request: Request) -> Query:
    chosen(request, LISTS)
    return parse(request.query_params.multi_items())


def _answer(house: House, who: str, request: Request, query: Query, page: Page) -> Response:
    told = f"{len(page.matches)} matches"
    house.views.note(who, "web-searched", request.path_params.get("study_uid"), told)
    if page.matches:
        content = encoded(as_json(match) for match in page.matches)
        response = text(request, content, chosen(request, LISTS).type)
    else:
        response = Response(status_code=204)
    return warned(response, house.url(request), *query.not_done, MORE if page.more else "")
