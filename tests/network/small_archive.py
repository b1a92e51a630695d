"""An archive in this process, on pynetdicom: C-FIND and C-GET over files, with its own habits."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

from pacs_bridge.settings import PeerSettings

_UIDS = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


@dataclass
class SmallArchive:
    """What it has, what it was asked, and how it behaves.

    Args:
        images: its files.
        counts: it says how many images a study or series has.
        image_level: it answers C-FIND and C-GET at IMAGE level.
        image_retrieval: it answers C-GET at IMAGE level.
        thickness: it tells SliceThickness.
        lose: images that C-GET claims to have sent and doesn't.
    """

    images: list[Dataset]
    counts: bool = True
    image_level: bool = True
    image_retrieval: bool = True
    thickness: bool = False
    lose: int = 0
    asked: list[str] = field(default_factory=list)
    settings: PeerSettings | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, paths: Sequence[Path]) -> None:
        self.images += [dcmread(path) for path in paths]

    def find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        """Matches UIDs and nothing else, as archives do with what they don't support."""
        keys: Any = event.identifier
        level = str(keys.QueryRetrieveLevel)
        with self._lock:
            self.asked.append(f"find {level}")
        if level == "IMAGE" and not self.image_level:
            yield 0xA900, None
            return
        found: dict[str, list[Dataset]] = {}
        for image in self._matching(keys, level):
            found.setdefault(str(image[_UIDS[level]].value), []).append(image)
        for images in found.values():
            answer = Dataset()
            answer.QueryRetrieveLevel = level
            if "SpecificCharacterSet" in images[0]:
                answer.SpecificCharacterSet = images[0].SpecificCharacterSet
            for element in keys:
                if element.keyword in images[0] and element.keyword != "SliceThickness":
                    answer[element.keyword] = images[0][element.keyword]
            if self.counts and level != "IMAGE":
                setattr(answer, f"NumberOf{level.title()}RelatedInstances", len(images))
            if self.thickness and level == "IMAGE":
                answer.SliceThickness = images[0].SliceThickness
            yield 0xFF00, answer
        yield 0x0000, None

    def get(self, event: evt.Event) -> Iterator[Any]:
        keys: Any = event.identifier
        level = str(keys.QueryRetrieveLevel)
        with self._lock:
            self.asked.append(f"get {level}")
        if level == "IMAGE" and not (self.image_level and self.image_retrieval):
            yield 1
            yield 0xA900, None
            return
        images = self._matching(keys, level)
        images = images[: len(images) - self.lose]
        yield len(images)
        for image in images:
            yield 0xFF00, image

    def _matching(self, keys: Dataset, level: str) -> list[Dataset]:
        found = self.images
        for name in ("STUDY", "SERIES", "IMAGE"):
            wanted = keys.get(_UIDS[name])
            if wanted:
                uids = [wanted] if isinstance(wanted, str) else list(wanted)
                found = [image for image in found if image[_UIDS[name]].value in uids]
            if name == level:
                break
        return found


def _at_once(event: evt.Event) -> None:
    """Send what is small, too, without waiting for more."""
    transport: Any = event.assoc.dul.socket
    transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


@contextmanager
def small_archive(archive: SmallArchive, port: int = 0) -> Iterator[SmallArchive]:
    """Run it, at a free port or a given one; it is called ARCHIVE."""
    ae = AE("ARCHIVE")
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    ae.add_supported_context(StudyRootQueryRetrieveInformationModelGet)
    for kind in (CTImageStorage, SecondaryCaptureImageStorage):
        ae.add_supported_context(kind, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _at_once), (evt.EVT_C_FIND, archive.find),
        (evt.EVT_C_GET, archive.get),
    ]  # fmt: skip
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    archive.settings = PeerSettings(
        ae_title="ARCHIVE", host="127.0.0.1", port=server.server_address[1]
    )
    try:
        yield archive
    finally:
        server.shutdown()
