"""Peers that answer as a test says, and our caller of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE

from pacs_bridge.dimse.peer import Peer
from pacs_bridge.settings import PeerSettings


def peer_at(port: int, timeout_s: float = 10.0, title: str = "ORTHANC") -> Peer:
    return Peer(PeerSettings(ae_title=title, host="127.0.0.1", port=port), "PREREAD", timeout_s)


@contextmanager
def scp(
    handlers: list[Any],
    contexts: list[tuple[str, list[str]]],
    called: bool = False,
) -> Iterator[int]:
    """A scripted peer, AE title ORTHANC, on a free port."""
    ae = AE("ORTHANC")
    ae.require_called_aet = called
    for name, syntaxes in contexts:
        ae.add_supported_context(name, syntaxes)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        ae.shutdown()
