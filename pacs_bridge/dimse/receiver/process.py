"""A listener process: takes objects in; what needs the rest of the house it asks the server.

``python -m pacs_bridge.dimse.receiver.process FD``: that socket and the listening ones are
inherited, and nothing else.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pacs_bridge.dimse.accepted import Door, Refusal
from pacs_bridge.dimse.ports import Ports
from pacs_bridge.dimse.receiver.messages import (
    Ask,
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


def main(descriptor: int) -> None:
    """Listen until the server says stop or is gone."""
    logging.basicConfig(
        level=logging.WARNING,
        format="%(asctime)s %(levelname)-7s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    connection = Connection(descriptor)
    setup: Setup = connection.recv()
    logging.getLogger("pacs_bridge").setLevel(setup.log_level)
    line = Line(connection)
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
    settings = setup.settings
    ports = Ports(
        None if setup.plain is None else socket.socket(fileno=setup.plain),
        None if setup.tls is None else socket.socket(fileno=setup.tls),
        server_context(settings.tls) if settings.tls is not None else None,
    )
    path = OwnPath(
        settings,
        inbox,
        lambda instance: line.ask(Stored(instance)),
        services,
        door=_SharedDoor(settings, line),
    )
    path.start(ports)
    stopping: Future[Stop | None] = Future()
    threading.Thread(
        target=lambda: stopping.set_result(line.listen()), name="server", daemon=True
    ).start()
    stop = stopping.result()
    if stop is None:
        os._exit(1)  # nobody would hear of what is stored
    # its answers still come while what is being kept is finished
    threading.Thread(target=line.listen, name="server", daemon=True).start()
    path.stop(stop.grace_s)
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
