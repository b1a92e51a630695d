"""The sockets that a listener takes connections from."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from pacs_bridge.dimse.tls import server_context
from pacs_bridge.errors import BridgeError
from pacs_bridge.settings import ListenerSettings

_BACKLOG = 128  # a burst of senders doesn't wait a second


@dataclass(frozen=True)
class Ports:
    """One without TLS, one with it, or both; they listen already."""

    plain: socket.socket | None
    tls: socket.socket | None
    context: ssl.SSLContext | None
    """What connections to ``tls`` are wrapped with."""

    @property
    def listening(self) -> list[tuple[socket.socket, ssl.SSLContext | None]]:
        """Each socket, with its TLS context if it has one."""
        both = ((self.plain, None), (self.tls, self.context))
        return [(each, context) for each, context in both if each is not None]

    def close(self) -> None:
        """Let go of the addresses."""
        for each, _ in self.listening:
            each.close()


def open_ports(settings: ListenerSettings) -> Ports:
    """Begin to listen where the settings say.

    Raises:
        BridgeError: an address can't be listened on (in use, not ours, not allowed).
        SettingsError: a file of ``listener.tls`` can't be used.
    """
    context = server_context(settings.tls) if settings.tls is not None else None
    plain = _open(settings.host, settings.port, "listener.port") if settings.plain else None
    tls = None
    if settings.tls is not None:
        try:
            tls = _open(settings.host, settings.tls.port, "listener.tls.port")
        except BridgeError:
            if plain is not None:
                plain.close()
            raise
    return Ports(plain, tls, context)


def _open(host: str, port: int, key: str) -> socket.socket:
    six = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if six else socket.AF_INET,
            backlog=_BACKLOG,
            dualstack_ipv6=six and socket.has_dualstack_ipv6(),  # :: is every address
        )
    except OSError as error:
        raise BridgeError(
            f"can't listen on {host}:{port}: {error}. Is another server running there? Change "
            f"{key} or listener.host"
        ) from error
