"""A listener process: takes objects in; what needs the rest of the house it asks the server.

``python -m pacs_bridge.dimse.receiver.process FD`` is the stem that they branch off: what has to be
imported it has imported, so that one more, or one anew, is there at once and shares its memory.
That socket and the listening ones are inherited, and nothing else.
"""

from __future__ import annotations

import itertools
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from pacs_bridge.dimse.accepted import Door, Refusal
from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.ports import Ports
from pacs_bridge.dimse.receiver.messages import (
    Ask,
    Begun,
    Enter,
    Failed,
    Follow,
    Leave,
    Serve,
    Served,
    Setup,
    Stop,
    Stored,
    Told,
)
from pacs_bridge.dimse.receiver.server import OwnPath
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.dimse.tls import server_context
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import open_store

_log = logging.getLogger("pacs_bridge.dimse.receiver.process")


class Line:
    """The connection to the server: many threads ask, each gets its own answer.

    Args:
        connection: to the server.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._open: dict[int, Future[Any]] = {}

    def ask(self, what: Ask) -> Any:
        """The server's answer.

        Raises:
            RuntimeError: it failed there.
            OSError: the server is gone.
        """
        number, answer = next(self._numbers), Future[Any]()
        self._open[number] = answer
        with self._lock:
            self._connection.send((number, what))
        said = answer.result()
        if isinstance(said, Failed):
            raise RuntimeError(said.why)
        return said

    def listen(self) -> Stop | None:
        """Hand out answers until the server says stop, or is gone (None)."""
        try:
            while True:
                message = self._connection.recv()
                if isinstance(message, Stop):
                    return message
                number, said = message
                self._open.pop(number).set_result(said)
        except (EOFError, OSError):
            return None


class _SharedDoor(Door):
    """Counts associations at the server, over all processes."""

    def __init__(self, settings: ListenerSettings, line: Line) -> None:
        super().__init__(settings)
        self._line = line

    def enter(self, address: str, calling: str) -> Refusal | None:
        refusal: Refusal | None = self._line.ask(Enter(address, calling))
        return refusal

    def leave(self, address: str, calling: str) -> None:
        self._line.ask(Leave(address, calling))


def _asking(line: Line, number: int) -> Callable[[Asked], Answered]:
    """The handler of a service whose real one is the server's."""

    def handle(asked: Asked) -> Answered:
        served: Served = line.ask(Serve(number, asked))
        then = served.then
        if then is None:
            return served.answered

        def follow() -> Event:
            event: Event = line.ask(Follow(then))
            return replace(event, done=lambda status: line.ask(Told(then, status)))

        return replace(served.answered, then=follow)

    return handle


def listen(connection: Connection) -> int:
    """Take objects in until the server says stop, or is gone; the exit status."""
    setup: Setup = connection.recv()
    logging.getLogger("pacs_bridge").setLevel(setup.log_level)
    line = Line(connection)
    stopping: Future[Stop | None] = Future()

    def hear() -> None:
        stopping.set_result(line.listen())
        line.listen()  # answers still come while what is being kept is finished

    threading.Thread(target=hear, name="server", daemon=True).start()
    line.ask(Begun(os.getpid()))
    settings = setup.settings
    inbox = Inbox(
        Path(setup.inbox_folder),
        open_store(setup.database_url),
        setup.minimum_free_gb,
        sync=setup.sync,
    )
    services = [
        Service(each.sop_class_uid, each.kinds, _asking(line, number), each.peer_is_scp)
        for number, each in enumerate(setup.services)
    ]
    ports = Ports(
        None if setup.plain is None else socket.socket(fileno=setup.plain),
        None if setup.tls is None else socket.socket(fileno=setup.tls),
        server_context(settings.tls) if settings.tls is not None else None,
    )
    door = _SharedDoor(settings, line)
    path = OwnPath(
        House(settings, inbox, lambda instance: line.ask(Stored(instance)), services, door)
    )
    path.start(ports)
    stop = stopping.result()
    if stop is None:
        return 1  # nobody would hear of what is stored
    path.stop(stop.grace_s)
    return 0


def main(descriptor: int) -> None:
    """Branch off a listener process for every socket that comes, until the server is gone."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they go to all; the server says when it is over
    signal.signal(signal.SIGCHLD, _ended)
    with socket.socket(fileno=descriptor) as server:
        while True:
            _, sockets, *_ = socket.recv_fds(server, 1, 1)
            if not sockets:
                break
            if os.fork():
                os.close(sockets[0])
            else:
                server.close()
                _branch(sockets[0])
    with suppress(ChildProcessError):
        while True:  # they end with the server
            os.waitpid(-1, 0)


def _branch(descriptor: int) -> NoReturn:
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        status = listen(Connection(descriptor))
    except Exception:  # noqa: BLE001 - the boundary of this process: the server starts another
        _log.exception("a listener process failed")
    finally:
        os._exit(status)


def _ended(*_: object) -> None:
    """Say how processes ended that nobody told to."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if code := os.waitstatus_to_exitcode(ended[1]):
                how = signal.Signals(-code).name if code < 0 else f"status {code}"
                _log.error("listener process %d ended with %s", ended[0], how)


if __name__ == "__main__":
    main(int(sys.argv[1]))
