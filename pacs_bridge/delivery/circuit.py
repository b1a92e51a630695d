"""Whether a destination is tried at all: a circuit that opens when nobody is found there.

::

    closed --so many tries in a row found nobody--> open --the wait is over--> half-open
       ^                                              ^                            |
       '----------------- one got through ------------+---- nobody again ----------'

While it is open nothing is sent, so that a dead destination costs neither attempts nor time.
What was found is kept in the database: a server that starts knows who was not there and since
when, and tries one object at once, since it may have been started because that was mended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from sqlalchemy import delete, select

from pacs_bridge.back_off import back_off_s
from pacs_bridge.database import upsert, writing
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.store import Store
from pacs_bridge.tables import circuits


class CircuitState(StrEnum):
    """Whether a destination is tried."""

    CLOSED = "closed"
    """Everything that is due is sent."""
    OPEN = "open"
    """Nobody was found there; nothing is sent before the wait is over."""
    HALF_OPEN = "half-open"
    """The wait is over: one object is tried."""


@dataclass(frozen=True)
class CircuitStatus:
    """How a circuit stands; times are UTC, seconds since the epoch."""

    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    """Tries in a row that found nobody."""
    since: float | None = None
    """When the first of them was."""
    next_try_at: float | None = None
    """None: it is closed."""
    last_error: str = ""


class Circuit:
    """The circuit of one destination; called from any thread.

    Args:
        settings: ``name``, ``circuit_failures``, ``first_wait_s``, ``longest_wait_s``.
        store: where it is kept.
        clock: UTC, seconds since the epoch.
    """

    def __init__(
        self,
        settings: DestinationSettings,
        store: Store,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._status = self._kept()

    @property
    def status(self) -> CircuitStatus:
        """How it stands now."""
        with self._lock:
            status = self._status
            if status.next_try_at is None:
                return status
            waits = self._clock() < status.next_try_at
            return replace(status, state=CircuitState.OPEN if waits else CircuitState.HALF_OPEN)

    @property
    def state(self) -> CircuitState:
        """Whether the destination is tried."""
        return self.status.state

    @property
    def left_alone(self) -> bool:
        """Whether nothing is sent now."""
        return self.state is CircuitState.OPEN

    def answered(self) -> bool:
        """Somebody was there; returns whether the circuit was open until now."""
        with self._lock:
            was = self._status
            if was.failures:
                of_it = circuits.c.destination == self._settings.name
                with writing(self._store.engine) as db:
                    db.execute(delete(circuits).where(of_it))
            self._status = CircuitStatus()
            return was.next_try_at is not None

    def found_nobody(self, error: str) -> bool:
        """Nobody was there, or none that would talk to us; returns whether it opens only now."""
        with self._lock:
            now, was = self._clock(), self._status
            failures = was.failures + 1
            opens = failures >= self._settings.circuit_failures
            self._status = CircuitStatus(
                failures=failures,
                since=was.since or now,
                next_try_at=now + back_off_s(self._settings, failures) if opens else None,
                last_error=error,
            )
            self._keep(self._status)
            return opens and was.next_try_at is None

    def try_now(self) -> None:
        """Somebody says that it was mended: the wait is over."""
        with self._lock:
            if self._status.next_try_at is not None:
                self._status = replace(self._status, next_try_at=self._clock())

    # inside ------------------------------------------------------------------------------

    def _kept(self) -> CircuitStatus:
        query = select(circuits).where(circuits.c.destination == self._settings.name)
        with self._store.engine.connect() as db:
            row = db.execute(query).first()
        if row is None:
            return CircuitStatus()
        opened = row.failures >= self._settings.circuit_failures
        return CircuitStatus(
            failures=row.failures,
            since=row.since,
            next_try_at=self._clock() if opened else None,
            last_error=row.last_error,
        )

    def _keep(self, status: CircuitStatus) -> None:
        change = {
            "failures": status.failures,
            "since": status.since,
            "last_error": status.last_error,
        }
        row = {"destination": self._settings.name, **change}
        with writing(self._store.engine) as db:
            upsert(db, circuits, row, ["destination"], change)
