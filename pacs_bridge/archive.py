"""An archive that studies are looked for in and fetched from: over DIMSE or over DICOMweb.

Used by ``priors/`` for what a study is compared with, and by ``pull/`` for what is to be read.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from pacs_bridge.dicomweb.client import WebArchive
from pacs_bridge.dimse.retrieve import Retriever, Wanted
from pacs_bridge.errors import PeerBusy, PeerRefused
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import meta_header
from pacs_bridge.store import Instance

Level = Literal["STUDY", "SERIES", "IMAGE"]
Kept = Callable[[Instance], None]
"""Told of each object that is kept, where it comes to us over the request itself."""


class Archive(Protocol):
    """What is asked of an archive. A call that comes to nothing raises a ``PeerError``."""

    @property
    def method(self) -> str:
        """How objects come, for the audit trail."""

    def find(
        self, level: Level, keys: Mapping[str, str], fields: Sequence[str] = ()
    ) -> list[Dataset]:
        """What matches at a level; ``keys`` hold the UIDs of the levels above.

        Args:
            level: of the query (PS3.4 C.6.2.1).
            keys: what has to match, by keyword.
            fields: keywords asked for.
        """

    def fetch(self, wanted: Wanted, *, prior: bool, kept: Kept = lambda instance: None) -> int:
        """Bring objects into the inbox; how many came.

        Args:
            wanted: what.
            prior: they come to be compared with, and not to be read. By C-MOVE they come to the
                listener, and what we asked for decides (``arrivals``).
            kept: by C-MOVE it is the listener that is told.
        """

    def look(self, wanted: Wanted) -> Dataset | None:
        """The header of one object that isn't kept; None where it can only come to stay."""


@dataclass(frozen=True)
class DimseArchive:
    """By C-FIND, and C-MOVE or C-GET."""

    peer: Retriever
    inbox: Inbox
    ae_title: str
    method: str

    def __str__(self) -> str:
        return self.ae_title

    def find(
        self, level: Level, keys: Mapping[str, str], fields: Sequence[str] = ()
    ) -> list[Dataset]:
        """See :class:`Archive`."""
        asked = dict.fromkeys(fields, "") | dict(keys)
        return self.peer.find(asked | {"QueryRetrieveLevel": level})

    def fetch(self, wanted: Wanted, *, prior: bool, kept: Kept = lambda instance: None) -> int:
        """See :class:`Archive`."""
        if self.method == "c-move":
            return self.peer.move(wanted)

        def keep(encoded: bytes | memoryview, **said: str) -> object:
            instance = self.inbox.receive(encoded, **said, source_ae=self.ae_title, fetched=prior)
            kept(instance)
            return instance

        return self.peer.get(wanted, keep)

    def look(self, wanted: Wanted) -> Dataset | None:
        """See :class:`Archive`."""
        if self.method == "c-move":
            return None
        seen: list[Dataset] = []

        def keep(encoded: bytes | memoryview, *, transfer_syntax_uid: str, **_: str) -> object:
            seen.append(_header(bytes(encoded), transfer_syntax_uid))
            return None

        self.peer.get(wanted, keep)
        return seen[0] if seen else None


@dataclass(frozen=True)
class DicomWebArchive:
    """By QIDO-RS and WADO-RS."""

    client: WebArchive
    inbox: Inbox
    ae_title: str = "WEB"
    """What its studies count as sent by: DICOMweb names no sender."""
    method: str = "dicomweb"

    def __str__(self) -> str:
        return str(self.client)

    def find(
        self, level: Level, keys: Mapping[str, str], fields: Sequence[str] = ()
    ) -> list[Dataset]:
        """See :class:`Archive`."""
        given = dict(keys)
        path = "studies"
        if level != "STUDY":
            path += f"/{given.pop('StudyInstanceUID')}/series"
        if level == "IMAGE":
            path += f"/{given.pop('SeriesInstanceUID')}/instances"
        return self.client.search(path, given, fields)

    def fetch(self, wanted: Wanted, *, prior: bool, kept: Kept = lambda instance: None) -> int:
        """See :class:`Archive`."""
        count = 0
        for one in wanted.instance_uids or (None,):
            objects = self.client.retrieve(wanted.study_uid, wanted.series_uid, wanted.until, one)
            for content in objects:
                kept(self.inbox.import_content(content, self.ae_title, fetched=prior))
                count += 1
                wanted.came(count)
                why = wanted.too_much(count)
                if why:
                    raise PeerBusy(f"{self}: {why}")
        if not count:
            raise PeerRefused(f"{self} answered without a single object")
        return count

    def look(self, wanted: Wanted) -> Dataset | None:
        """See :class:`Archive`."""
        one = replace(wanted, instance_uids=wanted.instance_uids[:1])
        for content in self.client.retrieve(
            one.study_uid, one.series_uid, one.until, *one.instance_uids
        ):
            return dcmread(io.BytesIO(content), stop_before_pixels=True, force=True)
        return None


def listed(value: Any) -> list[Any]:
    """The values of an element, none where it is empty."""
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple, MultiValue)) else [value]


def count_of(value: Any) -> int | None:
    """A count that an archive gives; None where it gives none."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _header(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    # The UIDs of the meta header are of no consequence to whoever reads the rest.
    head = meta_header("1.2", "1.2", transfer_syntax_uid, "")
    return dcmread(io.BytesIO(head + encoded), stop_before_pixels=True)
