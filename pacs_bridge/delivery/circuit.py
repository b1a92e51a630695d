"""Whether a destination is tried at all: a circuit that opens when nobody is found there.

::

    closed --so many tries in a row found nobody--> open --the wait is over--> half-open
       ^                                              ^                            |
       '----------------- one got through ------------+---- nobody again ----------'

While it is open nothing is sent, so that a dead destination costs neither attempts nor time.
Kept in memory: a server that starts finds out anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pacs_bridge.back_off import back_off_s
from pacs_bridge.settings import DestinationSettings


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
    last_error: str = ""
    last_success_at: float | None = None
    """Since this server started."""


class Circuit:
    """The circuit of one destination; called from any thread.

    Args:
        settings: ``circuit_failures``, ``first_wait_s``, ``longest_wait_s``.
        clock: UTC, seconds since the epoch.
    """

    def __init__(
        self, settings: DestinationSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._since: float | None = None
        self._next_try_at: float | None = None
        self._last_error = ""
        self._last_success_at: float | None = None

    @property
    def status(self) -> CircuitStatus:
        """How it stands now."""
        with self._lock:
            return CircuitStatus(
                self._state(),
                self._failures,
                self._since,
                self._next_try_at,
                self._last_error,
                self._last_success_at,
            )

    @property
    def state(self) -> CircuitState:
        """Whether the destination is tried."""
        with self._lock:
            return self._state()

    @property
    def left_alone(self) -> bool:
        """Whether nothing is sent now."""
        return self.state is CircuitState.OPEN

    def answered(self) -> bool:
        """Somebody was there; returns whether the circuit was open until now."""
        with self._lock:
            was_open = self._next_try_at is not None
            self._failures, self._since, self._next_try_at = 0, None, None
            self._last_success_at = self._clock()
            return was_open

    def found_nobody(self, error: str) -> bool:
        """Nobody was there, or none that would talk to us; returns whether it opens only now."""
        with self._lock:
            now = self._clock()
            first = self._next_try_at is None
            self._failures += 1
            self._since = self._since or now
            self._last_error = error
            if self._failures < self._settings.circuit_failures:
                return False
            self._next_try_at = now + back_off_s(self._settings, self._failures)
            return first

    def try_now(self) -> None:
        """Somebody says that it was mended: the wait is over."""
        with self._lock:
            if self._next_try_at is not None:
                self._next_try_at = self._clock()

    def _state(self) -> CircuitState:
        if self._next_try_at is None:
            return CircuitState.CLOSED
        waits = self._clock() < self._next_try_at
        return CircuitState.OPEN if waits else CircuitState.HALF_OPEN
