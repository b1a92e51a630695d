"""Patches that wait for a batch: of several studies, and of several shapes."""

from __future__ import annotations

from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from models.engine.turns import Priority, Turns
from models.runner import PatchInput, PatchOutputs

Shape = tuple[int, ...]


@dataclass(eq=False)
class Lane:
    """One study's patches that wait, by shape; each shape in the order they came."""

    study: str
    priority: Priority
    waiting: dict[Shape, deque[Waiting]] = field(default_factory=dict)

    def oldest(self) -> Waiting:
        """The patch that has waited longest. The lane isn't empty."""
        return min((line[0] for line in self.waiting.values()), key=lambda patch: patch.number)


@dataclass(eq=False, slots=True)
class Waiting:
    """One patch in the queue.

    Attributes:
        lane: whose it is.
        values: (c, *spatial), the caller's own array.
        cost: what it takes of the queue's room.
        arrived: clock, s.
        future: who waits for the outputs.
        number: counts up as patches come.
    """

    lane: Lane
    values: PatchInput
    cost: int
    arrived: float
    future: Future[PatchOutputs]
    number: int = 0


class FairQueue:
    """Patches in the order in which they are served. Not locked.

    Studies of one priority take turns, a patch each, so that a large study doesn't block a
    small one; see :class:`~models.engine.turns.Turns` for priorities. Of the study whose turn it is
    the oldest patch leads the batch, and others of the same shape fill it, in turns.
    """

    def __init__(self, patience: int) -> None:
        self._turns: Turns[Lane] = Turns(patience)
        self._shapes: Counter[Shape] = Counter()
        self._came = 0

    def __len__(self) -> int:
        return self._shapes.total()

    def put(self, patch: Waiting) -> int:
        """Add a patch; returns how many of its shape wait now."""
        lane, shape = patch.lane, patch.values.shape
        self._came += 1
        patch.number = self._came
        if not lane.waiting:
            self._turns.add(lane, lane.priority)
        lane.waiting.setdefault(shape, deque()).append(patch)
        self._shapes[shape] += 1
        return self._shapes[shape]

    def head(self) -> Waiting | None:
        """The patch that leads the next batch."""
        lane = self._turns.first()
        return lane.oldest() if lane is not None else None

    def count(self, shape: Shape) -> int:
        """How many of a shape wait."""
        return self._shapes[shape]

    def take(self, most: int) -> list[Waiting]:
        """The next batch: the head and up to ``most`` - 1 others of its shape."""
        batch: list[Waiting] = []
        head = self.head()
        while head is not None and len(batch) < most:
            shape = head.values.shape
            lane = next((one for one in self._turns.order() if shape in one.waiting), None)
            if lane is None:
                break
            batch.append(self._take_from(lane, shape))
        return batch

    def drop(self, lane: Lane) -> list[Waiting]:
        """All patches of a lane, which wait no more."""
        dropped = [patch for line in lane.waiting.values() for patch in line]
        lane.waiting.clear()
        self._turns.leave(lane)
        for patch in dropped:
            self._forget(patch.values.shape)
        return dropped

    def drop_all(self) -> list[Waiting]:
        """Every patch; the queue is empty."""
        return [patch for lane in list(self._turns.order()) for patch in self.drop(lane)]

    def _take_from(self, lane: Lane, shape: Shape) -> Waiting:
        line = lane.waiting[shape]
        patch = line.popleft()
        if not line:
            del lane.waiting[shape]
        self._turns.take(lane)
        if lane.waiting:
            self._turns.add(lane, lane.priority)  # at the end of the line
        self._forget(shape)
        return patch

    def _forget(self, shape: Shape) -> None:
        self._shapes[shape] -= 1
        if not self._shapes[shape]:
            del self._shapes[shape]
