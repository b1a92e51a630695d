"""A ceiling on the host memory that studies in flight take, whatever arrives."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from imaging.notices import notice
from models.engine.room import Room
from models.engine.turns import Priority
from models.errors import InputRefused

log = logging.getLogger(__name__)

GB = 1e9


class Reservation:
    """Bytes that one study holds."""

    def __init__(self, room: Room, held: int) -> None:
        self._room = room
        self._held = held

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    def shrink(self, to: int) -> None:
        """Give back what is not needed any more, so that another study can begin.

        Raises:
            ValueError: it would grow, or be negative.
        """
        if not 0 <= to <= self._held:
            raise ValueError(f"a reservation of {self._held} bytes can't shrink to {to}")
        self._room.release(self._held - to)
        self._held = to


class MemoryBudget:
    """Studies reserve what they will take, and wait until there is room.

    First come first served, urgent ones first; a routine study is passed over ``patience``
    times at most. A study that needs more than the whole budget runs alone. Reserve once for
    a study: two studies that each hold a part and wait for more would wait for ever.

    Args:
        limit_bytes: for all studies together, at least 1.
        machine_bytes: what the machine has; a study that needs more is refused. None: never.
        patience: see :class:`~models.engine.turns.Turns`.
    """

    def __init__(
        self, limit_bytes: int, machine_bytes: int | None = None, patience: int = 8
    ) -> None:
        self._room = Room(limit_bytes, patience)
        self._machine = machine_bytes

    @property
    def limit(self) -> int:
        """Bytes for all studies together."""
        return self._room.capacity

    @property
    def used(self) -> int:
        """Bytes reserved now."""
        return self._room.used

    @property
    def most_used(self) -> int:
        """Bytes that were ever reserved at the same time."""
        return self._room.most_used

    @property
    def waiting(self) -> int:
        """Studies that wait."""
        return self._room.waiting

    @contextmanager
    def reserve(
        self, needed: int, study: str = "", urgent: bool = False, *, shadow: bool = False
    ) -> Iterator[Reservation]:
        """Hold bytes for as long as the block runs; waits for them.

        Raises:
            InputRefused: the machine has not so much.
            SessionClosed: the budget was closed, or the study given up, while it waited.
            ValueError: a negative number.
        """
        if self._machine is not None and needed > self._machine:
            raise InputRefused(
                notice("study-too-large", needed=needed / GB, held=self._machine / GB)
            )
        if needed > self.limit:
            log.warning(
                "study %s needs %.1f GB, more than the %.1f GB of all studies: it will run alone",
                study, needed / GB, self.limit / GB,
            )  # fmt: skip
        self._room.acquire(needed, Priority.of(urgent, shadow), owner=study)
        reservation = Reservation(self._room, needed)
        try:
            yield reservation
        finally:
            self._room.release(reservation.held)

    def give_up(self, study: str) -> None:
        """A study that waits gets ``SessionClosed``."""
        self._room.turn_away(study)

    def close(self) -> None:
        """Whoever waits or comes gets ``SessionClosed``."""
        self._room.close()
