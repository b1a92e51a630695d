"""One worker process, kept alive: started, listened to, and started again when it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import pacs_bridge
from pacs_bridge.workers.devices import Device
from pacs_bridge.workers.failures import WorkerLost
from pacs_bridge.workers.messages import (
    Begin,
    Done,
    Failed,
    FromWorker,
    Pulse,
    Ready,
    Refresh,
    Step,
    Stop,
    ToWorker,
)
from pacs_bridge.workers.setup import Setup
from pacs_bridge.workers.state import WorkerState
from pacs_bridge.workers.ticket import Ticket

log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Before a worker that ended is started again; doubles as long as it doesn't stay alive."""
STEADY_S = 60.0
"""A process that lived this long, or read a study, was no failed start."""
SILENT_S = 300.0
"""A process that is not heard of for so long hangs."""
STOP_S = 10.0
STARTS_TRIED = 3
"""A process that ends so often before it was ever ready will not become so by itself."""


class Worker:
    """A worker process as the server sees it. Threads share it.

    Args:
        setup: what the process is told.
        device: what it runs on.
        study_timeout_s: a study that takes longer hangs: its process is ended.
        changed: called whenever a place may have become free.
        lost: called with every study whose process ended under it.
    """

    def __init__(
        self,
        setup: Setup,
        device: Device,
        *,
        study_timeout_s: float,
        changed: Callable[[], None],
        lost: Callable[[Ticket, str], None],
    ) -> None:
        self.setup = setup
        self.device = device
        self.first: Future[Ready] = Future()
        """The first process's report, or :class:`WorkerLost` when none came to make one."""
        self._study_timeout_s = study_timeout_s
        self._changed = changed
        self._lost = lost
        self._lock = threading.Lock()
        """Guards whether it is ready, its studies and its outbox: they change together."""
        self._stopping = threading.Event()
        self._tickets: dict[int, Ticket] = {}
        self._outbox: SimpleQueue[ToWorker | None] = SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._alive = False
        self._ready: Ready | None = None
        self._pulse: Pulse | None = None
        self._heard = self._started = time.monotonic()
        self._starts = self._done = self._failed = 0
        self._problem = ""
        self._thread = threading.Thread(target=self._keep, name=f"worker {setup.name}", daemon=True)

    # what the pool asks ------------------------------------------------------------------

    @property
    def ready(self) -> bool:
        """Whether it can take a study."""
        return self._ready is not None and not self._stopping.is_set()

    @property
    def load(self) -> int:
        """Studies it reads."""
        return len(self._tickets)

    def start(self) -> None:
        """Start the process; :attr:`first` says when it is ready."""
        self._thread.start()

    def take(self, ticket: Ticket) -> bool:
        """Give it a study; False when it has no place for it, or none of its own if it needs that.

        Never waits for the process.
        """
        with self._lock:
            alone = ticket.alone or any(other.alone for other in self._tickets.values())
            places = 1 if alone else self.setup.studies_at_once
            if not self.ready or len(self._tickets) >= places:
                return False
            ticket.since = time.monotonic()
            self._tickets[ticket.number] = ticket
            self._outbox.put(Begin(ticket.number, ticket.task))
        ticket.taken.set()
        return True

    def refresh(self) -> None:
        """Have it look for new versions of its models."""
        self._outbox.put(Refresh())

    def stop(self) -> None:
        """End the process; studies under way are told nothing, they are the pool's affair."""
        self._stopping.set()
        self._outbox.put(Stop())
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        self._kill()
        if self._thread.is_alive():
            self._thread.join(STOP_S)

    def state(self) -> WorkerState:
        """How it stands."""
        with self._lock:
            tickets = tuple(ticket.state for ticket in self._tickets.values())
        pulse, ready, process = self._pulse, self._ready, self._process
        state: Literal["starting", "ready", "restarting", "stopped"] = "ready"
        if self._stopping.is_set():
            state = "stopped"
        elif ready is None:
            state = "starting" if self._starts <= 1 else "restarting"
        return WorkerState(
            name=self.setup.name,
            device=ready.device if ready else "",
            hardware=self.device.hardware,
            state=state,
            pid=process.pid if process and self._alive else None,
            seconds=round(time.monotonic() - self._started, 1),
            restarts=max(0, self._starts - 1),
            studies_at_once=self.setup.studies_at_once,
            studies=tickets,
            done=self._done,
            failed=self._failed,
            engine=pulse.engine if pulse else None,
            problem=self._problem,
        )

    # its thread --------------------------------------------------------------------------

    def _keep(self) -> None:
        wait_s = FIRST_WAIT_S
        while not self._stopping.is_set():
            done_before = self._done
            self._starts += 1
            self._started = time.monotonic()
            why = self._live()
            if self._stopping.is_set():
                break
            self._problem = why
            log.error("worker %s: %s", self.setup.name, why)
            if self._starts >= STARTS_TRIED and not self.first.done():
                self.first.set_exception(WorkerLost(f"worker {self.setup.name}: {why}"))
            steady = self._done > done_before or time.monotonic() - self._started > STEADY_S
            wait_s = FIRST_WAIT_S if steady else min(2 * wait_s, LONGEST_WAIT_S)
            self._stopping.wait(wait_s)

    def _live(self) -> str:
        """One process from start to end; why it ended."""
        try:
            connection, process = self._spawn()
        except OSError as error:
            return f"could not be started: {error}"
        why = ""
        try:
            while True:
                if connection.poll(1.0):
                    self._heard = time.monotonic()
                    self._take(connection.recv())
                elif not self._stopping.is_set():
                    why = self._hangs()
                    if why:
                        break
        except (EOFError, OSError):
            pass  # it ended; the exit status says how
        except Exception:  # the loop boundary: whatever it said, the next process must come
            log.exception("worker %s", self.setup.name)
            why = "could not be understood and was ended"
        finally:
            with self._lock:
                self._ready = None
                orphans, self._tickets = list(self._tickets.values()), {}
                self._outbox.put(None)
            self._kill()
            status = process.wait()
            self._alive = False
            connection.close()
        why = why or f"its process {_ended(status)}"
        for ticket in orphans:
            self._failed += 1
            self._lost(ticket, why)
        self._changed()
        return why

    def _spawn(self) -> tuple[Connection, subprocess.Popen[bytes]]:
        # A pair of connected sockets: nobody else can ever reach the worker, and it sees the
        # end of the file when this process is gone, however it went.
        ours, theirs = socket.socketpair()
        root = str(Path(pacs_bridge.__file__).resolve().parents[1])
        path = os.pathsep.join(x for x in (root, os.environ.get("PYTHONPATH", "")) if x)
        command = [sys.executable, "-m", "pacs_bridge.workers.process", str(theirs.fileno())]
        with theirs:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=2,  # what libraries print belongs into the log
                env=os.environ | {"PYTHONPATH": path} | dict(self.device.environment),
                pass_fds=[theirs.fileno()],
                # Ctrl-C in a terminal reaches the server alone, which ends its workers.
                start_new_session=True,
            )
        connection = Connection(ours.detach())
        self._heard = time.monotonic()
        self._process, self._alive, self._pulse = process, True, None
        with self._lock:
            self._outbox = SimpleQueue()
            self._outbox.put(self.setup)
        threading.Thread(
            target=_post, args=(connection, self._outbox), name=f"to {self.setup.name}", daemon=True
        ).start()
        return connection, process

    def _take(self, message: FromWorker) -> None:
        if isinstance(message, Pulse):
            self._pulse = message
        elif isinstance(message, Ready):
            self._ready, self._problem = message, ""
            for name, failure in message.failures.items():
                log.error("worker %s: model %s: %s", self.setup.name, name, failure.message)
            if not self.first.done():
                self.first.set_result(message)
            log.info("worker %s: ready on %s", self.setup.name, message.device)
            self._changed()
        elif isinstance(message, Step):
            ticket = self._tickets.get(message.number)
            if ticket is not None:
                ticket.step = message.step
                ticket.told(message.step)
        else:
            self._finish(message)

    def _finish(self, message: Done | Failed) -> None:
        with self._lock:
            ticket = self._tickets.pop(message.number, None)
        if ticket is None:
            return
        if isinstance(message, Done):
            self._done += 1
            ticket.finish(replace(message.outcome, worker=self.setup.name))
        else:
            self._failed += 1
            log.warning("worker %s: %s", self.setup.name, message.failure.trace)
            ticket.fail(message.failure.error())
        self._changed()

    def _hangs(self) -> str:
        """Why the process must be ended; empty while all is well."""
        now = time.monotonic()
        if now - self._heard > SILENT_S:
            return f"was not heard of for {SILENT_S:.0f} s and was ended"
        with self._lock:
            late = [t for t in self._tickets.values() if now - t.since > self._study_timeout_s]
        if late:
            return (
                f"read study {late[0].task.study_uid} for more than {self._study_timeout_s:.0f} s "
                f"(models.study_timeout_s; step: {late[0].step or 'none'}) and was ended"
            )
        return ""

    def _kill(self) -> None:
        """End the process and whatever it started."""
        process = self._process
        if process is not None and self._alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)


def _post(connection: Connection, outbox: SimpleQueue[ToWorker | None]) -> None:
    """Send what is to be sent; a process that doesn't listen keeps nobody else waiting."""
    # A process that has just ended: its own thread sees that and speaks for its studies.
    with contextlib.suppress(OSError):
        while (message := outbox.get()) is not None:
            connection.send(message)


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    return f"was ended by {name}{hint}"
