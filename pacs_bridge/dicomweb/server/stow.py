"""STOW-RS routes (PS3.18 10.5)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from pacs_bridge.dicomweb.multipart import Malformed, boundary_of, streamed
from pacs_bridge.dicomweb.server.access import Caller
from pacs_bridge.dicomweb.server.body import Body
from pacs_bridge.dicomweb.server.house import House, InHouse, Stores
from pacs_bridge.dicomweb.server.media import DICOM, chosen, media_type
from pacs_bridge.dicomweb.server.model import as_json
from pacs_bridge.dicomweb.server.qido import LISTS
from pacs_bridge.dicomweb.server.sending import text, warned
from pacs_bridge.dicomweb.server.storing import Outcome, Receipt

router = APIRouter()

AT_ONCE = 16
"""Requests that may store at the same time: each keeps a thread, and the page needs some too."""
_places = threading.BoundedSemaphore(AT_ONCE)


@router.post("/studies")
def store(house: InHouse, caller: Stores, request: Request) -> Response:
    """Keep objects of any studies."""
    return _stored(house, caller, request, None)


@router.post("/studies/{study_uid}")
def store_of_study(house: InHouse, caller: Stores, request: Request, study_uid: str) -> Response:
    """Keep objects of one study."""
    return _stored(house, caller, request, study_uid)


def _stored(house: House, caller: Caller, request: Request, study_uid: str | None) -> Response:
    offer = chosen(request, LISTS)
    if not _places.acquire(blocking=False):
        raise HTTPException(503, f"{AT_ONCE} others are storing", {"Retry-After": "30"})
    try:
        return _received(house, caller, request, study_uid, offer.type)
    finally:
        _places.release()


def _received(
    house: House, caller: Caller, request: Request, study_uid: str | None, answer_type: str
) -> Response:
    receipt = Receipt()
    broken = ""
    try:
        for pieces in _files(request):
            outcome = house.storing.take(pieces, caller.source or "WEB", study_uid)
            receipt.outcomes.append(outcome)
    except Malformed as error:  # what came whole before is kept, and said to be
        broken = str(error)
    _record(house, caller.who, receipt, broken)
    if not receipt.outcomes:
        raise HTTPException(400, broken or "no object in the request")
    url = house.url(request)
    status = receipt.status
    if broken and status == 200:
        status = 202
    body = json.dumps(as_json(receipt.dataset(url))).encode()
    told = broken or next((each.why for each in receipt.failed), "")
    response = warned(text(request, body, answer_type, status), url, told)
    if status == 503:
        response.headers["Retry-After"] = "300"
    return response


def _files(request: Request) -> Iterator[Iterator[bytes]]:
    """The content of each object in the body.

    Raises:
        HTTPException: 415, it is no body of DICOM files.
        Malformed: the body is not what it says it is.
    """
    header = request.headers.get("content-type", "")
    kind = media_type(header)
    body = Body(request)
    if kind.type == DICOM:
        yield iter(body.read, b"")
        return
    if kind.type != "multipart/related" or kind.parameters.get("type", DICOM).lower() != DICOM:
        raise HTTPException(415, f'{header[:200]!r}: send multipart/related; type="{DICOM}"')
    yield from streamed(body.read, boundary_of(header))


def _record(house: House, who: str, receipt: Receipt, broken: str) -> None:
    studies: dict[str | None, list[Outcome]] = {}
    for each in receipt.outcomes:
        studies.setdefault(each.study_uid or None, []).append(each)
    for study_uid, outcomes in studies.items():
        kept = sum(not each.reason for each in outcomes)
        detail = f"{kept} objects kept"
        if refused := len(outcomes) - kept:
            detail = f"{refused} objects refused: {next(o.why for o in outcomes if o.reason)}"
        house.store.record(who, "web-stored", study_uid, detail[:400])
    if broken:
        house.store.record(who, "web-stored", None, f"broken off: {broken}"[:400])
