"""Calling another DICOM node: C-ECHO, C-STORE, C-FIND; no call outlasts its time-out for long.

A PACS answers only those that it knows. Orthanc takes C-ECHO and C-STORE from anybody but
C-FIND only from its ``DicomModalities`` (unless ``DicomAlwaysAllowFind``): our AE title,
address and port have to be entered there, and C-MOVE needs the same entry to reach us. It answers
C-FIND in its ``DefaultEncoding``, Latin1 unless it is set, in which Chinese names are lost: set it
to Utf8 there.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind as _FIND,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse import counts
from pacs_bridge.dimse.counts import SeriesCount
from pacs_bridge.dimse.handshake import handshake_problem
from pacs_bridge.dimse.outgoing import Compression, Outgoing, StoreOutcome
from pacs_bridge.dimse.status import DUPLICATE, failure_of
from pacs_bridge.dimse.tls import client_context
from pacs_bridge.errors import (
    BridgeError,
    PeerBusy,
    PeerError,
    PeerRefused,
    PeerUnreachable,
    SettingsError,
)
from pacs_bridge.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from pacs_bridge.settings import PeerSettings

_SLOWEST_LINK = 64 * 1024
"""Bytes a second; an object may take this long on top of the time-out."""
_MOST_CONTEXTS = 120  # PS3.8 9.3.2.2: odd IDs up to 255


__all__ = ["Peer", "SeriesCount", "StoreOutcome"]


class Peer:
    """One other DICOM node.

    Args:
        settings: its AE title, host and port, and whether it is called over TLS.
        our_ae: the AE title we call with.
        timeout_s: longest wait for connection, association and each answer, each by itself.
        compression: what is sent smaller, without loss, where it takes that.
    """

    def __init__(
        self,
        settings: PeerSettings,
        our_ae: str,
        timeout_s: float = 15.0,
        compression: Compression = "none",
    ) -> None:
        self._settings = settings
        self._our_ae = our_ae
        self._timeout_s = timeout_s
        self._compression = compression

    def __str__(self) -> str:
        return f"{self._settings.ae_title} at {self._settings.host}:{self._settings.port}"

    def echo(self) -> None:
        """C-ECHO (PS3.4 A).

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with AE, address, answer and remedy.
        """
        with self._association([build_context(Verification)]) as association:
            answer = association.send_c_echo()
            error = self._error_of(answer, "C-ECHO")
            if error:
                raise error

    def store(self, objects: Sequence[Path | Dataset]) -> list[StoreOutcome]:
        """C-STORE (PS3.4 B) each object in the order given, over one association.

        Objects are sent in their own transfer syntax where the peer takes it, or smaller where
        ``compression`` says so; where it does not, uncompressed ones are re-encoded (explicit,
        implicit, inflated) and compressed ones are decompressed.

        Returns:
            One outcome for each object, in order.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: no association could be had at all.
        """
        outcomes: list[StoreOutcome] = []
        batch: list[Outgoing] = []
        contexts: dict[tuple[str, str], PresentationContext] = {}
        for each in objects:
            outgoing = Outgoing(each, self._compression)
            kinds = [(outgoing.sop_class_uid, syntax) for syntax in outgoing.syntaxes]
            if len(contexts.keys() | set(kinds)) > _MOST_CONTEXTS:
                outcomes += self._store_batch(batch, contexts)
                batch, contexts = [], {}
            batch.append(outgoing)
            for kind in kinds:
                contexts.setdefault(kind, build_context(kind[0], [kind[1]]))
        return outcomes + self._store_batch(batch, contexts)

    def series(self, study_uid: str) -> list[SeriesCount]:
        """The series of a study and how many objects each has, by C-FIND (PS3.4 C).

        Returns:
            Empty when the PACS does not know the study.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`echo`.
        """
        with self._association([build_context(_FIND)]) as association:
            return counts.series_of(partial(self._find, association), study_uid)

    def count_images(self, study_uid: str, besides: Collection[str] = ()) -> int | None:
        """How many images of a study the PACS holds (reports, segmentations etc. left out).

        Asked for by series (NumberOfSeriesRelatedInstances); where the PACS leaves that out,
        by listing the images of the series; where it refuses both, by study
        (NumberOfStudyRelatedInstances, which counts everything).

        Args:
            study_uid: which study.
            besides: SeriesInstanceUIDs that are not counted: pictures of our own.

        Returns:
            None when the PACS does not know the study or can't say.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`echo`.
        """
        with self._association([build_context(_FIND)]) as association:
            return counts.images_of(partial(self._find, association), study_uid, besides)

    def find(self, keys: dict[str, str]) -> list[Dataset]:
        """C-FIND (PS3.4 C), study root, with keys of our own.

        Args:
            keys: by keyword, ``QueryRetrieveLevel`` among them; an empty value asks for it.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`echo`.
        """
        with self._association([build_context(_FIND)]) as association:
            return self._find(association, keys)

    # store -------------------------------------------------------------------------------

    def _store_batch(
        self, batch: list[Outgoing], contexts: dict[tuple[str, str], PresentationContext]
    ) -> list[StoreOutcome]:
        if not any(outgoing.error is None for outgoing in batch):
            return [outgoing.unsent(outgoing.error) for outgoing in batch]
        try:
            with self._association(list(contexts.values())) as association:
                return [self._store_one(association, outgoing) for outgoing in batch]
        except _NothingTaken:  # says nothing of the next batch, and no retry will change it
            return [
                outgoing.unsent(outgoing.error or self._not_taken(outgoing)) for outgoing in batch
            ]

    def _store_one(self, association: Association, outgoing: Outgoing) -> StoreOutcome:
        if outgoing.error is not None:
            return outgoing.unsent(outgoing.error)
        if not association.is_established:
            return outgoing.unsent(
                PeerBusy(f"{self} ended the association before this object; it is tried again")
            )
        accepted = {
            str(context.transfer_syntax[0])
            for context in association.accepted_contexts
            if context.abstract_syntax == outgoing.sop_class_uid
        }
        if not accepted & set(outgoing.syntaxes):
            return outgoing.unsent(self._not_taken(outgoing))
        association.dimse_timeout = self._timeout_s + outgoing.size / _SLOWEST_LINK
        try:
            answer = association.send_c_store(outgoing.dataset(accepted))
        except BridgeError as error:
            return outgoing.unsent(PeerRefused(f"{self._not_taken(outgoing)}: {error}"))
        except (RuntimeError, ValueError, AttributeError, OSError) as error:
            if association.is_established:
                return outgoing.unsent(PeerRefused(f"can't be encoded for {self}: {error}"))
            return outgoing.unsent(PeerBusy(f"{self} ended the association: {error}"))
        return self._outcome(outgoing, answer)

    def _not_taken(self, outgoing: Outgoing) -> PeerRefused:
        return PeerRefused(
            f"{self} does not take SOP class {outgoing.sop_class_uid} in transfer syntax "
            f"{outgoing.syntax}. Enable it there, or take this kind out of the "
            "destination's `accepts`"
        )

    def _outcome(self, outgoing: Outgoing, answer: Dataset) -> StoreOutcome:
        status = int(answer.Status) if "Status" in answer else None
        if status == DUPLICATE:  # UIDs are derived: it has just this object
            return StoreOutcome(outgoing.sop_instance_uid, status, note="the peer had it already")
        error = self._error_of(answer, f"C-STORE of {outgoing.sop_instance_uid}")
        note = ""
        if error is None and status:
            note = f"warning 0x{status:04X} {answer.get('ErrorComment', '')}".strip()
        return StoreOutcome(outgoing.sop_instance_uid, status, error, note)

    # find --------------------------------------------------------------------------------

    def _find(self, association: Association, keys: dict[str, str]) -> list[Dataset]:
        query = Dataset()
        if not all(value.isascii() for value in keys.values()):
            query.SpecificCharacterSet = "ISO_IR 192"
        for keyword, value in keys.items():
            setattr(query, keyword, value)
        what = f"C-FIND at {keys['QueryRetrieveLevel']} level"
        if not association.is_established:
            raise PeerBusy(f"{self} ended the association before {what}")
        deadline = time.monotonic() + 4 * self._timeout_s
        matches: list[Dataset] = []
        for answer, match in association.send_c_find(query, _FIND):
            if "Status" in answer and answer.Status in (0xFF00, 0xFF01):
                if time.monotonic() > deadline:
                    association.abort()
                    raise PeerBusy(f"{self} still answers {what} after {4 * self._timeout_s:g} s")
                if match is not None:
                    matches.append(match)
                continue
            error = self._error_of(answer, what)
            if error:
                raise error
        return matches

    # association -------------------------------------------------------------------------

    @contextmanager
    def _association(
        self,
        contexts: list[PresentationContext],
        roles: Sequence[Any] = (),
        handlers: Sequence[Any] = (),
    ) -> Iterator[Association]:
        """An association; ``roles`` are SCP/SCU roles to negotiate (PS3.7 D.3.3.4)."""
        tls = self._tls()
        ae = AE(self._our_ae)
        ae.connection_timeout = self._timeout_s
        ae.acse_timeout = self._timeout_s
        ae.dimse_timeout = self._timeout_s
        ae.network_timeout = self._timeout_s
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION
        try:
            association = ae.associate(
                self._settings.host,
                self._settings.port,
                contexts=contexts,
                ae_title=self._settings.ae_title,
                ext_neg=list(roles),
                tls_args=(tls, self._settings.host) if tls else None,
                evt_handlers=[(evt.EVT_CONN_OPEN, self._tune), *handlers],
            )
        except OSError as error:  # the name doesn't resolve
            raise PeerUnreachable(f"{self}: {error}. Check host and port") from error
        if not association.is_established:
            raise self._why_not(association, tls)
        keep_answers(association)
        try:
            yield association
        finally:
            if association.is_established:
                association.release()
            else:
                association.kill()

    def _tune(self, event: evt.Event) -> None:
        # A peer that stops reading would block pynetdicom's send() for ever.
        transport = event.assoc.dul.socket
        connection = transport.socket if transport else None
        if connection is None:
            return
        seconds = int(self._timeout_s)
        interval = struct.pack("ll", seconds, int((self._timeout_s - seconds) * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, interval)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _tls(self) -> ssl.SSLContext | None:
        try:
            return client_context(self._settings.tls) if self._settings.tls else None
        except SettingsError as error:
            raise PeerRefused(f"{self} can't be called over TLS: {error}") from error

    def _why_not(self, association: Association, tls: ssl.SSLContext | None) -> PeerError:
        answer = association.acceptor.primitive
        if association.is_rejected and answer is not None:
            reason = f"{self} rejected the association: {answer.reason_str}"
            if answer.result == 0x02:
                return PeerBusy(f"{reason}. It may take us later")
            return PeerRefused(
                f"{reason}. Check its AE title here, and that it knows us ({self._our_ae})"
            )
        if answer is not None and answer.result == 0x00:
            return _NothingTaken(f"{self} takes none of the services we asked it for")
        host, port = self._settings.host, self._settings.port
        problem = handshake_problem(host, port, tls, self._timeout_s) if tls else ""
        if problem:
            return PeerRefused(
                f"{self}: no TLS: {problem}. Check `tls` here (authorities, certificate, "
                "check_name) and what it asks of us there"
            )
        return PeerUnreachable(
            f"{self}: no association within {self._timeout_s:g} s (no connection, no answer or "
            "an abort). Check that it runs, its port, and the firewall between"
        )

    def _error_of(self, answer: Dataset, what: str) -> PeerError | None:
        """The error that an answer means, if it is one: see :func:`failure_of`; no answer: busy."""
        if "Status" not in answer:
            return PeerBusy(f"{self} did not answer {what} within {self._timeout_s:g} s or hung up")
        status = int(answer.Status)
        kind = failure_of(status)
        if kind is None:
            return None
        comment = str(answer.get("ErrorComment", "") or "")[:200]
        said = f"{self} answered {what} with 0x{status:04X}" + (f" ({comment})" if comment else "")
        if kind is PeerBusy:
            return PeerBusy(f"{said}: it lacks resources for now. See its log and disk space")
        return PeerRefused(f"{said}. See the peer's log for why")


def keep_answers(association: Association) -> None:
    """Let nobody but the caller who waits for an answer take it.

    pynetdicom's own thread looks for requests of the peer between our calls. On a busy machine
    it may still be looking when the next call has begun, and then throws its answer away
    (``_run_reactor``: it says that it is paused before it is). Whom we call asks nothing of that
    thread: C-STORE of a C-GET is served by the caller, N-EVENT-REPORT where it arrives.
    """
    take = association.dimse.get_msg

    def take_if_waiting(block: bool = False) -> Any:
        return take(block) if block else (None, None)

    association.dimse.get_msg = take_if_waiting  # type: ignore[method-assign]


class _NothingTaken(PeerRefused):
    """It knows us, and accepts none of the presentation contexts."""
