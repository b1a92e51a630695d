"""Durable keeping of received objects: an object is acknowledged only when it can't be lost.

Layout: ``folder/<study uid>/<series uid>/<sop uid>.<digest>.dcm``; every UID is checked before
it becomes part of a path, and the digest (of the data set as sent) lets two different objects
with one SOP Instance UID lie side by side: nothing that was acknowledged is ever overwritten.
While it is written a file is called ``.<random>.part`` and lies in ``folder`` itself.
"""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pacs_bridge.arriving import PART, Arriving, judged, sync_folder
from pacs_bridge.errors import DiskFull, Refused
from pacs_bridge.identify import MISMATCH, Identity, checked_uid, identify
from pacs_bridge.part10 import FileParts, meta_header, split_file
from pacs_bridge.store import Instance, Store, Study

_log = logging.getLogger(__name__)

_GIGABYTE = 1_000_000_000


@dataclass(frozen=True)
class Recovery:
    """What :meth:`Inbox.recover` found."""

    removed: int = 0
    """Half-written files, never acknowledged, now gone."""
    recorded: list[Instance] = field(default_factory=list)
    """Objects that lay there whole and were not in the database."""
    unreadable: list[Path] = field(default_factory=list)
    """Files that are no objects of ours; left where they are."""


class Inbox:
    """Keeps received objects; safe to call from any number of threads and processes.

    Args:
        folder: where the files go; made when missing.
        store: where they are recorded.
        minimum_free_gb: with less free space (10^9 bytes) than this left, nothing is taken.
        sync: False leaves it to the disk when what it was given is durable; only to measure
            what everything else costs.
    """

    def __init__(
        self, folder: Path, store: Store, minimum_free_gb: float, *, sync: bool = True
    ) -> None:
        self.folder = folder.absolute()
        self.store = store
        self.minimum_free_gb = minimum_free_gb
        self.sync = sync
        self._minimum_free = int(minimum_free_gb * _GIGABYTE)
        self.folder.mkdir(parents=True, exist_ok=True)

    def receive(
        self,
        encoded: bytes | memoryview,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        source_ae: str = "",
        fetched: bool | None = None,
    ) -> Instance:
        """Keep one object as sent; when this returns it is on the disk and in the database.

        Same object again: success, nothing written. Same SOP Instance UID with other content:
        both files stay, the newer is the recorded one.

        Args:
            encoded: the data set in its transfer syntax; neither decoded nor copied.
            sop_class_uid: AffectedSOPClassUID of the C-STORE command.
            sop_instance_uid: AffectedSOPInstanceUID of the C-STORE command.
            transfer_syntax_uid: of the presentation context.
            source_ae: who sent it.
            fetched: whether we asked for it; see :func:`pacs_bridge.arrivals.record_arrival`.

        Raises:
            Refused: 0xA900, data set and command disagree; 0xC000, it can't be understood.
            DiskFull: too little free space.
            OSError, SQLAlchemyError: disk or database failed; the object is not acknowledged.
        """
        incoming = self.begin(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_ae=source_ae,
            size=len(encoded),
        )
        with incoming:
            incoming.add(encoded)
            return incoming.keep(fetched)

    def begin(
        self,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        source_ae: str = "",
        size: int = 0,
    ) -> Incoming:
        """Begin to take one object piece by piece, as :meth:`receive` does at once.

        Args:
            sop_class_uid: AffectedSOPClassUID of the C-STORE command.
            sop_instance_uid: AffectedSOPInstanceUID of the C-STORE command.
            transfer_syntax_uid: of the presentation context.
            source_ae: who sends it.
            size: bytes that will come, as far as known.

        Raises:
            Refused, DiskFull, OSError: as :meth:`receive`.
        """
        for value, what in (
            (sop_class_uid, "AffectedSOPClassUID (0000,0002)"),
            (sop_instance_uid, "AffectedSOPInstanceUID (0000,1000)"),
            (transfer_syntax_uid, "TransferSyntaxUID"),
        ):
            checked_uid(value, what)
        self._check_room(size)
        header = meta_header(sop_class_uid, sop_instance_uid, transfer_syntax_uid, source_ae)
        said = (sop_class_uid, sop_instance_uid)
        return Incoming(self, self._open(header), said, transfer_syntax_uid, source_ae)

    def import_file(
        self, path: Path, source_ae: str = "", *, fetched: bool | None = None
    ) -> Instance:
        """Keep a copy of a DICOM file, with the checks and guarantees of :meth:`receive`.

        A bare data set (no preamble, no meta header) is taken too.

        Raises:
            Refused, DiskFull, OSError: as :meth:`receive`.
        """
        return self.import_content(path.read_bytes(), source_ae, fetched=fetched)

    def import_content(
        self, content: bytes, source_ae: str = "", *, fetched: bool | None = None
    ) -> Instance:
        """Keep a DICOM file's content, as :meth:`import_file` does."""
        parts = split_file(content)
        identity, syntax = _identify_file(parts), parts.transfer_syntax_uid
        self._check_room(len(parts.dataset))
        header = meta_header(identity.sop_class_uid, identity.sop_instance_uid, syntax, source_ae)
        said = (identity.sop_class_uid, identity.sop_instance_uid)
        with Incoming(self, self._open(header), said, syntax, source_ae) as incoming:
            incoming.add(parts.dataset)
            return incoming.keep(fetched)

    def recover(self) -> Recovery:
        """Put in order what a crash left behind; call once, before listening.

        Half-written files are removed (nobody was told they are safe). Whole files that the
        database doesn't know are recorded, oldest first; an older version of an object that
        is recorded stays a mere file.
        """
        found = Recovery(removed=self._remove_parts())
        known = self.store.known_paths()
        recorded: dict[str, dict[str, Instance]] = {}
        for path in sorted(self.folder.glob("*/*/*.dcm"), key=lambda path: path.stat().st_mtime):
            if str(path) in known:
                continue
            try:
                parts = split_file(path.read_bytes())
                identity = _identify_file(parts)
            except (Refused, OSError) as error:
                _log.error("%s in the inbox can't be read and is left alone: %s", path, error)
                found.unreadable.append(path)
                continue
            study_uid = identity.study_uid
            if study_uid not in recorded:
                held = self.store.instances_of(study_uid)
                recorded[study_uid] = {each.sop_instance_uid: each for each in held}
            newer = recorded[study_uid].get(identity.sop_instance_uid)
            if newer and _modified(newer.path) >= _modified(path):
                continue
            digest = hashlib.sha256(parts.dataset).hexdigest()
            instance = _instance(path, identity, len(parts.dataset), parts.source_ae, digest)
            self.store.record_instance(
                instance, _study(identity, parts.source_ae), arrived_at=_modified(path)
            )
            recorded[study_uid][instance.sop_instance_uid] = instance
            found.recorded.append(instance)
        if found.removed or found.recorded:
            _log.warning(
                "the last run ended midway: %d half-written files removed (their senders were "
                "told nothing), %d whole ones recorded",
                found.removed,
                len(found.recorded),
            )
        return found

    # inside ------------------------------------------------------------------------------

    def _open(self, header: bytes) -> Arriving:
        return Arriving(self.folder, header, self._check_room)

    def _keep(
        self, arriving: Arriving, identity: Identity, source_ae: str, fetched: bool | None
    ) -> Instance:
        series = self.folder / identity.study_uid / identity.series_uid
        path = series / f"{identity.sop_instance_uid}.{arriving.sha256[:16]}.dcm"
        try:
            if path.exists():
                arriving.discard()
                os.utime(path)  # the newest again, should recover() have to decide
            else:
                self._make(series)
                arriving.place(path, sync=self.sync)
            if self.sync:
                sync_folder(series)
        except OSError as error:
            raise judged(error, self.folder, arriving.size) from error
        instance = _instance(path, identity, arriving.size, source_ae, arriving.sha256)
        self.store.record_instance(instance, _study(identity, source_ae), fetched=fetched)
        return instance

    def _make(self, series: Path) -> None:
        if series.is_dir():
            return
        series.mkdir(parents=True, exist_ok=True)
        if self.sync:
            sync_folder(series.parent)
            sync_folder(self.folder)

    def _check_room(self, size: int) -> None:
        space = os.statvfs(self.folder)
        free = space.f_bavail * space.f_frsize
        if free - size < self._minimum_free:
            raise DiskFull(
                f"{free / _GIGABYTE:.1f} GB free in {self.folder}, storage.minimum_free_gb = "
                f"{self._minimum_free / _GIGABYTE:g}: nothing more is taken until there is room"
            )

    def _remove_parts(self) -> int:
        parts = [*self.folder.glob(f".*{PART}"), *self.folder.glob(f"*/*/.*{PART}")]
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)


