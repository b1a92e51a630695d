"""Several listener processes on the same ports, and the server's side of them.

They branch off one stem and inherit the listening sockets, so that the system hands each
connection to one that waits, none is lost with a process, and no other program can join the port
(as SO_REUSEPORT allows). Who may enter is counted here; services and ``on_stored`` are called
here, as with one process.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection

from pacs_bridge.dimse.house import House
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
from pacs_bridge.dimse.services import Event

_log = logging.getLogger(__name__)

_AGAIN_S = 1.0
_SLOW = (Serve, Follow, Told)
"""Answered by threads of their own: services may take their time."""


class ProcessesPath:
    """See :class:`pacs_bridge.dimse.listener.DataPath`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._pool = ThreadPoolExecutor(8, "dicom-service")
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._stem: _Stem
        self._children: dict[threading.Thread, _Child] = {}

    def start(self, ports: Ports) -> None:
        """Serve what arrives at the ports; returns while the processes are still starting."""
        house, inbox = self._house, self._house.inbox
        plain, tls = (
            None if each is None else each.fileno() for each in (ports.plain, ports.tls)
        )  # fmt: skip
        setup = Setup(
            settings=house.settings,
            inbox_folder=str(inbox.folder),
            minimum_free_gb=inbox.shelves.minimum_free_gb,
            sync=inbox.shelves.sync,
            database_url=inbox.store.engine.url.render_as_string(hide_password=False),
            services=tuple(
                Offered(each.sop_class_uid, each.kinds, each.peer_is_scp) for each in house.services
            ),
            plain=plain,
            tls=tls,
            log_level=_log.getEffectiveLevel(),
        )
        self._stem = _Stem([each for each in (plain, tls) if each is not None])
        for number in range(house.settings.processes):
            threading.Thread(
                target=self._keep, args=(setup,), name=f"listener {number}", daemon=True
            ).start()

    def stop(self, grace_s: float) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        with self._lock:
            self._stopping.set()
            children = dict(self._children)
        if not all(child.pid for child in children.values()):
            self._stem.kill()  # who has not begun does not have to
        for child in children.values():
            child.send(Stop(grace_s))
        until = time.monotonic() + grace_s + 5
        for thread, child in children.items():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                child.kill()
                thread.join(5)
        self._stem.stop()
        self._pool.shutdown(wait=False)

    def _keep(self, setup: Setup) -> None:
        """See to it that one process is there."""
        me = threading.current_thread()
        while True:
            with self._lock:
                if self._stopping.is_set():
                    return
                child = self._children[me] = _Child(self._stem.branch(), setup)
            for number, what in child.asks():
                if isinstance(what, _SLOW):
                    self._pool.submit(self._answer, child, number, what)
                else:
                    self._answer(child, number, what)
            self._gone(child)
            if self._stopping.is_set():
                return
            _log.error("listener process %s has ended and is started anew", child.pid or "")
            self._stopping.wait(_AGAIN_S)

    def _gone(self, child: _Child) -> None:
        """What a process leaves when it ends: its associations, and events nobody will answer."""
        try:
            for address, calling in child.inside.elements():
                self._house.door.leave(address, calling)
            for event in list(child.events.values()):
                event.done(None)
        except Exception:  # noqa: BLE001 - the boundary: another process is to be started
            _log.exception("what listener process %d left could not be seen to", child.pid)

    # what processes ask -------------------------------------------------------------------

    def _answer(self, child: _Child, number: int, what: Ask) -> None:
        try:
            said = self._said(child, what)
        except Exception as error:  # noqa: BLE001 - the boundary: it is raised in the process
            _log.exception("%s of a listener process failed", type(what).__name__)
            said = Failed(f"{type(error).__name__}: {error}")
        child.send((number, said))

    def _said(self, child: _Child, what: Ask) -> Answer:
        house = self._house
        if isinstance(what, Enter):
            refusal = house.door.enter(what.address, what.calling)
            child.inside[what.address, what.calling] += refusal is None
            return refusal
        if isinstance(what, Leave):
            house.door.leave(what.address, what.calling)
            child.inside[what.address, what.calling] -= 1
        elif isinstance(what, Stored):
            house.on_stored(what.instance)
        elif isinstance(what, Serve):
            answered = house.services[what.service].handle(what.asked)
            if answered.then is None:
                return Served(answered, None)
            number = next(child.numbers)
            child.then[number] = answered.then
            return Served(replace(answered, then=None), number)
        elif isinstance(what, Follow):
            event = child.events[what.then] = child.then.pop(what.then)()
            return Event(event.sop_class_uid, event.sop_instance_uid, event.number, event.dataset)
        elif isinstance(what, Told):
            child.events.pop(what.then).done(what.status)
        else:
            child.pid = what.pid
        return None


class _Child:
    """The server's end of one listener process.

    Args:
        connection: to it.
        setup: what it works with.
    """

    def __init__(self, connection: Connection, setup: Setup) -> None:
        self.pid = 0
        """0: it has not begun."""
        self.inside: Counter[tuple[str, str]] = Counter()
        """Its associations, by address and calling AE title."""
        self.then: dict[int, Callable[[], Event]] = {}
        """What follows its responses, until it is asked for."""
        self.events: dict[int, Event] = {}
        """What followed, until it is told how that went."""
        self.numbers = itertools.count()
        self._connection = connection
        self._lock = threading.Lock()
        self.send(setup)

    def asks(self) -> Iterator[tuple[int, Ask]]:
        """What it asks, numbered, until it is gone."""
        with self._connection as connection:
            try:
                while True:
                    yield connection.recv()
            except (EOFError, OSError):
                _log.debug("listener process %d hung up", self.pid)

    def send(self, message: object) -> None:
        """To the process, if it is there."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            _log.debug("listener process %d is gone before it was answered", self.pid)

    def kill(self) -> None:
        """It had its time."""
        _log.error("listener process %d does not end and is killed", self.pid)
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)


class _Stem:
    """The process that listener processes branch off; started anew when it is gone.

    Args:
        inherited: file descriptors of the listening sockets.
    """

    def __init__(self, inherited: Sequence[int]) -> None:
        self._inherited = inherited
        self._plant()

    def branch(self) -> Connection:
        """A connection to a process that is about to begin; at its end already where there is
        no stem now."""
        if self._process.poll() is not None:
            self._control.close()
            self._plant()
        mine, its = socket.socketpair()
        with its:
            try:
                socket.send_fds(self._control, [b"+"], [its.fileno()])
            except OSError as error:
                _log.error("no listener process can be started: %s", error)
        return Connection(mine.detach())

    def kill(self) -> None:
        """No more processes; those that have begun live on."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """Its processes have ended: have it end too."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self.kill()

    def _plant(self) -> None:
        self._control, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pacs_bridge.dimse.receiver.process", str(its.fileno())],
                pass_fds=[its.fileno(), *self._inherited],
                stdin=subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},  # a fork takes no threads along
            )
