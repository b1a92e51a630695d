"""Reads what requests about workitems carry, and answers them (PS3.18 8, 11)."""

from __future__ import annotations

import json
import logging
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydicom.dataset import Dataset

from pacs_bridge.dicomweb.server.body import Body
from pacs_bridge.dicomweb.server.media import JSON, chosen, media_type
from pacs_bridge.dicomweb.server.model import as_json, encoded
from pacs_bridge.dicomweb.server.qido import LISTS
from pacs_bridge.dicomweb.server.sending import text, warned
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups.content import checked_uid

_log = logging.getLogger(__name__)

LARGEST = 4_000_000
"""Bytes of a request about a workitem."""
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError,
               NotImplementedError, RecursionError, LookupError)  # fmt: skip
"""What pydicom raises over JSON that is no data set."""


def dataset_in(request: Request, *, may_be_empty: bool = False) -> Dataset:
    """The data set that a request carries, alone or in a list.

    Raises:
        HTTPException: 413 it is too large, 400 it ends early.
        WorkitemRefused: 415 it is not DICOM JSON by its type, 400 by its content.
    """
    content = Body(request).whole(LARGEST)
    if not content.strip() and may_be_empty:
        return Dataset()
    header = request.headers.get("content-type", "")
    if media_type(header).type not in (JSON, "application/json"):
        raise WorkitemRefused(415, f"Content-Type {header[:80]!r} is not {JSON}.")
    return dataset_of(content)


def dataset_of(content: bytes) -> Dataset:
    """The one data set of DICOM JSON.

    Raises:
        WorkitemRefused: 400, it is none, or can't be kept and given back.
    """
    try:
        told = json.loads(content, parse_constant=_no_number)
        if isinstance(told, list):
            (told,) = told
        dataset = Dataset.from_json(told)
        text = json.dumps(dataset.to_json_dict(), ensure_ascii=False)
        text.encode()  # half a surrogate pair can't be
        if "\\u0000" in text:
            raise ValueError("a text holds the character 0")
    except _UNREADABLE as error:
        raise WorkitemRefused(
            400, "The payload is no DICOM JSON of one data set.", str(error)[:200]
        ) from error
    return dataset


def uid_asked_for(request: Request, *names: str) -> str:
    """A UID among the query parameters: by one of these names, or alone as ``?1.2.3``."""
    for name, value in request.query_params.multi_items():
        if name.lower() in names and value:
            return checked_uid(value, name)
        if not value and name[:1].isdigit():
            return checked_uid(name, names[0])
    return ""


def workitem_answer(request: Request, workitem: Dataset) -> Response:
    """One workitem."""
    return text(request, encoded([as_json(workitem)]), chosen(request, LISTS).type)


def refusal(error: WorkitemRefused, service: str) -> Response:
    """The answer to a request that is refused: status, Warning, and the reason in words."""
    body: dict[str, Any] = {"detail": str(error), "status": f"{error.code:04X}"}
    response = Response(json.dumps(body), error.status, media_type="application/json")
    _log.info("refused a request about a workitem: %s", error)
    return warned(response, service, error.warning)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
