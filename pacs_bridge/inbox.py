"""Durable keeping of received objects: an object is acknowledged only when it can't be lost.

Layout: ``folder/<study uid>/<series uid>/<sop uid>.<digest>.dcm``; every UID is checked before
it becomes part of a path, and the digest (of the data set as sent) lets two different objects
with one SOP Instance UID lie side by side: nothing that was acknowledged is ever overwritten.
While it is written a file is called ``.<random>.part``.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from pacs_bridge.errors import DiskFull, Refused
from pacs_bridge.identify import MISMATCH, Identity, checked_uid, identify
from pacs_bridge.part10 import FileParts, meta_header, split_file
from pacs_bridge.store import Instance, Store, Study

_log = logging.getLogger(__name__)

_GIGABYTE = 1_000_000_000
_PART = ".part"


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
    """

    def __init__(self, folder: Path, store: Store, minimum_free_gb: float) -> None:
        self.folder = folder.absolute()
        self._store = store
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
        for value, what in (
            (sop_class_uid, "AffectedSOPClassUID (0000,0002)"),
            (sop_instance_uid, "AffectedSOPInstanceUID (0000,1000)"),
            (transfer_syntax_uid, "TransferSyntaxUID"),
        ):
            checked_uid(value, what)
        identity = identify(encoded, transfer_syntax_uid)
        _must_agree("SOPClassUID (0008,0016)", identity.sop_class_uid, sop_class_uid)
        _must_agree("SOPInstanceUID (0008,0018)", identity.sop_instance_uid, sop_instance_uid)
        return self._keep(encoded, identity, transfer_syntax_uid, source_ae, fetched)

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
        return self._keep(
            parts.dataset, _identify_file(parts), parts.transfer_syntax_uid, source_ae, fetched
        )

    def recover(self) -> Recovery:
        """Put in order what a crash left behind; call once, before listening.

        Half-written files are removed (nobody was told they are safe). Whole files that the
        database doesn't know are recorded, oldest first; an older version of an object that
        is recorded stays a mere file.
        """
        found = Recovery(removed=self._remove_parts())
        known = self._store.known_paths()
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
                held = self._store.instances_of(study_uid)
                recorded[study_uid] = {each.sop_instance_uid: each for each in held}
            newer = recorded[study_uid].get(identity.sop_instance_uid)
            if newer and _modified(newer.path) >= _modified(path):
                continue
            instance = _instance(path, identity, parts.dataset, parts.source_ae)
            self._store.record_instance(
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

    def _keep(
        self,
        encoded: bytes | memoryview,
        identity: Identity,
        syntax: str,
        source_ae: str,
        fetched: bool | None,
    ) -> Instance:
        self._check_room(len(encoded))
        series = self.folder / identity.study_uid / identity.series_uid
        digest = hashlib.sha256(encoded).hexdigest()
        path = series / f"{identity.sop_instance_uid}.{digest[:16]}.dcm"
        header = meta_header(identity.sop_class_uid, identity.sop_instance_uid, syntax, source_ae)
        try:
            if path.exists():
                os.utime(path)  # the newest again, should recover() have to decide
                _sync_folder(series)
            else:
                self._write(path, header, encoded)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(f"no room for {len(encoded)} bytes in {self.folder}: {error}. "
                               "Free space or move storage.folder") from error  # fmt: skip
            raise
        instance = _instance(path, identity, encoded, source_ae, digest)
        self._store.record_instance(instance, _study(identity, source_ae), fetched=fetched)
        return instance

    def _write(self, path: Path, header: bytes, encoded: bytes | memoryview) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
            _sync_folder(self.folder)
        part = path.parent / f".{uuid4().hex}{_PART}"
        try:
            with part.open("xb") as file:
                file.write(header)
                file.write(encoded)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _check_room(self, size: int) -> None:
        space = os.statvfs(self.folder)
        free = space.f_bavail * space.f_frsize
        if free - size < self._minimum_free:
            raise DiskFull(
                f"{free / _GIGABYTE:.1f} GB free in {self.folder}, storage.minimum_free_gb = "
                f"{self._minimum_free / _GIGABYTE:g}: nothing more is taken until there is room"
            )

    def _remove_parts(self) -> int:
        parts = list(self.folder.glob(f"*/*/.*{_PART}"))
        for part in parts:
            part.unlink(missing_ok=True)
        return len(parts)


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


def _instance(
    path: Path,
    identity: Identity,
    encoded: bytes | memoryview,
    source_ae: str,
    digest: str | None = None,
) -> Instance:
    return Instance(
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        path=path,
        sha256=digest or hashlib.sha256(encoded).hexdigest(),
        bytes=len(encoded),
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


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
