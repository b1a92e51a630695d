"""STOW-RS (PS3.18 10.5): objects from the connection to the inbox, each with its outcome.

==========  ==========================================================================
Reason      What is wrong with an object (PS3.18 table I.2-2, PS3.4 B.2.3)
==========  ==========================================================================
0xA700      no room for it now
0xA701      it is larger than ``dicomweb.largest_object_mb``
0xA900      data set and file meta information disagree, or it is of another study
0xC000      it can't be understood
0xC122      its transfer syntax is not taken
0x0122      its SOP class is not taken
0x0110      it could not be kept: disk or database
==========  ==========================================================================
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydicom.dataset import Dataset
from sqlalchemy.exc import SQLAlchemyError

from pacs_bridge.dimse.accepted import STORAGE_CLASSES, TRANSFER_SYNTAXES
from pacs_bridge.errors import DiskFull, Refused
from pacs_bridge.identify import MISMATCH
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import CANNOT_UNDERSTAND, FileParts, split_file
from pacs_bridge.store import Instance

_log = logging.getLogger(__name__)

NO_ROOM, TOO_LARGE, FAILED = 0xA700, 0xA701, 0x0110
_CLASS, _SYNTAX = 0x0122, 0xC122
_LONGEST_META = 1 << 16
_SURE = 144
"""Bytes of preamble, prefix and the group length of the meta information."""
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Outcome:
    """What became of one object."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_uid: str = ""
    series_uid: str = ""
    reason: int = 0
    """Why it was not kept; 0: it was."""
    why: str = ""


@dataclass
class Receipt:
    """What became of all objects of one request."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def kept(self) -> list[Outcome]:
        """Those that are safe."""
        return [each for each in self.outcomes if not each.reason]

    @property
    def failed(self) -> list[Outcome]:
        """Those that are not."""
        return [each for each in self.outcomes if each.reason]

    @property
    def status(self) -> int:
        """HTTP status (table 10.5.3-1); 503 where nothing but room was lacking."""
        if not self.failed:
            return 200
        if self.kept:
            return 202
        return 503 if all(each.reason == NO_ROOM for each in self.failed) else 409

    def dataset(self, url: str) -> Dataset:
        """The response's payload (table 10.5.3-2).

        Args:
            url: of the service.
        """
        told = Dataset()
        studies = {each.study_uid for each in self.kept}
        if len(studies) == 1:
            told.RetrieveURL = f"{url}/studies/{studies.pop()}"
        kept: list[Dataset] = []
        failed: list[Dataset] = []
        other: list[Dataset] = []
        for each in self.outcomes:
            item = Dataset()
            if each.sop_instance_uid:
                item.ReferencedSOPClassUID = each.sop_class_uid
                item.ReferencedSOPInstanceUID = each.sop_instance_uid
            if each.reason:
                item.FailureReason = each.reason
                (failed if each.sop_instance_uid else other).append(item)
                continue
            item.RetrieveURL = (
                f"{url}/studies/{each.study_uid}/series/{each.series_uid}"
                f"/instances/{each.sop_instance_uid}"
            )
            kept.append(item)
        if failed:
            told.FailedSOPSequence = failed
        if kept:
            told.ReferencedSOPSequence = kept
        if other:
            told.OtherFailuresSequence = other
        return told


@dataclass(frozen=True)
class Storing:
    """Takes objects that come piece by piece.

    Args:
        inbox: where they are kept.
        on_stored: called with each that is new or not, once it is safe.
        largest: bytes of one object.
    """

    inbox: Inbox
    on_stored: Callable[[Instance], None]
    largest: int

    def take(self, pieces: Iterator[bytes], source: str, study_uid: str | None) -> Outcome:
        """Take one DICOM file.

        Args:
            pieces: its content.
            source: who sends it.
            study_uid: the only study that it may be of; None: any.

        Raises:
            Malformed: the body ended.
        """
        said = Outcome()
        try:
            file = _begun(pieces)
            said = Outcome(file.sop_class_uid, file.sop_instance_uid)
            if file.sop_class_uid not in STORAGE_CLASSES:
                raise Refused(f"SOP class {file.sop_class_uid} is not taken", _CLASS)
            if file.transfer_syntax_uid not in TRANSFER_SYNTAXES:
                raise Refused(f"transfer syntax {file.transfer_syntax_uid} is not taken", _SYNTAX)
            instance = self._kept(file, pieces, source, study_uid)
        except Refused as error:
            return _refused(said, error.status, str(error))
        except DiskFull as error:
            return _refused(said, NO_ROOM, str(error))
        except (OSError, SQLAlchemyError) as error:
            return _refused(said, FAILED, str(error))
        self.on_stored(instance)
        return Outcome(
            instance.sop_class_uid, instance.sop_instance_uid,
            instance.study_uid, instance.series_uid,
        )  # fmt: skip

    def _kept(
        self, file: FileParts, pieces: Iterator[bytes], source: str, study_uid: str | None
    ) -> Instance:
        with self.inbox.begin(
            sop_class_uid=file.sop_class_uid,
            sop_instance_uid=file.sop_instance_uid,
            transfer_syntax_uid=file.transfer_syntax_uid,
            source_ae=source,
        ) as incoming:
            size = len(file.dataset)
            incoming.add(file.dataset)
            for piece in pieces:
                size += len(piece)
                if size > self.largest:
                    raise Refused(
                        f"larger than {self.largest // _MEGABYTE} MB: see "
                        "dicomweb.largest_object_mb", TOO_LARGE,
                    )  # fmt: skip
                incoming.add(piece)
            identity = incoming.identity()
            if study_uid not in (None, identity.study_uid):
                raise Refused(
                    f"StudyInstanceUID (0020,000D) = {identity.study_uid}, and it was sent to "
                    f"study {study_uid}", MISMATCH,
                )  # fmt: skip
            return incoming.keep()


def _begun(pieces: Iterator[bytes]) -> FileParts:
    """Read on until the file meta information is whole."""
    head = bytearray()
    wanted = 0
    for piece in pieces:
        head += piece
        if not wanted and len(head) >= _SURE:
            if head[128:132] != b"DICM" and head[:2] == b"\x02\x00":
                # dicomweb-client for Python leaves out preamble and prefix
                head[:0] = bytes(128) + b"DICM"
            wanted = _meta_end(head)
        if wanted and len(head) >= wanted:
            break
    if head[128:132] != b"DICM":
        raise Refused("not a DICOM file (PS3.10): no 'DICM' at byte 128", CANNOT_UNDERSTAND)
    file = split_file(bytes(head))
    if not (file.sop_class_uid and file.sop_instance_uid):
        raise Refused("its file meta information names no SOP instance", CANNOT_UNDERSTAND)
    return file


def _meta_end(head: bytearray) -> int:
    """Bytes of the file up to the end of its meta information, as far as it says."""
    if head[128:132] != b"DICM":
        return 1
    if head[132:138] != b"\x02\x00\x00\x00UL":  # without a group length
        return _LONGEST_META
    (length,) = struct.unpack_from("<I", head, 140)
    return min(_SURE + int(length), _LONGEST_META)


def _refused(said: Outcome, reason: int, why: str) -> Outcome:
    _log.warning("STOW-RS: %s not kept: %s", said.sop_instance_uid or "an object", why)
    return Outcome(said.sop_class_uid, said.sop_instance_uid, reason=reason, why=why)
