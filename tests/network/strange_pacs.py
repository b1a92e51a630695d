"""PACS that don't do what they should: one falls silent, one knows us for no destination."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from pacs_bridge.settings import PeerSettings


class Swallowing:
    """A port that passes everything on until the request to fetch, and nothing from then on."""

    def __init__(self, target: int, method: str) -> None:
        self._target = target
        # The abstract syntax of the request's association, or the path that is fetched.
        self._sign = {
            "c-move": b"1.2.840.10008.5.1.4.1.2.2.2",
            "c-get": b"1.2.840.10008.5.1.4.1.2.2.3",
            "dicomweb": b"Accept: multipart",
        }[method]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    def __enter__(self) -> int:
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._listening.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._listening.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                ours, _ = self._listening.accept()
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self._target))
            self._open += [ours, theirs]
            threading.Thread(target=self._pass, args=(ours, theirs, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(theirs, ours, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, watched: bool) -> None:
        fetching, messages = False, 0
        try:
            while data := source.recv(1 << 16):
                fetching = fetching or (watched and self._sign in data)
                # The association itself is let through, its request is not.
                if fetching and (messages or self._sign.startswith(b"Accept")):
                    continue
                messages += fetching
                sink.sendall(data)
            if not fetching:  # whoever waits for the end of the connection learns of it
                sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@contextlib.contextmanager
def strange(studies: Sequence[Dataset] = ()) -> Iterator[PeerSettings]:
    """A PACS that tells of studies and does not know us as a destination.

    Orthanc hangs up on strangers; others answer 0xA801 (PS3.4 C.4.2.1.5), as this one does.
    """

    def move(event: evt.Event) -> Iterator[tuple[None, None]]:
        yield None, None  # unknown destination

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if event.identifier.QueryRetrieveLevel == "STUDY":
            yield from ((0xFF00, study) for study in studies)
        yield 0x0000, None

    ae = AE("OTHER")
    for model in (
        StudyRootQueryRetrieveInformationModelFind, StudyRootQueryRetrieveInformationModelMove,
    ):  # fmt: skip
        ae.add_supported_context(model)
    handlers: list[Any] = [(evt.EVT_C_MOVE, move), (evt.EVT_C_FIND, find)]
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        yield PeerSettings(ae_title="OTHER", host="127.0.0.1", port=server.server_address[1])
    finally:
        server.shutdown()
