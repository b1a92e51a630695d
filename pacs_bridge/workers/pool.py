"""All workers: who is next, which worker reads it, and what happens when one dies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from models.engine.turns import Priority, Turns
from pacs_bridge.settings import Settings
from pacs_bridge.workers.devices import CPU, Device, find_devices
from pacs_bridge.workers.failures import ServerStops, StudyKillsWorkers, WorkerLost
from pacs_bridge.workers.messages import Ready, StudyTask, TaskOutcome
from pacs_bridge.workers.setup import Setup
from pacs_bridge.workers.state import EngineState
from pacs_bridge.workers.ticket import Ticket
from pacs_bridge.workers.worker import Worker

log = logging.getLogger(__name__)

PATIENCE = 8
"""So many urgent studies in a row may pass a routine one."""
DEATHS = 2
"""A study whose workers died so often, the last time alone in its worker, is not tried again."""

Key = tuple[str, int, tuple[str, ...]]


class Workers:
    """The worker processes of a server. Threads share it.

    Args:
        settings: its ``models`` say which, where and how many studies at once.
        devices: instead of those found.

    Raises:
        SettingsError: a GPU is wanted that is not there.
    """

    def __init__(self, settings: Settings, devices: list[Device] | None = None) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._turns: Turns[Ticket] = Turns(PATIENCE)
        self._deaths: dict[Key, int] = {}
        self._stopping = False
        found = find_devices(settings.models.device) if devices is None else devices
        self.workers = [self._worker(device, len(found)) for device in found]

    @property
    def places(self) -> int:
        """Studies that can be read at the same time."""
        return sum(worker.setup.studies_at_once for worker in self.workers)

    def start(self) -> None:
        """Start every worker and wait until one of them can read.

        Raises:
            ModelError: an enabled model can't be loaded, or no worker comes up.
        """
        ready = self._first()
        if ready.device == "cpu" and self.workers[0].device.hardware:
            # The driver is there, and nothing that is installed can use it.
            log.warning("no runtime here can use a GPU; going on with one worker on the CPU")
            self.workers[0].stop()
            self.workers = [self._worker(CPU, 1)]
            ready = self._first()
        for worker in self.workers[1:]:
            worker.start()

    def _first(self) -> Ready:
        """Start the first worker and wait until it has loaded the models."""
        first = self.workers[0]
        first.start()
        ready = first.first.result()
        for name in self._settings.models.enabled:
            if name in ready.failures:
                self.stop()
                raise ready.failures[name].error()
        return ready

    def stop(self) -> None:
        """End; whoever waits for a study is told that the server stops, and nothing else."""
        with self._lock:
            self._stopping = True
            waiting = list(self._turns.order())
            for ticket in waiting:
                self._turns.leave(ticket)
        for ticket in waiting:
            ticket.fail(ServerStops())
        for worker in self.workers:
            worker.stop()

    def read(
        self,
        task: StudyTask,
        *,
        begun: Callable[[], None] = lambda: None,
        told: Callable[[str], None] = lambda step: None,
    ) -> TaskOutcome:
        """Have a study read by the worker that has least to do; returns when it is.

        Args:
            task: what is to be done.
            begun: called when a worker takes it.
            told: called with the name of each step, in another thread.

        Raises:
            WorkerLost: the process ended while it read the study (retryable).
            StudyKillsWorkers: that happened for the second time; do not try again.
            ServerStops: the server ends.
            ImagingError, ModelError, OSError, AnalysisFailed: what the worker met.
        """
        key = _key(task)
        with self._lock:
            if self._stopping:
                raise ServerStops
            ticket = Ticket(task, alone=key in self._deaths, told=told)
            self._turns.add(ticket, task.priority)
            self._dispatch()
        ticket.taken.wait()
        try:
            if not ticket.future.done():
                begun()
            outcome = ticket.future.result()
        except WorkerLost as error:
            self._blame(key, error, began=bool(ticket.step))
            raise
        with self._lock:
            self._deaths.pop(key, None)
        return outcome

    def refresh(self) -> None:
        """Have every worker take up new versions of its models."""
        for worker in self.workers:
            worker.refresh()

    def state(self) -> EngineState:
        """How all of it stands."""
        with self._lock:
            waiting = [ticket.task.priority for ticket in self._turns.order()]
        return EngineState(
            workers=tuple(worker.state() for worker in self.workers),
            waiting=len(waiting),
            urgent_waiting=waiting.count(Priority.URGENT),
            shadows_waiting=waiting.count(Priority.SHADOW),
        )

    def _blame(self, key: Key, error: WorkerLost, *, began: bool) -> None:
        """Count the death, if the study was begun, unless the server ends.

        Raises:
            StudyKillsWorkers: this study had the worker to itself.
        """
        with self._lock:
            if self._stopping:
                raise ServerStops from error
            if not began:
                return
            self._deaths[key] = self._deaths.get(key, 0) + 1
            if self._deaths[key] < DEATHS:
                return
            # Begun again by a person, it is tried once more, alone.
            self._deaths[key] = DEATHS - 1
        raise StudyKillsWorkers(
            f"the worker process ended {DEATHS} times over this study, the last time while it "
            f"read nothing else: {error}. The log says more; begin the study again once the "
            "cause is mended"
        ) from error

    def _dispatch(self) -> None:
        """Give out what can be given out."""
        with self._lock:
            if self._stopping:
                return
            kept: Worker | None = None
            for ticket in list(self._turns.order()):
                ready = sorted((w for w in self.workers if w.ready and w is not kept), key=_load)
                if any(worker.take(ticket) for worker in ready):
                    self._turns.take(ticket)
                elif ticket.alone and kept is None and ready:
                    # One worker runs empty for it, or it would wait for ever.
                    kept = ready[0]

    def _lost(self, ticket: Ticket, why: str) -> None:
        ticket.fail(WorkerLost(f"worker process lost while it read the study: {why}"))

    def _worker(self, device: Device, count: int) -> Worker:
        return Worker(
            Setup.of(self._settings, device.name, device.runtime, count),
            device,
            study_timeout_s=self._settings.models.study_timeout_s,
            changed=self._dispatch,
            lost=self._lost,
        )


def _key(task: StudyTask) -> Key:
    return task.study_uid, task.revision, task.models


def _load(worker: Worker) -> int:
    return worker.load
