"""A study on its way through the workers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field

from models.engine.turns import Priority
from pacs_bridge.workers.messages import StudyTask, TaskOutcome
from pacs_bridge.workers.state import StudyState

_numbers = itertools.count(1)


@dataclass(eq=False)
class Ticket:
    """One study that waits, is read, or was.

    Args:
        task: what is to be done.
        alone: a worker died while it read this study: it gets a worker to itself, so that
            nobody else is suspected, or suffers, if that happens again.
        told: called with the name of each step.
    """

    task: StudyTask
    alone: bool = False
    told: Callable[[str], None] = lambda step: None
    future: Future[TaskOutcome] = field(default_factory=Future)
    taken: threading.Event = field(default_factory=threading.Event)
    """A worker has it, or it failed before one had."""
    number: int = field(default_factory=lambda: next(_numbers))
    step: str = ""
    since: float = field(default_factory=time.monotonic)

    def finish(self, outcome: TaskOutcome) -> None:
        """It is read."""
        with suppress(InvalidStateError):  # the server gave up waiting
            self.future.set_result(outcome)

    def fail(self, error: BaseException) -> None:
        """It could not be read."""
        self.taken.set()
        with suppress(InvalidStateError):
            self.future.set_exception(error)

    @property
    def state(self) -> StudyState:
        """What the page shows of it."""
        return StudyState(
            study_uid=self.task.study_uid,
            step=self.step,
            seconds=round(time.monotonic() - self.since, 1),
            urgent=self.task.priority is Priority.URGENT,
            shadow=self.task.priority is Priority.SHADOW,
        )
