"""Where every destination stands, what was given up on, trying it again, setting it aside."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.delivery.standing import DestinationState
from pacs_bridge.errors import BridgeError
from pacs_bridge.review.api_values import DeliveryOut
from pacs_bridge.review.editing import REASON_LIMIT
from pacs_bridge.review.room import KnownVisit, Visit, form_token, header_token

pages = APIRouter(prefix="/destinations", include_in_schema=False)
api = APIRouter(prefix="/api", tags=["destinations"])

LETTERS_SHOWN = 200
FormWord = Annotated[str, Form(max_length=400)]


class DeadLetterOut(DeliveryOut):
    """A delivery that was given up on."""

    study_uid: str
    patient_name: str
    patient_id: str


class LettersIn(BaseModel):
    """Which deliveries that were given up on."""

    destination: str = Field(max_length=400)
    sop_instance_uid: str = Field(default="", max_length=64, description="empty: everything there")


class SetAsideIn(LettersIn):
    """What need not get there, and why."""

    reason: str = Field(min_length=1, max_length=REASON_LIMIT)


class SetAside(BaseModel):
    """How many deliveries were set aside."""

    set_aside: int


class Retried(BaseModel):
    """How many deliveries were put back to be sent."""

    retried: int


@pages.get("")
def destinations_page(visit: KnownVisit) -> HTMLResponse:
    """Every destination, and what did not get there."""
    visit.room.views.note(visit.who.who, "deliveries-viewed")
    return visit.page("destinations.html", problem="", **_shown(visit))


@pages.get("/state")
def destinations_fragment(visit: KnownVisit) -> HTMLResponse:
    """The part of it that changes."""
    return visit.page("destinations_state.html", **_shown(visit))


@pages.post("/retry", dependencies=[Depends(form_token)])
def retry(visit: KnownVisit, destination: FormWord, sop_instance_uid: FormWord = "") -> Response:
    """Try one delivery again, or all of a destination."""
    try:
        _retry(visit, destination, sop_instance_uid)
    except BridgeError as error:
        problem = visit.say("went-wrong-because", why=str(error))
        return visit.page("destinations.html", 409, problem=problem, **_shown(visit))
    return RedirectResponse("/destinations", 303)


@pages.post("/set-aside", dependencies=[Depends(form_token)])
def set_aside(
    visit: KnownVisit,
    destination: FormWord,
    sop_instance_uid: FormWord,
    reason: Annotated[str, Form(max_length=REASON_LIMIT)] = "",
    everything: Annotated[bool, Form()] = False,
) -> Response:
    """Say of one delivery that was given up on, or of all there, that it need not get there."""
    named = "" if everything else sop_instance_uid
    try:
        visit.room.studio.set_aside(destination, named, visit.who.who, reason)
    except BridgeError as error:
        problem = visit.say("went-wrong-because", why=str(error))
        return visit.page("destinations.html", 409, problem=problem, **_shown(visit))
    return RedirectResponse("/destinations", 303)


@api.get("/destinations")
def list_destinations(visit: KnownVisit) -> list[DestinationState]:
    """Where every destination stands."""
    return list(visit.room.studio.destinations())


@api.get("/deliveries/given-up")
def list_given_up(visit: KnownVisit, destination: str = "") -> list[DeadLetterOut]:
    """What was given up on, those of the newest studies first."""
    visit.room.views.note(visit.who.who, "deliveries-viewed", detail=f"api, {destination!r}")
    letters = DeliveryLedger(visit.room.store).given_up(destination or None)
    return [
        DeadLetterOut(
            patient_name=letter.patient_name,
            patient_id=letter.patient_id,
            **{
                name: value
                for name, value in asdict(letter.delivery).items()
                if name in DeadLetterOut.model_fields
            },
        )
        for letter in letters
    ]


@api.post("/deliveries/retry", dependencies=[Depends(header_token)], status_code=202)
def retry_many(visit: KnownVisit, body: LettersIn) -> Retried:
    """Try one delivery again at once, or everything that was given up on at a destination."""
    return Retried(retried=_retry(visit, body.destination, body.sop_instance_uid))


@api.post("/deliveries/set-aside", dependencies=[Depends(header_token)])
def set_aside_many(visit: KnownVisit, body: SetAsideIn) -> SetAside:
    """Say of one delivery that was given up on, or of all there, that it need not get there."""
    done = visit.room.studio.set_aside(
        body.destination, body.sop_instance_uid, visit.who.who, body.reason
    )
    return SetAside(set_aside=done)


def _retry(visit: Visit, destination: str, sop_instance_uid: str) -> int:
    if not sop_instance_uid:
        return visit.room.studio.retry_destination(destination, visit.who.who)
    visit.room.studio.retry_delivery(sop_instance_uid, destination, visit.who.who)
    return 1


def _shown(visit: Visit) -> dict[str, Any]:
    destinations = visit.room.studio.destinations()
    ledger = DeliveryLedger(visit.room.store)
    return {
        "destinations": destinations,
        "known": {each.name for each in destinations},
        "letters": ledger.given_up(limit=LETTERS_SHOWN),
        "given_up": ledger.given_up_count(),
        "reason_limit": REASON_LIMIT,
    }
