"""Who is at the page: readers and their passwords, log-in, and the key that signs sessions.

Two ways of running, chosen by the settings alone:

* **readers** are configured: everybody logs in, and a report is signed in the name and
  organization that the settings give that reader.
* no readers, and the page is bound to loopback: nobody logs in. Whoever is at the machine
  reads, and types name and organization when signing; the audit trail says that it was typed.

No readers on any other address is a :class:`~pacs_bridge.errors.SettingsError`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pacs_bridge.errors import SettingsError
from pacs_bridge.settings import ReaderSettings, Settings
from pacs_bridge.store import Store

SESSION_S = 12 * 3600
"""A log-in lasts this long, however busy the page is."""

# scrypt (RFC 7914) at 32 MiB and three passes, one of OWASP's equal recommendations
_LOG2_N, _R, _P = 15, 8, 3
_KEY_BYTES = 32


def hash_password(password: str) -> str:
    """The line to put into ``[[readers]] password_hash``: ``scrypt$log2(N)$r$p$salt$key``.

    Raises:
        ValueError: the password is empty.
    """
    if not password:
        raise ValueError("the password is empty")
    salt = secrets.token_bytes(16)
    key = _derive(password, salt, _LOG2_N, _R, _P)
    return f"scrypt${_LOG2_N}${_R}${_P}${salt.hex()}${key.hex()}"


def verify_password(password: str, password_hash: str) -> bool:
    """Whether ``password`` is the one that ``password_hash`` was made from.

    Raises:
        SettingsError: ``password_hash`` was not made by :func:`hash_password`.
    """
    log2_n, r, p, salt, key = _parse(password_hash)
    return hmac.compare_digest(_derive(password, salt, log2_n, r, p), key)


def _derive(password: str, salt: bytes, log2_n: int, r: int, p: int) -> bytes:
    n = 1 << log2_n
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, dklen=_KEY_BYTES, maxmem=256 * n * r
    )


def _parse(password_hash: str) -> tuple[int, int, int, bytes, bytes]:
    try:
        kind, log2_n, r, p, salt, key = password_hash.split("$")
        if kind != "scrypt" or not (1 <= int(log2_n) <= 20 and 1 <= int(r) <= 32):
            raise ValueError(kind)
        parsed = int(log2_n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(key)
        if not 1 <= parsed[2] <= 16 or not parsed[3] or len(parsed[4]) != _KEY_BYTES:
            raise ValueError(p)
    except ValueError:
        raise SettingsError(
            "readers.password_hash is not of the form scrypt$...: make one with "
            "`preread hash-password`"
        ) from None
    return parsed


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def session_key(folder: Path) -> str:
    """The key that signs session cookies, kept in ``folder`` for its owner only.

    Made when it is missing, and made anew (which logs everybody out) when others could have
    read it.

    Raises:
        SettingsError: the folder can't be written.
    """
    path = folder / "session.key"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            key = path.read_text(encoding="ascii").strip()
            if len(key) >= 43 and not path.stat().st_mode & 0o077:
                return key
            path.unlink()
        fresh = folder / f".session.key.{secrets.token_hex(8)}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            path.hardlink_to(fresh)  # whoever links first wins, whole
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(
            f"storage.folder = {folder}: the session key can't be kept there: {error}"
        ) from error


@dataclass(frozen=True)
class Person:
    """Who asks."""

    who: str
    """For the audit trail."""
    reader: ReaderSettings | None = None
    """Whose log-in it is; None where nobody logs in."""


class LogInRefused(Exception):
    """Wrong user or password; never says which."""


class TooManyTries(LogInRefused):
    """Too many failed log-ins of late.

    Args:
        wait_s: try again after this.
    """

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed log-ins, wait {wait_s:.0f} s")
        self.wait_s = wait_s


@dataclass
class FailureLimit:
    """Counts failed log-ins by user and by address over a sliding window.

    Args:
        per_user: failures of one user name, from anywhere.
        per_address: failures from one address, whatever the name.
        window_s: how long a failure counts.
    """

    per_user: int = 8
    per_address: int = 24
    window_s: float = 900.0
    _failures: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait_s(self, user: str, address: str) -> float:
        """Seconds until ``user`` may try from ``address`` again; 0 when at once."""
        now = time.monotonic()
        with self._lock:
            return max(
                self._wait(f"user {user.casefold()}", self.per_user, now),
                self._wait(f"address {address}", self.per_address, now),
            )

    def failed(self, user: str, address: str) -> None:
        """Count one failure."""
        now = time.monotonic()
        with self._lock:
            if len(self._failures) > 10_000:  # a flood of invented names must not fill memory
                self._failures = {
                    k: v for k, v in self._failures.items() if v[-1] > now - self.window_s
                }
            for key in (f"user {user.casefold()}", f"address {address}"):
                self._failures.setdefault(key, deque(maxlen=64)).append(now)

    def succeeded(self, user: str) -> None:
        """Forget the user's failures."""
        with self._lock:
            self._failures.pop(f"user {user.casefold()}", None)

    def _wait(self, key: str, limit: int, now: float) -> float:
        recent = [at for at in self._failures.get(key, ()) if at > now - self.window_s]
        return recent[-limit] + self.window_s - now if len(recent) >= limit else 0.0


