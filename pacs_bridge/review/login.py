"""Coming in, going out, choosing a language."""

from __future__ import annotations

import math
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form
from fastapi.responses import RedirectResponse, Response

from imaging.language import Language
from pacs_bridge.auth import LogInRefused, TooManyTries
from pacs_bridge.review.room import LANGUAGE_COOKIE, AnyVisit, address_of, form_token

router = APIRouter(include_in_schema=False)


def local(path: str) -> str:
    """``path`` if it stays on this server, else the worklist."""
    parts = urlsplit(path)
    inside = path.startswith("/") and not path.startswith(("//", "/\\"))
    if parts.scheme or parts.netloc or not inside or any(ord(c) < 32 for c in path):
        return "/"
    return path


@router.get("/login")
def form(visit: AnyVisit, next: str = "/") -> Response:
    """The log-in form."""
    if visit.person is not None:
        return RedirectResponse(local(next), 303)
    return visit.page("login.html", next=local(next), problem="", user="")


@router.post("/login", dependencies=[Depends(form_token)])
def log_in(
    visit: AnyVisit,
    user: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form()] = "/",
) -> Response:
    """Check user and password."""
    if not visit.room.gate.login_needed:
        return RedirectResponse("/", 303)
    try:
        fresh = visit.room.gate.log_in(user, password, address_of(visit.request))
    except TooManyTries as refusal:
        problem = visit.say("log-in-wait", minutes=math.ceil(refusal.wait_s / 60))
        page = visit.page("login.html", 429, next=local(next), problem=problem, user=user)
        page.headers["Retry-After"] = str(math.ceil(refusal.wait_s))
        return page
    except LogInRefused:
        problem = visit.say("log-in-wrong")
        return visit.page("login.html", 401, next=local(next), problem=problem, user=user)
    visit.request.session.clear()
    visit.request.session.update(fresh)
    visit.token()
    return RedirectResponse(local(next), 303)


@router.post("/logout", dependencies=[Depends(form_token)])
def log_out(visit: AnyVisit) -> Response:
    """End the session."""
    visit.room.gate.log_out(visit.request.session, address_of(visit.request))
    visit.request.session.clear()
    return RedirectResponse("/login", 303)


@router.post("/language", dependencies=[Depends(form_token)])
def choose_language(
    visit: AnyVisit, language: Annotated[Language, Form()], next: Annotated[str, Form()] = "/"
) -> Response:
    """Keep the language in a cookie."""
    response = RedirectResponse(local(next), 303)
    response.set_cookie(
        LANGUAGE_COOKIE, language, max_age=365 * 86400, httponly=True, samesite="strict"
    )
    return response
