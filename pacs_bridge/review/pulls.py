"""What is fetched from archives by rules: when each looked, what it found, trying again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from pacs_bridge.errors import UnknownStudy
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.state import PullOverview, overview
from pacs_bridge.review.room import KnownVisit, Visit, form_token, header_token

pages = APIRouter(prefix="/pulls", include_in_schema=False)
api = APIRouter(prefix="/api/pulls", tags=["fetching"])

FormWord = Annotated[str, Form(max_length=400)]


class LookIn(BaseModel):
    """Which rule is to look at its archive."""

    rule: str = Field(max_length=200)


class AgainIn(BaseModel):
    """Which study is to be tried again."""

    study_uid: str = Field(max_length=64)


@pages.get("")
def pulls_page(visit: KnownVisit) -> HTMLResponse:
    """Every rule, and the studies that it found."""
    visit.room.views.note(visit.who.who, "pulls-viewed")
    return visit.page("pulls.html", **_shown(visit))


@pages.get("/state")
def pulls_fragment(visit: KnownVisit) -> HTMLResponse:
    """The part of it that changes."""
    return visit.page("pulls_state.html", **_shown(visit))


@pages.post("/look", dependencies=[Depends(form_token)])
def look(visit: KnownVisit, rule: FormWord) -> Response:
    """Have a rule look at its archive now."""
    _look(visit, rule)
    return RedirectResponse("/pulls", 303)


@pages.post("/again", dependencies=[Depends(form_token)])
def again(visit: KnownVisit, study_uid: FormWord) -> Response:
    """Try a study again at once."""
    PullLedger(visit.room.store).retry(study_uid, visit.who.who)
    return RedirectResponse("/pulls", 303)


@api.get("")
def list_pulls(visit: KnownVisit) -> PullOverview:
    """Every rule, and the studies that it found, those under way first."""
    visit.room.views.note(visit.who.who, "pulls-viewed", detail="api")
    return overview(visit.room.settings, visit.room.store)


@api.post("/look", dependencies=[Depends(header_token)], status_code=202)
def look_now(visit: KnownVisit, body: LookIn) -> None:
    """Have a rule look at its archive now."""
    _look(visit, body.rule)


@api.post("/again", dependencies=[Depends(header_token)], status_code=202)
def try_again(visit: KnownVisit, body: AgainIn) -> None:
    """Try a study again at once that waits or was given up on."""
    PullLedger(visit.room.store).retry(body.study_uid, visit.who.who)


def _look(visit: Visit, rule: str) -> None:
    if all(each.name != rule for each in visit.room.settings.pull):
        raise UnknownStudy(f"no rule is called {rule!r}")
    PullLedger(visit.room.store).ask(rule, visit.who.who)


def _shown(visit: Visit) -> dict[str, Any]:
    return {"pulls": overview(visit.room.settings, visit.room.store)}
