"""What every route can reach, who asks, and in which language."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import Depends, Form, Header, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy.exc import SQLAlchemyError

from imaging.draft import terms
from imaging.language import Language, Text
from pacs_bridge.auth import Gate, Person
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.delivery.standing import Trouble, trouble
from pacs_bridge.review import present
from pacs_bridge.review.editing import Desk
from pacs_bridge.review.labels import LABELS, label
from pacs_bridge.review.studio import Studio
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

HERE = Path(__file__).parent
LANGUAGE_COOKIE = "preread_language"


class NotLoggedIn(Exception):
    """Nobody is logged in, and somebody has to be."""


class BadToken(Exception):
    """A change came without the session's own token (cross-site request forgery)."""


@dataclass
class Views:
    """Enters a look at patient data into the audit trail, repeated looks once a while.

    Args:
        store: the audit trail.
        window_s: the same person's looks at the same thing within this are one line.
    """

    store: Store
    window_s: float = 600.0
    _last: dict[tuple[str, str, str | None], float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, who: str, what: str, study_uid: str | None = None, detail: str = "") -> None:
        """Enter it, unless it was entered within the window."""
        now, key = time.monotonic(), (who, what, study_uid)
        with self._lock:
            if now - self._last.get(key, -self.window_s) < self.window_s:
                return
            if len(self._last) > 10_000:
                self._last = {k: v for k, v in self._last.items() if now - v < self.window_s}
            self._last[key] = now
        self.store.record(who, what, study_uid, detail)


@dataclass(frozen=True)
class Room:
    """Everything the routes share."""

    settings: Settings
    store: Store
    studio: Studio
    gate: Gate

    @cached_property
    def desk(self) -> Desk:
        """Takes verdicts and signatures."""
        return Desk(self.store, self.studio)

    @cached_property
    def views(self) -> Views:
        """Notes looks at patient data."""
        return Views(self.store)

    @cached_property
    def templates(self) -> Environment:
        """Every value is escaped; an unknown name is an error."""
        environment = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            person_name=present.person_name,
            dicom_date=present.dicom_date,
            moment=present.moment,
            iso=present.iso,
            volume=terms.volume,
            volume_range=terms.volume_range,
            number=terms.number,
            memory=present.memory,
        )
        environment.globals.update(size_mm=terms.size)
        return environment


@dataclass(frozen=True)
class Visit:
    """One request: who, in which language, in which room."""

    request: Request
    room: Room
    language: Language
    person: Person | None

    @property
    def who(self) -> Person:
        """Who asks.

        Raises:
            NotLoggedIn: nobody we know.
        """
        if self.person is None:
            raise NotLoggedIn
        return self.person

    def say(self, key: str, **values: object) -> str:
        """A label in the visitor's language."""
        return label(key, self.language, **values)

    def token(self) -> str:
        """The session's own token, which every change must carry."""
        session = self.request.session
        if "csrf" not in session:
            session["csrf"] = secrets.token_urlsafe(32)
        return str(session["csrf"])

    def render(self, template: str, **values: Any) -> str:
        """A template with what every page needs."""

        def span(at: float) -> str:
            return present.span(at, self.language)

        def duration(seconds: float) -> str:
            return present.duration(seconds, self.language)

        def say_text(text: Text) -> str:
            return text.in_(self.language)

        return self.room.templates.get_template(template).render(
            t=self.say,
            text=say_text,
            span=span,
            duration=duration,
            language=self.language,
            html_language="zh-CN" if self.language is Language.ZH else "en",
            site=self.room.settings.site,
            pulling=bool(self.room.settings.pull),
            person=self.person,
            trouble=self._trouble() if self.person else None,
            csrf=self.token(),
            here=self.here,
            words=self.words,
            **values,
        )

    def page(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A whole page."""
        return HTMLResponse(self.render(template, **values), status)

    def _trouble(self) -> Trouble | None:
        try:
            return trouble(self.room.settings.destinations, DeliveryLedger(self.room.store))
        except SQLAlchemyError:  # so that the page that says so of the database can be shown
            return None

    @property
    def here(self) -> str:
        """Where to come back to, by GET."""
        if self.request.method != "GET":
            study_uid = self.request.path_params.get("study_uid")
            return f"/studies/{quote(study_uid)}" if study_uid else "/"
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    def words(self, *keys: str) -> dict[str, str]:
        """Labels for scripts, blanks unfilled."""
        return {key: LABELS[key].in_(self.language) for key in keys}


def address_of(request: Request) -> str:
    """The peer's address."""
    return request.client.host if request.client else "unknown"


def language_of(request: Request, default: Language) -> Language:
    """The one chosen, else the browser's first of ours, else the site's."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in list(Language):
        return Language(chosen)
    wanted: list[tuple[float, str]] = []
    for entry in request.headers.get("accept-language", "").split(","):
        tag, _, quality = entry.strip().partition(";q=")
        try:
            wanted.append((-float(quality or 1), tag.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    for _, tag in sorted(wanted, key=lambda entry: entry[0]):
        if tag in list(Language):
            return Language(tag)
    return default


def visit(request: Request) -> Visit:
    """The request with its room; somebody need not be logged in."""
    room = cast(Room, request.app.state.room)
    person = room.gate.person(request.session, address_of(request))
    return Visit(request, room, language_of(request, room.settings.review.language), person)


AnyVisit = Annotated[Visit, Depends(visit)]


def known_visit(visit: AnyVisit) -> Visit:
    """The same, for people we know only."""
    if visit.person is None:
        raise NotLoggedIn
    return visit


KnownVisit = Annotated[Visit, Depends(known_visit)]


def _check(visit: Visit, token: str) -> None:
    own = str(visit.request.session.get("csrf", ""))
    if not own or not hmac.compare_digest(own.encode(), token.encode()):
        raise BadToken


def form_token(visit: AnyVisit, csrf: Annotated[str, Form()] = "") -> None:
    """A form must carry the token."""
    _check(visit, csrf)


def header_token(visit: KnownVisit, x_csrf_token: Annotated[str, Header()] = "") -> None:
    """A JSON change must carry the token."""
    _check(visit, x_csrf_token)
