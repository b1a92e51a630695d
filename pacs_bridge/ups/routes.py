"""UPS-RS routes (PS3.18 11)."""

from __future__ import annotations

from typing import Annotated, cast
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from pacs_bridge.dicomweb.server.house import House, InHouse, Orders
from pacs_bridge.dicomweb.server.media import chosen
from pacs_bridge.dicomweb.server.model import encoded
from pacs_bridge.dicomweb.server.qido import LISTS, MORE
from pacs_bridge.dicomweb.server.query import BadQuery, parse
from pacs_bridge.dicomweb.server.sending import text, warned
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups.search import shown
from pacs_bridge.ups.watching import FILTERED, GLOBAL, checked_ae
from pacs_bridge.ups.wire import dataset_in, uid_asked_for, workitem_answer
from pacs_bridge.ups.worklist import Worklist

router = APIRouter()


def _worklist(request: Request) -> Worklist:
    return cast(Worklist, request.app.state.worklist)


TheWorklist = Annotated[Worklist, Depends(_worklist)]


@router.post("/workitems")
def create(house: InHouse, worklist: TheWorklist, caller: Orders, request: Request) -> Response:
    """Create a workitem (11.4)."""
    asked = uid_asked_for(request, "workitem", "affectedsopinstanceuid")
    uid, modified = worklist.create(dataset_in(request), asked, caller.who)
    service = house.url(request)
    response = Response(status_code=201)
    response.headers["Location"] = f"{service}/workitems/{uid}"
    return warned(
        response, service, "The Workitem was created with modifications." if modified else ""
    )


@router.get("/workitems")
def search(house: InHouse, worklist: TheWorklist, caller: Orders, request: Request) -> Response:
    """Search for workitems (11.9)."""
    offer = chosen(request, LISTS)
    query = parse(request.query_params.multi_items())
    found, more = worklist.search(query, house.settings.dicomweb.most_results)
    house.views.note(caller.who, "worklist-searched", None, f"{len(found)} workitems")
    if found:
        content = encoded(shown(each, query) for each in found)
        response = text(request, content, offer.type, 206 if more else 200)
    else:
        response = Response(status_code=204)
    return warned(response, house.url(request), *query.not_done, MORE if more else "")


@router.get("/workitems/{uid}")
def retrieve(worklist: TheWorklist, caller: Orders, request: Request, uid: str) -> Response:
    """Retrieve a workitem (11.5)."""
    chosen(request, LISTS)
    return workitem_answer(request, worklist.retrieve(uid))


@router.post("/workitems/{uid}")
def update(
    house: InHouse, worklist: TheWorklist, caller: Orders, request: Request, uid: str
) -> Response:
    """Change the content of a workitem (11.6)."""
    transaction_uid = uid_asked_for(request, "transaction-uid", "transactionuid")
    changes = dataset_in(request)
    transaction_uid = transaction_uid or str(changes.get("TransactionUID") or "")
    modified = worklist.update(uid, changes, transaction_uid, caller.who)
    told = "The Workitem was updated with modifications." if modified else ""
    return warned(Response(status_code=200), house.url(request), told)


@router.put("/workitems/{uid}/state")
def change_state(
    house: InHouse, worklist: TheWorklist, caller: Orders, request: Request, uid: str
) -> Response:
    """Claim, complete or cancel a workitem (11.7)."""
    asked = dataset_in(request)
    wanted = str(asked.get("ProcedureStepState") or "")
    transaction_uid = str(asked.get("TransactionUID") or "")
    warning = worklist.change_state(uid, wanted, transaction_uid, caller.who)
    return warned(Response(status_code=200), house.url(request), warning)


@router.post("/workitems/{uid}/cancelrequest")
def request_cancel(
    house: InHouse, worklist: TheWorklist, caller: Orders, request: Request, uid: str
) -> Response:
    """Ask that a workitem be cancelled (11.8)."""
    why = dataset_in(request, may_be_empty=True)
    requester = request.query_params.get("requester") or caller.source or caller.who
    warning = worklist.request_cancel(uid, why, requester, caller.who)
    return warned(Response(status_code=202), house.url(request), warning)


@router.post("/workitems/{uid}/subscribers/{ae_title}")
def subscribe(
    house: InHouse,
    worklist: TheWorklist,
    caller: Orders,
    request: Request,
    uid: str,
    ae_title: str,
) -> Response:
    """Subscribe to a workitem, to all, or to all that match (11.10)."""
    ae_title = checked_ae(ae_title)
    locked = request.query_params.get("deletionlock", "false").lower() == "true"
    keys = _keys(request) if uid in GLOBAL else []
    if uid == FILTERED and not keys:
        raise WorkitemRefused(400, "A filter is needed for a Filtered Worklist Subscription.")
    worklist.subscribe(uid, ae_title, locked, keys if uid == FILTERED else [], caller.who)
    response = Response(status_code=201)
    response.headers["Content-Location"] = _channel(house, request, ae_title)
    return response


@router.delete("/workitems/{uid}/subscribers/{ae_title}")
def unsubscribe(worklist: TheWorklist, caller: Orders, uid: str, ae_title: str) -> Response:
    """End a subscription (11.11)."""
    worklist.unsubscribe(uid, checked_ae(ae_title))
    return Response(status_code=200)


@router.post("/workitems/{uid}/subscribers/{ae_title}/suspend")
def suspend(worklist: TheWorklist, caller: Orders, uid: str, ae_title: str) -> Response:
    """Stop a subscription to what is yet to be created (11.12)."""
    worklist.suspend(uid, checked_ae(ae_title))
    return Response(status_code=200)


def _keys(request: Request) -> list[tuple[str, str]]:
    """What a filter names: ``filter=a=1,b=2``, or each as a parameter of its own."""
    keys: list[tuple[str, str]] = []
    for name, value in request.query_params.multi_items():
        if name.lower() == "filter":
            for each in filter(None, value.split(",")):
                key, equals, wanted = each.partition("=")
                if not equals:
                    raise BadQuery(f"filter: {each[:80]!r} is no attribute=value")
                keys.append((key.strip(), wanted))
        elif name.lower() not in ("deletionlock", "accept", "charset"):
            keys.append((name, value))
    return keys


def _channel(house: House, request: Request, ae_title: str) -> str:
    url = house.url(request)
    return f"ws{url.removeprefix('http')}/subscribers/{quote(ae_title, safe='')}"