class Incoming:
    """One object while it comes; a context manager, at whose end nothing half lies about.

    Made by :meth:`Inbox.begin`.
    """

    def __init__(
        self,
        inbox: Inbox,
        arriving: Arriving,
        said: tuple[str, str],
        transfer_syntax_uid: str,
        source_ae: str,
    ) -> None:
        self._inbox = inbox
        self._arriving = arriving
        self._said = said
        self._syntax = transfer_syntax_uid
        self._source_ae = source_ae
        self.add = arriving.add
        self.flush = arriving.flush

    def identity(self) -> Identity:
        """What the data set says it is, once all of it came.

        Raises:
            Refused, DiskFull, OSError: as :meth:`Inbox.receive`.
        """
        return self._arriving.identity(self._syntax)

    def keep(self, fetched: bool | None = None) -> Instance:
        """All of it came: when this returns it is on the disk and in the database.

        Raises:
            Refused, DiskFull, OSError, SQLAlchemyError: as :meth:`Inbox.receive`.
        """
        identity = self._arriving.identity(self._syntax)
        _must_agree("SOPClassUID (0008,0016)", identity.sop_class_uid, self._said[0])
        _must_agree("SOPInstanceUID (0008,0018)", identity.sop_instance_uid, self._said[1])
        return self._inbox._keep(self._arriving, identity, self._source_ae, fetched)

    def discard(self) -> None:
        """It will not come whole."""
        self._arriving.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._arriving.discard()


def _must_agree(what: str, dataset: str, command: str) -> None:
    if dataset != command:
        raise Refused(f"{what} = {dataset} in the data set, {command} in the command", MISMATCH)


def _identify_file(parts: FileParts) -> Identity:
    identity = identify(parts.dataset, checked_uid(parts.transfer_syntax_uid, "TransferSyntaxUID"))
    if parts.sop_instance_uid and parts.sop_instance_uid != identity.sop_instance_uid:
        _log.info(
            "MediaStorageSOPInstanceUID (0002,0003) = %r, SOPInstanceUID (0008,0018) = %r: the "
            "data set's is used",
            parts.sop_instance_uid[:80],
            identity.sop_instance_uid,
        )
    return identity


def _instance(path: Path, identity: Identity, size: int, source_ae: str, digest: str) -> Instance:
    return Instance(
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        path=path,
        sha256=digest,
        bytes=size,
        source_ae=source_ae,
    )


def _study(identity: Identity, source_ae: str) -> Study:
    return Study(
        study_uid=identity.study_uid,
        patient_id=identity.patient_id,
        patient_name=identity.patient_name,
        accession_number=identity.accession_number,
        study_date=identity.study_date,
        description=identity.description,
        source_ae=source_ae,
    )


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
