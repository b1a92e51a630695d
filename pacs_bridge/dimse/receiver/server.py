"""Takes connections from the listening sockets, one thread each."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Sequence

from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.ports import Ports
from pacs_bridge.dimse.receiver.association import Association

_log = logging.getLogger(__name__)

_AT_THE_DOOR = 64
"""Connections beside the associations that are allowed: they may still be told why not."""


class OwnPath:
    """See :class:`pacs_bridge.dimse.listener.DataPath`."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._most = house.settings.maximum_associations + _AT_THE_DOOR
        self._lock = threading.Lock()
        self._open: dict[Association, threading.Thread] = {}
        self._wake = (-1, -1)
        self._thread: threading.Thread | None = None

    def start(self, ports: Ports) -> None:
        """Serve what arrives at the ports; returns at once."""
        self._wake = os.pipe()
        self._thread = threading.Thread(
            target=self._accept, args=(ports.listening,), name="dicom-listener", daemon=True
        )
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        if self._thread is None:
            return
        os.write(self._wake[1], b"x")
        self._thread.join()
        self._thread = None
        for end in self._wake:
            os.close(end)
        until = time.monotonic() + grace_s
        self._house.wait_until_quiet(grace_s)
        with self._lock:
            left = dict(self._open)
        for association in left:
            association.stop()
        for thread in left.values():
            thread.join(max(0.1, until - time.monotonic()))

    def _accept(self, listening: Sequence[tuple[socket.socket, ssl.SSLContext | None]]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._wake[0], selectors.EVENT_READ)
            for each, context in listening:
                each.setblocking(False)
                selector.register(each, selectors.EVENT_READ, (each, context))
            while True:
                for key, _ in selector.select():
                    if key.data is None:
                        return
                    self._take(*key.data)

    def _take(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        try:
            connection, address = listening.accept()
        except BlockingIOError:
            return  # another process took it
        except OSError as error:
            _log.error("no connection can be taken: %s", error)
            time.sleep(0.1)  # out of file descriptors: until some are closed
            return
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = Association(self._house, connection, (address[0], address[1]), context)
        thread = threading.Thread(
            target=self._run, args=(association,), name=f"dicom {address[0]}", daemon=True
        )
        with self._lock:
            full = len(self._open) >= self._most
            if not full:
                self._open[association] = thread
        if full:
            _log.warning("%d connections are open already: %s is sent away", self._most, address[0])
            connection.close()
            return
        thread.start()

    def _run(self, association: Association) -> None:
        try:
            association.run()
        finally:
            with self._lock:
                del self._open[association]
