"""Storage commitment SCP (PS3.4 J): takes requests, and reports until it was heard.

A request is in the database before it is answered. Its objects are looked for and hashed when
the report is made, so that the report says what is true then. It goes over the association of the
request where the peer keeps that open, else over a new one to the address in the settings, with
the SCP role negotiated for ourselves (PS3.7 D.3.3.4).
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial

from pynetdicom import build_context, build_role

from pacs_bridge.back_off import back_off_s
from pacs_bridge.custody.check import check, studies_of
from pacs_bridge.custody.ledger import Ledger, Request
from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    DUPLICATE_TRANSACTION,
    INVALID_ARGUMENT,
    REQUEST,
    CommitmentResult,
    Failure,
    read_request,
    result_event,
)
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.errors import PeerError, PeerRefused
from pacs_bridge.sections import CommitmentSettings, PeerSettings
from pacs_bridge.store import Store

_log = logging.getLogger(__name__)

NO_SUCH_ACTION = 0x0123
NO_SUCH_INSTANCE = 0x0112
NOT_AUTHORIZED = 0x0124
HOLD_S = 60.0
"""A report that is being made is not begun again before."""
HOLD_EACH_S = 0.1
"""As long more for every object, which has to be read."""
LOOK_AGAIN_S = 2.0
KEEP_S = 30 * 86400.0
"""What was reported is forgotten after this."""


class Keeper:
    """Answers for what we hold.

    Args:
        settings: who may ask, and where they hear of it.
        store: what we hold, and who asked.
        our_ae: the AE title we report with.
    """

    def __init__(self, settings: CommitmentSettings, store: Store, our_ae: str) -> None:
        self._settings = settings
        self._store = store
        self._ledger = Ledger(store)
        self._our_ae = our_ae
        self._peers = {peer.ae_title: peer for peer in settings.peers}
        self._bells = {title: threading.Event() for title in self._peers}
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    @property
    def services(self) -> tuple[Service, ...]:
        """What the listener is to offer; nothing where nobody may ask."""
        if not self._peers:
            return ()
        return (Service(COMMITMENT_CLASS, frozenset({"N-ACTION"}), self.take),)

    def start(self) -> None:
        """Begin to report, with what an earlier run left waiting; returns at once."""
        if not self._peers:
            return
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=self._serve, args=(peer,), name=f"keeper-{title}", daemon=True)
            for title, peer in self._peers.items()
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Begin no new report; what is not heard is reported at the next start."""
        self._stopping.set()
        for bell in self._bells.values():
            bell.set()
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []

    def take(self, asked: Asked) -> Answered:
        """Answer the N-ACTION of a request.

        ====== ======================================================================
        status meaning
        ====== ======================================================================
        0x0000 the request is kept; a report will come
        0x0112 not the well-known SOP instance of the push model
        0x0115 no transaction UID, no object, or a UID that is none
        0x0123 not action type 1
        0x0124 the asker is not among commitment.peers
        0x0110 the request could not be kept; asking again is safe
        ====== ======================================================================
        """
        asker = asked.calling_ae
        if asker not in self._peers:
            _log.warning(
                "refused storage commitment to %r at %s: not among commitment.peers",
                asker, asked.address,
            )  # fmt: skip
            return Answered(NOT_AUTHORIZED, comment="not among commitment.peers here")
        if asked.number != REQUEST:
            return Answered(NO_SUCH_ACTION, comment=f"action type {asked.number}, not 1")
        if asked.sop_instance_uid != COMMITMENT_INSTANCE:
            return Answered(NO_SUCH_INSTANCE, comment=f"not {COMMITMENT_INSTANCE}")
        try:
            transaction, references = read_request(asked.dataset)
        except ValueError as error:
            return Answered(INVALID_ARGUMENT, comment=str(error))
        self._ledger.forget(time.time() - KEEP_S)
        here = self._settings.same_association
        request = self._ledger.enter(
            asker,
            transaction,
            references,
            hold_s=_hold_s(len(references)) if here else 0.0,
            duplicate=DUPLICATE_TRANSACTION,
        )
        _log.info("%s asks for commitment to %d objects", asker, len(references))
        if not here:
            self._bells[asker].set()
            return Answered(0x0000)
        return Answered(0x0000, then=partial(self._report_here, request))

    # the association of the request --------------------------------------------------------

    def _report_here(self, request: Request) -> Event:
        result = self._result(request)

        def done(status: int | None) -> None:
            if status == 0x0000:
                self._heard(request, result)
                return
            if status is not None:
                _log.info("%s answered the report with 0x%04X; reported anew over an association "
                          "of its own", request.asker, status)  # fmt: skip
            self._ledger.later(request, 0.0)
            self._bells[request.asker].set()

        return result_event(result, done)

    # associations of our own ---------------------------------------------------------------

    def _serve(self, peer: PeerSettings) -> None:
        bell = self._bells[peer.ae_title]
        look_again_s = max(0.1, min(LOOK_AGAIN_S, self._settings.first_wait_s))
        while not self._stopping.is_set():
            bell.clear()
            try:
                self._round(peer)
            except Exception:  # noqa: BLE001 - the boundary: this thread must outlive anything
                _log.exception("reports to %s failed, trying on", peer.ae_title)
            bell.wait(look_again_s)

    def _round(self, peer: PeerSettings) -> None:
        for request in self._ledger.due(peer.ae_title):
            if self._stopping.is_set():
                return
            if not self._ledger.claim(request, _hold_s(len(request.references))):
                continue
            result = self._result(request)
            try:
                _Teller(peer, self._our_ae).tell(result)
            except _Declined as error:
                self._give_up(request, str(error))
            except PeerError as error:
                self._failed(request, error)
            else:
                self._heard(request, result)

    def _failed(self, request: Request, error: PeerError) -> None:
        attempts = request.attempts + 1
        if attempts >= self._settings.attempts:
            self._give_up(request, f"attempt {attempts} was the last: {error}")
            return
        wait = back_off_s(self._settings, attempts)
        self._ledger.later(request, wait, str(error), attempts)
        _log.warning(
            "storage commitment not reported to %s, attempt %d of %d, next in %.0f s: %s",
            request.asker, attempts, self._settings.attempts, wait, error,
        )  # fmt: skip

    def _give_up(self, request: Request, why: str) -> None:
        self._ledger.give_up(request, why, request.attempts + 1)
        _log.error("storage commitment not reported to %s, given up on: %s", request.asker, why)
        told = f"transaction {request.transaction_uid} of {request.asker}: {why}"
        self._record("preread", "commitment-not-reported", request, told)

    def _heard(self, request: Request, result: CommitmentResult) -> None:
        self._ledger.reported(request)
        told = f"{len(result.committed)} objects, transaction {request.transaction_uid}"
        if result.failed:
            told += f"; not to {len(result.failed)}: {result.failed[0].why}"
        _log.info("committed to %s of %s", told, request.asker)
        self._record(request.asker, "storage-committed", request, told)

    def _record(self, who: str, what: str, request: Request, detail: str) -> None:
        studies: list[str | None] = [*studies_of(self._store, request.references)]
        for study_uid in studies or [None]:
            self._store.record(who, what, study_uid, detail)

    def _result(self, request: Request) -> CommitmentResult:
        if request.refused:
            failed = tuple(Failure(each, request.refused) for each in request.references)
            return CommitmentResult(request.transaction_uid, (), failed)
        committed, failed = check(self._store, request.references)
        return CommitmentResult(request.transaction_uid, committed, failed)


def _hold_s(objects: int) -> float:
    return HOLD_S + HOLD_EACH_S * objects


class _Teller(Peer):
    """A peer that hears what became of its request."""

    def tell(self, result: CommitmentResult) -> None:
        """N-EVENT-REPORT over an association of its own.

        Raises:
            _Declined: it does not want the report, also later.
            PeerUnreachable, PeerRefused, PeerBusy: it can't be told now.
        """
        event = result_event(result, lambda status: None)
        role = build_role(COMMITMENT_CLASS, scu_role=False, scp_role=True)
        with self._association([build_context(COMMITMENT_CLASS)], [role]) as association:
            answer, _ = association.send_n_event_report(
                event.dataset, event.number, event.sop_class_uid, event.sop_instance_uid
            )
            error = self._error_of(answer, "N-EVENT-REPORT (storage commitment)")
            if isinstance(error, PeerRefused):
                raise _Declined(str(error))
            if error is not None:
                raise error


class _Declined(PeerRefused):
    """It answered the report itself with a failure."""
