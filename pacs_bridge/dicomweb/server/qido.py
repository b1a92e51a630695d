"""QIDO-RS routes (PS3.18 10.6)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from pacs_bridge.dicomweb.server.house import House, InHouse, Reads
from pacs_bridge.dicomweb.server.media import JSON, Offer, chosen
from pacs_bridge.dicomweb.server.model import as_json, encoded
from pacs_bridge.dicomweb.server.query import Query, parse
from pacs_bridge.dicomweb.server.search import Page

router = APIRouter()

LISTS = (Offer(JSON), Offer("application/json"))
"""Media types of lists of data sets."""


@router.get("/studies")
def studies(house: InHouse, caller: Reads, request: Request) -> Response:
    """Studies that match."""
    query = _query(request)
    page = house.search.studies(query, house.url(request))
    return _answer(house, caller.who, request, query, page)


@router.get("/series")
def series(house: InHouse, caller: Reads, request: Request) -> Response:
    """Series of all studies that match."""
    query = _query(request)
    page = house.search.series(query, house.url(request))
    return _answer(house, caller.who, request, query, page)


@router.get("/studies/{study_uid}/series")
def series_of_study(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """Series of a study that match."""
    query = _query(request)
    page = house.search.series(query, house.url(request), study_uid)
    return _answer(house, caller.who, request, query, page, study_uid)


@router.get("/instances")
def instances(house: InHouse, caller: Reads, request: Request) -> Response:
    """Instances of all studies that match."""
    query = _query(request)
    page = house.search.instances(query, house.url(request))
    return _answer(house, caller.who, request, query, page)


@router.get("/studies/{study_uid}/instances")
def instances_of_study(house: InHouse, caller: Reads, request: Request, study_uid: str) -> Response:
    """Instances of a study that match."""
    query = _query(request)
    page = house.search.instances(query, house.url(request), study_uid)
    return _answer(house, caller.who, request, query, page, study_uid)


@router.get("/studies/{study_uid}/series/{series_uid}/instances")
def instances_of_series(
    house: InHouse, caller: Reads, request: Request, study_uid: str, series_uid: str
) -> Response:
    """Instances of a series that match."""
    query = _query(request)
    page = house.search.instances(query, house.url(request), study_uid, series_uid)
    return _answer(house, caller.who, request, query, page, study_uid)


def _query(request: Request) -> Query:
    chosen(request, LISTS)
    return parse(request.query_params.multi_items())


def _answer(
    house: House,
    who: str,
    request: Request,
    query: Query,
    page: Page,
    study_uid: str | None = None,
) -> Response:
    house.views.note(who, "web-searched", study_uid, f"{len(page.matches)} matches")
    url = house.url(request)
    headers: list[str] = []
    if query.fuzzy:
        headers.append(
            f'299 {url} "The fuzzymatching parameter is not supported. Only literal matching has '
            'been performed."'
        )
    if page.more:
        headers.append(f'299 {url} "There are additional results that can be requested"')
    content = encoded(as_json(match) for match in page.matches)
    response = Response(content if page.matches else b"", 200 if page.matches else 204)
    if page.matches:
        response.headers["Content-Type"] = chosen(request, LISTS).type
    if headers:
        response.headers["Warning"] = ", ".join(headers)
    return response