class Gate:
    """Says who a session belongs to, and lets readers in.

    Args:
        settings: ``readers``, ``review`` and ``storage`` are read.
        store: log-ins and failed log-ins go into its audit trail.
        limit: of failed log-ins.

    Raises:
        SettingsError: no readers although others can reach the page; two readers of one
            name; a password hash that is none.
    """

    def __init__(self, settings: Settings, store: Store, limit: FailureLimit | None = None) -> None:
        self._store = store
        self._limit = limit or FailureLimit()
        self._one_at_a_time = threading.Lock()  # each hash takes 32 MiB
        self._readers = {reader.user: reader for reader in settings.readers}
        if len(self._readers) != len(settings.readers):
            raise SettingsError("[[readers]]: two entries have the same user; users are unique")
        for reader in settings.readers:
            _parse(reader.password_hash)
        host, outside = settings.review.host, urlsplit(settings.review.url).hostname
        if not self._readers and not (is_loopback(host) and is_loopback(outside or host)):
            where = f"review.host = {host!r}"
            if is_loopback(host):
                where = f"review.url = {settings.review.url!r}"
            raise SettingsError(
                f"{where} lets other machines reach the page, but nobody could log in: make a "
                "password hash with `preread hash-password`, add at least one [[readers]] with "
                "user, name, organization and password_hash, or keep review.host = '127.0.0.1'"
            )
        self.hosts: tuple[str, ...] = ()
        """Host names a request must come to (against DNS rebinding); empty: any."""
        if is_loopback(host):
            self.hosts = ("localhost", "127.0.0.1", "::1", host.strip("[]").lower())
            if outside:
                self.hosts += (outside.lower(),)
        self._unknown = hash_password(secrets.token_hex(16)) if self._readers else ""

    @property
    def login_needed(self) -> bool:
        """Whether people log in at all."""
        return bool(self._readers)

    def log_in(self, user: str, password: str, address: str) -> dict[str, Any]:
        """Check a password; returns what the new session is to hold.

        Raises:
            LogInRefused: wrong user or password.
            TooManyTries: too many failures of late; the password was not looked at.
        """
        shown = user[:64]
        wait_s = self._limit.wait_s(user, address)
        if wait_s > 0:
            self._store.record(shown, "log-in-refused", detail=f"from {address}: too many tries")
            raise TooManyTries(wait_s)
        reader = self._readers.get(user)
        with self._one_at_a_time:  # an unknown user costs the same time as a known one
            right = verify_password(password, reader.password_hash if reader else self._unknown)
        if reader is None or not right:
            self._limit.failed(user, address)
            self._store.record(shown, "log-in-failed", detail=f"from {address}")
            raise LogInRefused("wrong user or password")
        self._limit.succeeded(user)
        self._store.record(reader.user, "logged-in", detail=f"from {address}")
        return {"user": reader.user, "at": time.time(), "of": _mark(reader)}

    def log_out(self, session: Mapping[str, Any], address: str) -> None:
        """Enter into the audit trail that a session ends."""
        person = self.person(session, address)
        if person is not None and person.reader is not None:
            self._store.record(person.who, "logged-out", detail=f"from {address}")

    def person(self, session: Mapping[str, Any], address: str) -> Person | None:
        """Who ``session`` belongs to; None when they have to log in.

        A session ends after :data:`SESSION_S`, and at once when the reader is taken out of
        the settings or gets another password.
        """
        if not self.login_needed:
            return Person(who=f"at the machine ({address})")
        reader = self._readers.get(str(session.get("user", "")))
        at = session.get("at")
        if reader is None or not isinstance(at, int | float) or time.time() - at > SESSION_S:
            return None
        if not hmac.compare_digest(str(session.get("of", "")), _mark(reader)):
            return None
        return Person(who=reader.user, reader=reader)


def _mark(reader: ReaderSettings) -> str:
    return hashlib.sha256(reader.password_hash.encode()).hexdigest()[:16]
