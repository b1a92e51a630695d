"""Storage and Verification SCP: takes objects in from scanners, PACS and routers.

What takes them in is one of two data paths behind this interface, both under the same contract:
our own (``receiver/``), straight from the connection to the file, and pynetdicom's (``library``).
Negotiation and every outward service are pynetdicom's with either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from pacs_bridge.dimse.accepted import STORAGE_CLASSES, TRANSFER_SYNTAXES, Door
from pacs_bridge.dimse.house import House
from pacs_bridge.dimse.library import LibraryPath
from pacs_bridge.dimse.ports import Ports, open_ports
from pacs_bridge.dimse.receiver import OwnPath, ProcessesPath
from pacs_bridge.dimse.services import Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance

__all__ = ["STORAGE_CLASSES", "TRANSFER_SYNTAXES", "DataPath", "Listener"]

_log = logging.getLogger(__name__)


class DataPath(Protocol):
    """What takes objects from listening sockets into the inbox."""

    def __init__(self, house: House) -> None: ...

    def start(self, ports: Ports) -> None:
        """Serve what arrives at the ports; returns at once."""

    def stop(self, grace_s: float) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""


def _path(settings: ListenerSettings) -> type[DataPath]:
    if settings.data_path == "pynetdicom":
        return LibraryPath
    return ProcessesPath if settings.processes > 1 else OwnPath


class Listener:
    """Takes objects over DICOM associations into the inbox.

    Args:
        settings: AE title, addresses, rules and limits; ``data_path`` says how.
        inbox: where objects are kept.
        on_stored: called for every object kept, a repeated one too, before the sender is told
            success: from the association's thread, or that of its process.
        services: what else is answered, of DIMSE-N.
        on_left: called with a calling AE title when the last of its associations is over.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        inbox: Inbox,
        on_stored: Callable[[Instance], None] = lambda instance: None,
        services: Sequence[Service] = (),
        on_left: Callable[[str], None] = lambda title: None,
    ) -> None:
        self._settings = settings
        self._inbox = inbox
        self._on_stored = on_stored
        self._services = tuple(services)
        self._on_left = on_left
        self._ports: Ports | None = None
        self._path: DataPath | None = None

    @property
    def port(self) -> int:
        """The port without TLS in force; where the settings say 0, known once started."""
        if self._ports is not None and self._ports.plain is not None:
            return int(self._ports.plain.getsockname()[1])
        return self._settings.port

    @property
    def tls_port(self) -> int | None:
        """The port with TLS in force; None: there is none."""
        if self._ports is not None and self._ports.tls is not None:
            return int(self._ports.tls.getsockname()[1])
        return self._settings.tls.port if self._settings.tls is not None else None

    def start(self) -> None:
        """Begin to listen; returns at once.

        Raises:
            BridgeError: an address can't be listened on (in use, not ours, not allowed).
            SettingsError: a file of ``listener.tls`` can't be used.
        """
        settings = self._settings
        ports = open_ports(settings)
        door = Door(settings, self._on_left)
        house = House(settings, self._inbox, self._on_stored, self._services, door)
        path = _path(settings)(house)
        try:
            path.start(ports)
        except BaseException:
            ports.close()
            raise
        self._ports, self._path = ports, path
        for name, port in (("", self._settings.plain and self.port), (" with TLS", self.tls_port)):
            if port:
                _log.info(
                    "listening as %s on %s:%d%s", settings.ae_title, settings.host, port, name
                )

    def stop(self, grace_s: float = 5.0) -> None:
        """Take no new associations, let objects being kept be finished, end the rest."""
        ports, path = self._ports, self._path
        if ports is None or path is None:
            return
        # started again, it listens where it did
        settings = self._settings.model_copy(update={"port": self.port})
        if settings.tls is not None:
            tls = settings.tls.model_copy(update={"port": self.tls_port})
            settings = settings.model_copy(update={"tls": tls})
        self._settings = settings
        self._ports = self._path = None
        path.stop(grace_s)
        ports.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
