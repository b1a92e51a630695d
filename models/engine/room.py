"""A bounded room in which threads wait for a place, in turns.

One rule for three things: bytes of patches in a queue, batches on a device, bytes of studies
in flight.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from models.engine.turns import Priority, Turns
from models.errors import SessionClosed


class _Ticket:
    """One thread that waits."""

    __slots__ = ("amount", "called", "granted", "owner")

    def __init__(self, amount: int, owner: Hashable) -> None:
        self.amount = amount
        self.owner = owner
        self.granted = False
        self.called = threading.Event()


class Room:
    """So much fits in, and no more. Threads share it.

    Whoever needs more than the whole room gets it alone: late, rather than never. Nobody
    overtakes within a priority, so that what is large is not passed over by what is small.

    Args:
        capacity: in any unit, at least 1.
        patience: see :class:`~models.engine.turns.Turns`.
    """

    def __init__(self, capacity: int, patience: int = 8) -> None:
        if capacity < 1:
            raise ValueError(f"capacity = {capacity}, at least 1 is needed")
        self.capacity = capacity
        self._lock = threading.Lock()
        self._turns: Turns[_Ticket] = Turns(patience)
        self._used = 0
        self._most_used = 0
        self._closed = False
        self._watchers: list[Callable[[], None]] = []

    @property
    def used(self) -> int:
        """What is taken now."""
        return self._used

    @property
    def most_used(self) -> int:
        """What was ever taken at the same time."""
        return self._most_used

    @property
    def free(self) -> int:
        """What is left; 0 while somebody waits for it."""
        with self._lock:
            return 0 if len(self._turns) else max(0, self.capacity - self._used)

    @property
    def waiting(self) -> int:
        """How many threads wait."""
        with self._lock:
            return len(self._turns)

    def acquire(
        self, amount: int, priority: Priority = Priority.ROUTINE, owner: Hashable = None
    ) -> None:
        """Wait for a place.

        Raises:
            SessionClosed: the room closed, or ``owner`` was turned away, while it waited.
            ValueError: a negative amount.
        """
        if amount < 0:
            raise ValueError(f"amount = {amount} is negative")
        with self._lock:
            if self._closed:
                raise SessionClosed("nothing more is taken: the engine was stopped")
            if not len(self._turns) and self._fits(amount):
                self._take(amount)
                return
            ticket = _Ticket(amount, owner)
            self._turns.add(ticket, priority)
        try:
            ticket.called.wait()
        except BaseException:  # an interrupt from the keyboard must not keep the place
            with self._lock:
                left = self._turns.leave(ticket)
            if not left and ticket.granted:
                self.release(amount)
            raise
        if not ticket.granted:
            raise SessionClosed("the study was given up, or the engine stopped, while it waited")

    def release(self, amount: int) -> None:
        """Give a place back."""
        with self._lock:
            self._used -= amount
            assert self._used >= 0, "more was given back than taken"
            self._call()
        self._tell()

    @contextmanager
    def place(
        self, amount: int = 1, priority: Priority = Priority.ROUTINE, owner: Hashable = None
    ) -> Iterator[None]:
        """:meth:`acquire`, and :meth:`release` when the block ends."""
        self.acquire(amount, priority, owner)
        try:
            yield
        finally:
            self.release(amount)

    def turn_away(self, owner: Hashable) -> None:
        """Whoever waits in the name of ``owner`` gets :class:`SessionClosed`."""
        with self._lock:
            for ticket in [t for t in self._turns.order() if t.owner == owner]:
                self._turns.leave(ticket)
                ticket.called.set()
            self._call()

    def close(self) -> None:
        """Everybody who waits or comes gets :class:`SessionClosed`; places may be given back."""
        with self._lock:
            self._closed = True
            for ticket in list(self._turns.order()):
                self._turns.leave(ticket)
                ticket.called.set()

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call ``told`` whenever a place is given back; returns what ends that."""
        with self._lock:
            self._watchers.append(told)

        def unwatch() -> None:
            with self._lock:
                self._watchers = [one for one in self._watchers if one is not told]

        return unwatch

    def _fits(self, amount: int) -> bool:
        return self._used == 0 or self._used + amount <= self.capacity

    def _take(self, amount: int) -> None:
        self._used += amount
        self._most_used = max(self._most_used, self._used)

    def _call(self) -> None:
        """Let in whoever is next, as long as there is place. The lock is held."""
        while (ticket := self._turns.first()) is not None and self._fits(ticket.amount):
            self._turns.take(ticket)
            self._take(ticket.amount)
            ticket.granted = True
            ticket.called.set()

    def _tell(self) -> None:
        # Outside the lock: who is told may take a lock of its own.
        with self._lock:
            watchers = list(self._watchers)
        for told in watchers:
            told()
