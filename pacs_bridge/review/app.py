"""Puts the page together."""

from __future__ import annotations

import logging
from typing import cast
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from imaging.errors import ImagingError
from pacs_bridge.auth import SESSION_S, Gate, session_key
from pacs_bridge.errors import BridgeError, UnknownStudy, WrongState
from pacs_bridge.review import actions, api, destinations, engine, login, pages, pictures, pulls
from pacs_bridge.review.guard import HEADERS, Guard
from pacs_bridge.review.labels import LABELS
from pacs_bridge.review.room import HERE, BadToken, NotLoggedIn, Room, visit
from pacs_bridge.review.studio import Studio
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

log = logging.getLogger(__name__)

SESSION_COOKIE = "preread_session"


def create_app(settings: Settings, store: Store, studio: Studio) -> FastAPI:
    """The review page as an ASGI application.

    Args:
        settings: the whole object; ``review``, ``readers``, ``listener``, ``storage`` are used.
        store: the studies, their reports and the audit trail.
        studio: pictures, files and the steps after a signature.

    Raises:
        SettingsError: others could reach the page and nobody could log in, a reader's entry
            is unusable, or the session key can't be kept.
    """
    gate = Gate(settings, store)
    app = FastAPI(
        title="Preread",
        description="Preliminary reads of CT and MRI: worklist, verdicts, signature.",
        docs_url=None,  # its scripts come from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        middleware=[
            Middleware(Guard, hosts=gate.hosts),
            Middleware(
                SessionMiddleware,
                secret_key=session_key(settings.storage.folder),
                session_cookie=SESSION_COOKIE,
                max_age=SESSION_S,
                same_site="strict",
                https_only=settings.review.url.startswith("https://"),
            ),
        ],
    )
    app.state.room = Room(settings, store, studio, gate)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    for room in (login, pages, engine, actions, pictures, api):
        app.include_router(room.router)
    for router in (destinations.pages, destinations.api, pulls.pages, pulls.api):
        app.include_router(router)
    app.add_api_route("/healthz", _healthz, include_in_schema=False)
    app.add_exception_handler(NotLoggedIn, _not_logged_in)
    app.add_exception_handler(BadToken, _bad_token)
    app.add_exception_handler(BridgeError, _bridge_error)
    app.add_exception_handler(ImagingError, _imaging_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _bad_request)
    app.add_exception_handler(Exception, _went_wrong)
    return app


def _healthz(request: Request) -> Response:
    """Whether the database answers (for Docker's healthcheck and load balancers)."""
    room = cast(Room, request.app.state.room)
    try:
        with room.store.engine.connect() as db:
            db.execute(select(1))
    except SQLAlchemyError as error:
        log.error("healthz: the database does not answer: %s", error)
        return JSONResponse({"status": "database does not answer"}, 503)
    return JSONResponse({"status": "ok"})


def _not_logged_in(request: Request, _error: Exception) -> Response:
    if pages.wants_json(request) or pictures.wants_picture(request):
        return _problem(request, 401, "session-over", "not logged in")
    next_page = "/"
    if request.method == "GET":
        next_page = visit(request).here
    return RedirectResponse(f"/login?next={quote(next_page, safe='')}", 303)


def _bad_token(request: Request, _error: Exception) -> Response:
    return _problem(request, 403, "csrf", "the token is missing or wrong")


def _bridge_error(request: Request, error: Exception) -> Response:
    if isinstance(error, UnknownStudy):
        return _problem(request, 404, "no-such-study", str(error))
    if isinstance(error, WrongState):
        asked = request.path_params
        sentence = actions.refusal_of(
            visit(request), asked["study_uid"], int(asked.get("revision", 0)), error
        )
        return _problem(request, 409, "", str(error), sentence)
    log.error("%s %s: %s", request.method, request.url.path, error)
    sentence = visit(request).say("went-wrong-because", why=str(error))
    return _problem(request, 502, "", str(error), sentence)


def _imaging_error(request: Request, error: Exception) -> Response:
    log.error("%s %s: %s", request.method, request.url.path, error)
    sentence = visit(request).say("went-wrong-because", why=str(error))
    return _problem(request, 500, "", str(error), sentence)


def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    label = "no-such-page" if status in (404, 405) else "bad-request"
    return _problem(request, status, label, f"HTTP {status}")


def _bad_request(request: Request, error: Exception) -> Response:
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    places = [".".join(str(part) for part in problem["loc"]) for problem in problems]
    return _problem(request, 422, "bad-request", f"not usable: {', '.join(places)}")


def _went_wrong(request: Request, error: Exception) -> Response:
    # starlette hands the error on to the server's log after this answer, made outside Guard
    both = LABELS["went-wrong"]
    sentence = f"{both.en} {both.zh}\n"
    log.error("%s %s: %r", request.method, request.url.path, error)
    if pages.wants_json(request):
        return JSONResponse({"problem": sentence.strip(), "error": "internal"}, 500, HEADERS)
    return Response(sentence, 500, HEADERS, "text/plain; charset=utf-8")


def _problem(request: Request, status: int, label: str, error: str, sentence: str = "") -> Response:
    asked = visit(request)
    sentence = sentence or asked.say(label)
    if pages.wants_json(request) or pictures.wants_picture(request):
        return JSONResponse({"problem": sentence, "error": error}, status)
    return asked.page("message.html", status, message=sentence)
