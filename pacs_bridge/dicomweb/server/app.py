"""The DICOMweb server as an application of its own, mounted beside the page."""

from __future__ import annotations

import logging
from collections.abc import Callable

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from pacs_bridge.auth import Gate
from pacs_bridge.dicomweb.server import capabilities, pictures, qido, stow, wado
from pacs_bridge.dicomweb.server.access import Access
from pacs_bridge.dicomweb.server.frames import NoFrame, Undecodable, Unencodable
from pacs_bridge.dicomweb.server.held import Holdings
from pacs_bridge.dicomweb.server.house import House
from pacs_bridge.dicomweb.server.query import BadQuery
from pacs_bridge.dicomweb.server.reading import Gone, Unreadable
from pacs_bridge.dicomweb.server.rendered import BadView
from pacs_bridge.dicomweb.server.search import Search
from pacs_bridge.dicomweb.server.storing import Storing
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.inbox import Inbox
from pacs_bridge.review.room import Views
from pacs_bridge.settings import Settings
from pacs_bridge.store import Instance, Store

_log = logging.getLogger(__name__)

_MEGABYTE = 1_000_000
_HEADERS = ("Accept", "Authorization", "Content-Type", "If-None-Match", "Range", "X-Requested-With")
_SHOWN = ("Content-Location", "Content-Range", "ETag", "Location", "Warning")


def create_dicomweb(
    settings: Settings,
    store: Store,
    inbox: Inbox,
    gate: Gate,
    on_stored: Callable[[Instance], None],
) -> FastAPI:
    """The DICOMweb server.

    Args:
        settings: ``dicomweb``, ``machines``, ``review`` and ``storage`` are read.
        store: what is held, and the audit trail.
        inbox: keeps what is sent.
        gate: knows who is at the page.
        on_stored: called with each object that came, once it is safe.

    Raises:
        SettingsError: two machines of one name, or a password hash that is none.
    """
    holdings = Holdings(store, settings.storage.folder.absolute() / "results")
    house = House(
        settings,
        store,
        Access(settings, gate, store),
        holdings,
        Search(holdings, settings.dicomweb.most_results),
        Storing(inbox, on_stored, settings.dicomweb.largest_object_mb * _MEGABYTE),
        Views(store),
    )
    app = FastAPI(
        title="Preread DICOMweb",
        description="QIDO-RS, WADO-RS, STOW-RS (PS3.18).",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=settings.dicomweb.viewers,
                allow_methods=["GET", "POST", "PUT", "DELETE"],
                allow_headers=_HEADERS,
                expose_headers=_SHOWN,
                max_age=600,
            )
        ],
    )
    app.state.house = house
    app.state.access = house.access
    app.state.routers = []
    for each in (qido, wado, pictures, stow):
        include(app, each.router)
    app.include_router(capabilities.router)
    app.add_exception_handler(UnknownStudy, _not_found)
    app.add_exception_handler(NoFrame, _not_found)
    app.add_exception_handler(BadQuery, _bad)
    app.add_exception_handler(BadView, _bad)
    app.add_exception_handler(Undecodable, _undecodable)
    app.add_exception_handler(Unencodable, _unencodable)
    app.add_exception_handler(OSError, _unreadable)
    app.add_exception_handler(FileNotFoundError, _gone)
    app.add_exception_handler(Gone, _gone)
    app.add_exception_handler(Unreadable, _damaged)
    return app


def include(app: FastAPI, router: APIRouter) -> None:
    """Add a service's routes, of which the capabilities then tell."""
    app.include_router(router)
    app.state.routers.append(router)


def _not_found(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 404)


def _bad(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 400)


def _undecodable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"{error}. Ask for transfer-syntax=*"}, 406)


def _unencodable(_request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": f"it can't be compressed without loss: {error}"}, 406)


def _gone(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "it was here; its file is gone"}, 410)


def _damaged(_request: Request, error: Exception) -> Response:
    detail = f"the object is damaged: {error}. Ask for it with transfer-syntax=*"
    return JSONResponse({"detail": detail[:1000]}, 406)


def _unreadable(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %s", request.method, request.url.path, error)
    return JSONResponse({"detail": "the object's file can't be read; see the log"}, 500)
