"""Who calls the DICOMweb server: a machine by name and password, or who is at the page.

A machine sends its name and password as HTTP Basic (RFC 7617), or ``name.password`` as a bearer
token (RFC 6750). Without either, the page's own log-in counts: a viewer served beside the page
needs nothing more. Where nobody logs in at the page, whoever is at the machine may do all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from pacs_bridge.auth import FailureLimit, Gate, hash_password, verify_password
from pacs_bridge.errors import SettingsError
from pacs_bridge.sections.web import MachineSettings, Right
from pacs_bridge.settings import Settings
from pacs_bridge.store import Store

_EVERY: frozenset[Right] = frozenset(("read", "store", "order"))
_READER: frozenset[Right] = frozenset(("read", "order"))
_KNOWN_S = 600.0
"""A password that was right is not hashed again for so long: a viewer asks hundreds of times."""
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


@dataclass(frozen=True)
class Caller:
    """Who calls."""

    who: str
    """For the audit trail."""
    may: frozenset[Right]
    source: str = ""
    """What it stores came from: a machine's name, at most 16 characters like an AE title."""


@dataclass
class Access:
    """Says who a request comes from. Safe to call from any number of threads.

    Args:
        settings: ``machines``, ``dicomweb`` and ``review`` are read.
        gate: knows who is at the page.
        store: refused calls go into its audit trail.
        limit: of wrong passwords.

    Raises:
        SettingsError: two machines of one name, or a password hash that is none.
    """

    settings: Settings
    gate: Gate
    store: Store
    limit: FailureLimit = field(default_factory=FailureLimit)
    _machines: dict[str, MachineSettings] = field(init=False)
    _known: dict[bytes, tuple[float, MachineSettings]] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)
    _hashing: threading.Lock = field(init=False, default_factory=threading.Lock)
    _secret: bytes = field(init=False, default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        machines = self.settings.machines
        self._machines = {machine.name: machine for machine in machines}
        if len(self._machines) != len(machines):
            raise SettingsError("[[machines]]: two entries have the same name; names are unique")
        for machine in machines:
            try:
                verify_password("", machine.password_hash)
            except SettingsError:
                raise SettingsError(
                    f"machines.password_hash of {machine.name} is not of the form scrypt$...: make "
                    "one with `preread hash-password`"
                ) from None
        self._nobody = hash_password(secrets.token_hex(16)) if machines else ""

    def caller(self, connection: HTTPConnection, right: Right) -> Caller:
        """Who calls, if they may.

        Args:
            connection: a request, or a WebSocket that is being opened.
            right: what the call needs.

        Raises:
            HTTPException: 401 nobody we know, 403 known and not allowed (or a page elsewhere
                sent it), 429 too many wrong passwords.
        """
        self._refuse_strangers(connection)
        header = connection.headers.get("authorization", "")
        caller = self._machine(header, address_of(connection)) if header else self._at(connection)
        if right not in caller.may:
            self.store.record(caller.who, "web-refused", detail=f"may not {right}")
            raise HTTPException(403, f"{caller.who} may not {right}: see [[machines]] may")
        return caller

    # inside ------------------------------------------------------------------------------

    def _at(self, connection: HTTPConnection) -> Caller:
        person = self.gate.person(connection.session, address_of(connection))
        if person is None:
            raise _unknown("who calls? Name and password of one of [[machines]], or log in")
        # who is not logged in where nobody logs in is at the machine itself, which Gate sees to
        return Caller(person.who, _READER if person.reader else _EVERY)

    def _machine(self, header: str, address: str) -> Caller:
        mark = hmac.digest(self._secret, header.encode("utf-8", "replace"), hashlib.sha256)
        with self._lock:
            until, machine = self._known.get(mark, (0.0, None))
        if machine is None or until < time.monotonic():
            machine = self._checked(header, address)
            with self._lock:
                if len(self._known) > 1000:
                    self._known.clear()
                self._known[mark] = (time.monotonic() + _KNOWN_S, machine)
        return Caller(machine.name, frozenset(machine.may), machine.name)

    def _checked(self, header: str, address: str) -> MachineSettings:
        name, password = _credentials(header)
        shown = name[:64] or "nobody"
        wait_s = self.limit.wait_s(name, address)
        if wait_s > 0:
            seconds = math.ceil(wait_s)
            raise HTTPException(
                429, f"too many wrong passwords: wait {seconds} s", {"Retry-After": str(seconds)}
            )
        machine = self._machines.get(name)
        right = False
        if self._machines:
            with self._hashing:  # each takes 32 MiB; an unknown name takes as long as a known one
                kept = machine.password_hash if machine else self._nobody
                right = verify_password(password, kept)
        if machine is None or not right:
            self.limit.failed(name, address)
            self.store.record(shown, "web-log-in-failed", detail=f"from {address}")
            raise _unknown("wrong name or password")
        self.limit.succeeded(name)
        return machine

    def _refuse_strangers(self, connection: HTTPConnection) -> None:
        """A page elsewhere may make a browser send us something; it says where it comes from."""
        origin = connection.headers.get("origin", "")
        reading = connection.scope["type"] == "http" and connection.scope["method"] in _SAFE
        if not origin or reading or origin in self.settings.dicomweb.viewers:
            return
        own = {connection.headers.get("host", ""), urlsplit(self.settings.review.url).netloc}
        if urlsplit(origin).netloc not in own - {""}:
            raise HTTPException(403, f"{origin[:200]} is not among dicomweb.viewers")


def may(right: Right) -> Callable[[Request], Caller]:
    """A FastAPI dependency: the caller, who may ``right``; see :meth:`Access.caller`."""

    def dependency(request: Request) -> Caller:
        return cast(Access, request.app.state.access).caller(request, right)

    return dependency


def address_of(connection: HTTPConnection) -> str:
    """The peer's address."""
    return connection.client.host if connection.client else "unknown"


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        name, _, password = value.strip().partition(".")
        return name, password
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(value.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise _unknown("the Authorization header is no HTTP Basic (RFC 7617)") from None
        name, _, password = decoded.partition(":")
        return name, password
    raise _unknown(f"Authorization: {scheme[:20]!r} is not known here; Basic and Bearer are")


def _unknown(why: str) -> HTTPException:
    challenge = 'Basic realm="Preread", charset="UTF-8", Bearer realm="Preread"'
    return HTTPException(401, why, {"WWW-Authenticate": challenge})
