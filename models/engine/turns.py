"""Whose turn it is: urgent ones first, one after another, and nobody is passed over for ever.

The same rule orders the patches of a batcher, the batches of a device, and the studies that
wait for memory.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from enum import IntEnum
from itertools import chain
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Priority(IntEnum):
    """How soon a study's work is done. Smaller goes first."""

    URGENT = 0
    """Somebody waits for it."""
    ROUTINE = 1
    SHADOW = 2
    """A model that runs without reporting; it takes what the others leave, and a small share."""

    @classmethod
    def of(cls, urgent: bool, shadow: bool) -> Priority:
        """A shadow is never urgent."""
        if shadow:
            return cls.SHADOW
        return cls.URGENT if urgent else cls.ROUTINE


class Turns(Generic[T]):
    """Those who wait, in the order in which they are served. Not locked.

    Each priority is a line of its own, first come first served. The most urgent line is
    served first, except that a line passed over ``patience`` times while somebody stood in it
    comes before it once. So of patience + 1 turns at least one is a routine study's.

    Args:
        patience: how often a line may be passed over.
    """

    def __init__(self, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience = {patience}, at least 1 is needed")
        self._patience = patience
        self._lines: dict[Priority, dict[T, None]] = {priority: {} for priority in Priority}
        self._passed = dict.fromkeys(Priority, 0)

    def __len__(self) -> int:
        return sum(len(line) for line in self._lines.values())

    def add(self, one: T, priority: Priority) -> None:
        """Stand at the end of a line."""
        self._lines[priority][one] = None

    def order(self) -> Iterator[T]:
        """Everybody, in the order of their turns as things stand."""
        full = [p for p in Priority if self._lines[p]]
        owed = [p for p in full if self._passed[p] >= self._patience]
        owed.sort(key=lambda p: -self._passed[p])
        rest = [p for p in full if self._passed[p] < self._patience]
        return chain.from_iterable(list(self._lines[p]) for p in (*owed, *rest))

    def first(self) -> T | None:
        """Who is served next."""
        return next(self.order(), None)

    def take(self, one: T) -> None:
        """It is served and stands here no more; less urgent lines were passed over once more.

        Raises:
            KeyError: it doesn't stand here.
        """
        taken = next((p for p, line in self._lines.items() if one in line), None)
        if taken is None:
            raise KeyError(one)
        del self._lines[taken][one]
        self._passed[taken] = 0
        for priority in Priority:
            if priority > taken and self._lines[priority]:
                self._passed[priority] += 1

    def leave(self, one: T) -> bool:
        """It goes away unserved; False: it did not stand here."""
        for priority, line in self._lines.items():
            if one in line:
                del line[one]
                if not line:
                    self._passed[priority] = 0
                return True
        return False
