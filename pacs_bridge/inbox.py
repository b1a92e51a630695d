"""Durable keeping of received objects: an object is acknowledged only when it can't be lost.

Layout: ``folder/<study uid>/<series uid>/<sop uid>.<digest>.dcm``; every UID is checked before
it becomes part of a path, and the digest (of the data set as sent) lets two different objects
with one SOP Instance UID lie side by side: nothing that was acknowledged is ever overwritten.
While it is written a file is called ``.<name>.part``; see ``arriving``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from pacs_bridge.arriving import PART, Arriving
from pacs_bridge.digests import in_name, named_by
from pacs_bridge.errors import Refused
from pacs_bridge.identify import MISMATCH, Identity, checked_uid, identify
from pacs_bridge.part10 import FileParts, meta_header, split_file
from pacs_bridge.shelves import Shelves
from pacs_bridge.store import Instance, Store, Study

_log = logging.getLogger(__name__)


@dataclass
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
        self.shelves = Shelves(folder, minimum_free_gb, sync=sync)
        self.folder = self.shelves.root
        self.store = store

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

        Same object again: success, its file is replaced by itself. Same SOP Instance UID with
        other content: both files stay, the newer is the recorded one.

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
        self.shelves.check_room(size)
        header = meta_header(sop_class_uid, sop_instance_uid, transfer_syntax_uid, source_ae)
        arriving = Arriving(self.shelves, header, transfer_syntax_uid)
        return Incoming(self.store, arriving, sop_class_uid, sop_instance_uid, source_ae)

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
        identity = _identify_file(parts)
        with self.begin(
            sop_class_uid=identity.sop_class_uid,
            sop_instance_uid=identity.sop_instance_uid,
            transfer_syntax_uid=parts.transfer_syntax_uid,
            source_ae=source_ae,
            size=len(parts.dataset),
        ) as incoming:
            incoming.add(parts.dataset)
            return incoming.keep(fetched)

    def recover(self) -> Recovery:
        """Put in order what a crash left behind; call once, before listening.

        Half-written files are removed (nobody was told they are safe). Whole files that the
        database doesn't know are recorded, oldest first; an older version of an object that
        is recorded stays a mere file, and so does one whose content isn't what its name says.
        """
        found = Recovery(removed=self._remove_parts())
        known = self.store.known_paths()
        recorded: dict[str, dict[str, Instance]] = {}
        for path in sorted(self.folder.glob("*/*/*.dcm"), key=lambda path: path.stat().st_mtime):
            if str(path) in known:
                continue
            try:
                if not path.stat().st_size:
                    path.unlink()
                    found.removed += 1
                    continue
                parts = split_file(path.read_bytes())
                identity = _identify_file(parts)
                digest = _digest_of(parts, path)
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
        store: Store,
        arriving: Arriving,
        sop_class_uid: str,
        sop_instance_uid: str,
        source_ae: str,
    ) -> None:
        self._store = store
        self._arriving = arriving
        self._class_uid, self._instance_uid = sop_class_uid, sop_instance_uid
        self._source_ae = source_ae
        self.add = arriving.add
        self.flush = arriving.flush
        self.identity = arriving.identity
        self.discard = arriving.discard

    def keep(self, fetched: bool | None = None) -> Instance:
        """All of it came: when this returns it is on the disk and in the database.

        Raises:
            Refused, DiskFull, OSError, SQLAlchemyError: as :meth:`Inbox.receive`.
        """
        arriving, source_ae = self._arriving, self._source_ae
        identity = arriving.identity()
        _must_agree("SOPClassUID (0008,0016)", identity.sop_class_uid, self._class_uid)
        _must_agree("SOPInstanceUID (0008,0018)", identity.sop_instance_uid, self._instance_uid)
        digest = arriving.digest
        series = arriving.shelves.series(identity.study_uid, identity.series_uid)
        path = series / f"{identity.sop_instance_uid}.{in_name(digest)}.dcm"
        arriving.place(path)
        instance = _instance(path, identity, arriving.size, source_ae, digest)
        self._store.record_instance(instance, _study(identity, source_ae), fetched=fetched)
        return instance

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
        digest=digest,
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


def _digest_of(parts: FileParts, path: Path) -> str:
    digest = named_by(path, parts.dataset)
    if digest is None:  # of a power cut, before its sender was answered
        raise Refused("the digest in its name is not that of its data set", MISMATCH)
    return digest


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
