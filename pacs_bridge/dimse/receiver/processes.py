"""Several listener processes on the same ports, and the server's side of them.

They inherit the listening sockets, so that the system hands each connection to one that waits,
none is lost with a process, and no other program can join the port (as SO_REUSEPORT allows). Who
may enter is counted here; services and ``on_stored`` are called here, as with one process.
"""

from __future__ import annotations

import itertools
import logging
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection

from pacs_bridge.dimse.accepted import Door
from pacs_bridge.dimse.ports import Ports
from pacs_bridge.dimse.receiver.messages import (
    Answer,
    Ask,
    Enter,
    Failed,
    Follow,
    Leave,
    Offered,
    Serve,
    Served,
    Setup,
    Stop,
    Stored,
    Told,
)
from pacs_bridge.dimse.services import Event, Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance

_log = logging.getLogger(__name__)

_AGAIN_S = 1.0
_SLOW = (Serve, Follow, Told)
"""Answered by threads of their own: services may take their time."""


class ProcessesPath:
    """See :class:`pacs_bridge.dimse.listener.DataPath`."""

    def __init__(
        self,
        settings: ListenerSettings,
        inbox: Inbox,
        on_stored: Callable[[Instance], None],
        services: Sequence[Service],
        on_left: Callable[[str], None] = lambda title: None,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._on_stored = on_stored
        self._services = tuple(services)
        self._door = Door(settings, on_left)
        self._then: dict[int, Callable[[], Event] | Event] = {}
        self._numbers = itertools.count()
        self._pool = ThreadPoolExecutor(8, "dicom-service")
        self._children: list[_Child] = []

    def start(self, ports: Ports) -> None:
        """Serve what arrives at the ports; returns when the processes are started."""
        listening = [None if each is None else each.fileno() for each in (ports.plain, ports.tls)]
        setup = Setup(
            settings=self._settings,
            inbox_folder=str(self._inbox.folder),
            minimum_free_gb=self._inbox.minimum_free_gb,
            sync=self._inbox.sync,
            database_url=self._inbox.store.engine.url.render_as_string(hide_password=False),
            services=tuple(
                Offered(each.sop_class_uid, each.kinds, each.peer_is_scp) for each in self._services
            ),
            plain=listening[0],
            tls=listening[1],
            log_level=_log.getEffectiveLevel(),
        )
        for number in range(self._settings.processes):
            self._children.append(_Child(number, setup, self))

    def stop(self, grace_s: float) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        children, self._children = self._children, []
        for child in children:
            child.stop(grace_s)
        for child in children:
            child.wait(grace_s + 5)
        self._pool.shutdown(wait=False)

    # what processes ask -------------------------------------------------------------------

    def answer(self, child: _Child, number: int, what: Ask) -> None:
        """Answer a process, at once or from another thread."""
        if isinstance(what, _SLOW):
            self._pool.submit(self._answer, child, number, what)
        else:
            self._answer(child, number, what)

    def gone(self, inside: Counter[tuple[str, str]]) -> None:
        """A process ended with these associations."""
        for address, calling in inside.elements():
            self._door.leave(address, calling)

    def _answer(self, child: _Child, number: int, what: Ask) -> None:
        try:
            said = self._said(child, what)
        except Exception as error:  # noqa: BLE001 - the boundary: it is raised in the process
            _log.exception("%s of a listener process failed", type(what).__name__)
            said = Failed(f"{type(error).__name__}: {error}")
        child.send((number, said))

    def _said(self, child: _Child, what: Ask) -> Answer:
        if isinstance(what, Enter):
            refusal = self._door.enter(what.address, what.calling)
            child.inside[what.address, what.calling] += refusal is None
            return refusal
        if isinstance(what, Leave):
            self._door.leave(what.address, what.calling)
            child.inside[what.address, what.calling] -= 1
        elif isinstance(what, Stored):
            self._on_stored(what.instance)
        elif isinstance(what, Serve):
            answered = self._services[what.service].handle(what.asked)
            if answered.then is None:
                return Served(answered, None)
            number = next(self._numbers)
            self._then[number] = answered.then
            return Served(replace(answered, then=None), number)
        elif isinstance(what, Follow):
            then = self._then.pop(what.then)
            event = then() if not isinstance(then, Event) else then
            self._then[what.then] = event
            return Event(event.sop_class_uid, event.sop_instance_uid, event.number, event.dataset)
        else:
            told = self._then.pop(what.then)
            if isinstance(told, Event):
                told.done(what.status)
        return None


class _Child:
    """One listener process, started anew when it ends before its time."""

    def __init__(self, number: int, setup: Setup, path: ProcessesPath) -> None:
        self.inside: Counter[tuple[str, str]] = Counter()
        """Its associations, by address and calling AE title."""
        self._setup = setup
        self._path = path
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes]
        self._connection: Connection
        self._start()
        self._thread = threading.Thread(target=self._keep, name=f"listener {number}", daemon=True)
        self._thread.start()

    def send(self, message: object) -> None:
        """To the process, if it is there."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            _log.debug("a listener process is gone before it was answered")

    def stop(self, grace_s: float) -> None:
        """Have it end."""
        self._stopping.set()
        if self._heard:
            self.send(Stop(grace_s))
        else:  # it has no association yet
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Until it has ended; it has no longer than that."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            _log.error("listener process %d does not end and is killed", self._process.pid)
            self._process.kill()
            self._process.wait()
        self._thread.join(5)

    def _start(self) -> None:
        mine, its = socket.socketpair()
        inherited = [each for each in (self._setup.plain, self._setup.tls) if each is not None]
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pacs_bridge.dimse.receiver.process", str(its.fileno())],
                pass_fds=[its.fileno(), *inherited],
                stdin=subprocess.DEVNULL,
            )
        with self._lock:
            self._connection = Connection(mine.detach())
        self._heard = False
        self.send(self._setup)

    def _keep(self) -> None:
        while True:
            try:
                while True:
                    number, what = self._connection.recv()
                    self._heard = True
                    self._path.answer(self, number, what)
            except (EOFError, OSError):
                _log.debug("listener process %d hung up", self._process.pid)
            self._connection.close()
            code = self._process.wait()
            inside, self.inside = self.inside, Counter()
            self._path.gone(inside)
            if self._stopping.is_set():
                return
            _log.error("a listener process ended with %s and is started anew", code)
            time.sleep(_AGAIN_S)
            if self._stopping.is_set():
                return
            self._start()
