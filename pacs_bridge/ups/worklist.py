"""The worklist service (PS3.4 CC.2, PS3.18 11): each call one transaction, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import Connection

from pacs_bridge.audit import write_event
from pacs_bridge.database import writing
from pacs_bridge.dicomweb.server.query import Query, parse
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.store import Store
from pacs_bridge.ups import content, event, ledger, tasks, watching
from pacs_bridge.ups.event import CANCEL_WORDS
from pacs_bridge.ups.ledger import Workitem
from pacs_bridge.ups.order import is_ours, order_of
from pacs_bridge.ups.states import (
    UpsState,
    already,
    change,
    is_uid,
    may_update,
    not_here,
)
from pacs_bridge.ups.stopping import stop
from pacs_bridge.withdrawals import want_again

AUTHOR = "preread"
"""Who it is in the audit trail that performs a workitem."""


@dataclass
class Worklist:
    """Creates, changes and searches workitems, and tells whoever watches them.

    Args:
        store: keeps them.
        stations: our own names in Scheduled Station Name Code Sequence.
        work: ``value^scheme`` of the work that is ours where no station is named.
    """

    store: Store
    stations: Collection[str] = ()
    work: Collection[str] = ()
    _bells: set[Callable[[], None]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # for requesters ------------------------------------------------------------------------

    def create(self, given: Dataset, uid: str, who: str) -> tuple[str, bool]:
        """A new workitem; its UID, and whether it is more than what was given.

        Args:
            given: its attributes.
            uid: that it is to have; empty: the one in the attributes, else a new one.
            who: asks for it.

        Raises:
            WorkitemRefused: 400 the attributes are not enough, 409 there is one of that UID.
        """
        named = given.get("SOPInstanceUID") or given.get("AffectedSOPInstanceUID")
        uid = content.checked_uid(str(uid or named or generate_uid(None)), "workitem")
        if uid in watching.GLOBAL:
            raise WorkitemRefused(409, f"{uid} stands for all workitems.", code=0x0111)
        attributes, modified = content.created(given, uid)
        with self._changing() as db:
            if not ledger.insert(db, Workitem(uid, attributes), self._ours(attributes), who):
                raise WorkitemRefused(409, "The Target Workitem already exists.", uid, 0x0111)
            told = []
            for each in watching.global_watchers(db):
                if each.ae_title not in told and each.wants(attributes):
                    watching.watch(db, uid, each.ae_title, each.locked)
                    told.append(each.ae_title)
            watching.tell(db, told, event.reports_of_creation(attributes))
            _record(db, who, "workitem-created", attributes, uid)
        return uid, modified

    def retrieve(self, uid: str) -> Dataset:
        """A workitem.

        Raises:
            WorkitemRefused: 404.
        """
        with self.store.engine.connect() as db:
            return ledger.of(db, uid).attributes

    def search(self, query: Query, most: int) -> tuple[list[dict[str, Any]], bool]:
        """Workitems that match as DICOM JSON, the newest first, and whether there are more."""
        state, study_uid = query.of("ProcedureStepState"), query.of("StudyInstanceUID")
        exact = state if state in list(UpsState) else ""
        study = study_uid if is_uid(study_uid) else ""
        most = min(most, most if query.limit is None else query.limit)
        found: list[dict[str, Any]] = []
        skipped = 0
        with self.store.engine.connect() as db:
            for each in ledger.all_of(db, query, exact, study):
                if skipped < query.offset:
                    skipped += 1
                elif len(found) < most:
                    found.append(each)
                else:
                    return found, True
        return found, False

    def update(self, uid: str, changes: Dataset, transaction_uid: str, who: str) -> bool:
        """Change the content of a workitem; whether something was left out of the changes.

        Raises:
            WorkitemRefused: 404 it is not here, 400 or 409 not now or not by this caller, 400
                not these changes.
        """
        with self._changing() as db:
            held = ledger.of(db, uid, to_change=True)
            may_update(held.state, held.transaction_uid, transaction_uid)
            attributes, modified = content.updated(held.attributes, changes)
            self._put(db, held, replace(held, attributes=attributes))
            _record(db, who, "workitem-changed", attributes, uid)
        return modified

    def change_state(self, uid: str, wanted: str, transaction_uid: str, who: str) -> str:
        """Claim, complete or cancel a workitem; a warning, empty where it was done.

        Raises:
            WorkitemRefused: 404 it is not here, 400 or 409 not now or not by this caller, 409
                it lacks what a final state needs.
        """
        if transaction_uid:
            content.checked_uid(transaction_uid, "TransactionUID")
        with self._changing() as db:
            held = ledger.of(db, uid, to_change=True)
            warning = change(held.state, held.transaction_uid, wanted, transaction_uid)
            if not warning:
                self._go(db, held, UpsState(wanted), transaction_uid, who)
        return warning

    def request_cancel(self, uid: str, request: Dataset, requester: str, who: str) -> str:
        """Somebody who does not perform a workitem wants it cancelled; a warning, or empty.

        Raises:
            WorkitemRefused: 404 it is not here; 409 it is completed, or our results are on their
                way, or nobody who performs it would hear of it.
        """
        with self._changing() as db:
            held = ledger.of(db, uid, to_change=True)
            if held.state is UpsState.CANCELED:
                return already(UpsState.CANCELED)
            if held.state is UpsState.COMPLETED:
                raise WorkitemRefused(409, "The UPS is already COMPLETED.", code=0xC311)
            task = tasks.of(db, uid)
            reason = str(request.get("ReasonForCancellation") or "")
            if task is not None and not stop(db, task, requester, reason, who):
                told = "the study is read, and its results are being sent"
                raise WorkitemRefused(409, "Performer chooses not to cancel.", told, 0xC313)
            watched = watching.watchers_of(db, uid)
            if held.state is UpsState.SCHEDULED:
                claimed = self._go(db, held, UpsState.IN_PROGRESS, str(generate_uid(None)), who)
                self._cancel(db, claimed, request, who)
                return ""
            if task is None and not watched:
                raise WorkitemRefused(409, "The performer cannot be contacted.", code=0xC312)
            watching.tell(db, watched, [event.cancel_report(held.attributes, request, requester)])
            if task is not None:
                self._cancel(db, held, request, who)
        return ""

    # for watchers --------------------------------------------------------------------------

    def subscribe(
        self, uid: str, ae_title: str, locked: bool, keys: Collection[tuple[str, str]], who: str
    ) -> None:
        """Have an AE told of a workitem, of all, or of all that match ``keys``.

        Raises:
            WorkitemRefused: 404 it is not here.
            BadQuery: a key that is no attribute.
        """
        query = parse(list(keys))
        with self._changing() as db:
            if uid not in watching.GLOBAL:
                held = ledger.of(db, uid, to_change=True)
                watching.watch(db, uid, ae_title, locked)
                watching.tell(db, [ae_title], [event.state_report(held.attributes)])
            else:
                watching.watch(db, uid, ae_title, locked, keys)
                for each in list(ledger.all_of(db, query)):
                    (found,) = each["00080018"]["Value"]  # SOPInstanceUID
                    if watching.watches(db, found, ae_title):
                        continue
                    watching.watch(db, found, ae_title, locked)
                    if locked:
                        report = event.state_report(ledger.of(db, found).attributes)
                        watching.tell(db, [ae_title], [report])
            write_event(db, who, "worklist-watched", None, f"{ae_title}: {uid}")

    def unsubscribe(self, uid: str, ae_title: str) -> None:
        """Have an AE told no more; of all workitems: of none at all.

        Raises:
            WorkitemRefused: 404 it wasn't.
        """
        with self._changing() as db:
            if uid in watching.GLOBAL:
                gone = watching.unwatch_all(db, ae_title)
            else:
                gone = watching.unwatch(db, uid, ae_title)
            if not gone:
                raise not_here(f"{ae_title} does not watch {uid}")

    def suspend(self, uid: str, ae_title: str) -> None:
        """Have an AE told of no new workitems; it goes on watching those it watches.

        Raises:
            WorkitemRefused: 404 it wasn't, 400 it is one workitem.
        """
        if uid not in watching.GLOBAL:
            raise WorkitemRefused(
                400, "Specified action not appropriate for specified instance.", code=0xC314
            )
        with self._changing() as db:
            if not watching.unwatch(db, uid, ae_title):
                raise not_here(f"{ae_title} does not watch {uid}")

    def waiting_for(self, ae_title: str) -> list[tuple[int, Dataset]]:
        """What an AE has yet to hear, the oldest first, with its number."""
        with self.store.engine.connect() as db:
            return watching.waiting_for(db, ae_title)

    def heard(self, number: int) -> None:
        """An AE was told."""
        with writing(self.store.engine) as db:
            watching.heard(db, number)

    def listen(self, bell: Callable[[], None]) -> Callable[[], None]:
        """Have ``bell`` rung, in any thread, after each change; call the result to end that."""
        with self._lock:
            self._bells.add(bell)

        def end() -> None:
            with self._lock:
                self._bells.discard(bell)

        return end

    # for the performer ---------------------------------------------------------------------

    def restarted(self) -> None:
        """Tell whoever watches anything that the server was started."""
        with self._changing() as db:
            watching.tell(db, watching.everybody(db), [event.restarted()])

    def forget(self, before: float) -> int:
        """Remove workitems that ended before a time and nobody locks; how many."""
        with writing(self.store.engine) as db:
            watching.forget(db)
            return ledger.forget(db, before)

    def claim_due(self) -> int:
        """Take what is ours to perform now; how many."""
        with self.store.engine.connect() as db:
            found = ledger.due(db)
        taken = 0
        for each in found:
            with self._changing() as db:
                held = ledger.of(db, each.uid, to_change=True)
                if held.state is not UpsState.SCHEDULED:  # another server was faster
                    continue
                self._go(db, held, UpsState.IN_PROGRESS, str(generate_uid(None)), AUTHOR)
                study_uid = order_of(held.attributes).study_uid
                tasks.add(db, each.uid, study_uid)
                want_again(db, study_uid)
                taken += 1
        return taken

    def amend(self, uid: str, fill: Callable[[Dataset], None]) -> None:
        """Change a workitem that we perform; nothing where that left it as it was."""
        with self.store.engine.connect() as db:
            before = ledger.of(db, uid).attributes
        after = content.copied(before)
        fill(after)
        if after == before:
            return
        with self._changing() as db:
            held = ledger.of(db, uid, to_change=True)
            if held.state is UpsState.IN_PROGRESS:
                fill(held.attributes)
                content.stamped(held.attributes)
                self._put(db, Workitem(uid, before), held)

    def end(self, uid: str, state: UpsState, fill: Callable[[Dataset], None]) -> None:
        """End a workitem that we perform.

        Args:
            uid: which.
            state: COMPLETED or CANCELED.
            fill: fills in what the state needs.
        """
        with self._changing() as db:
            held = ledger.of(db, uid, to_change=True)
            if held.state is UpsState.IN_PROGRESS:
                filled = content.copied(held.attributes)
                fill(filled)
                claimed = replace(held, attributes=filled)
                self._go(db, claimed, state, held.transaction_uid, AUTHOR, before=held)
            tasks.end(db, uid)

    # inside --------------------------------------------------------------------------------

    def _ours(self, attributes: Dataset) -> bool:
        return is_ours(attributes, self.stations, self.work)

    def _go(
        self,
        db: Connection,
        held: Workitem,
        state: UpsState,
        transaction_uid: str,
        who: str,
        before: Workitem | None = None,
    ) -> Workitem:
        if state.final:
            attributes = content.ended(held.attributes, state)
        else:
            attributes = content.copied(held.attributes)
            attributes.ProcedureStepState = state.value
            content.stamped(attributes)
        gone = Workitem(held.uid, attributes, transaction_uid)
        self._put(db, before or held, gone)
        told = f"{held.uid}: {reason_of(attributes)}" if state is UpsState.CANCELED else held.uid
        _record(db, who, _HAPPENED[state], attributes, told)
        return gone

    def _cancel(self, db: Connection, held: Workitem, request: Dataset, who: str) -> None:
        attributes = content.copied(held.attributes)
        progress = content.progress_of(attributes)
        for keyword in CANCEL_WORDS[:2]:
            if request.get(keyword):
                progress[keyword] = request[keyword]
        with_why = replace(held, attributes=attributes)
        self._go(db, with_why, UpsState.CANCELED, held.transaction_uid, who, before=held)
        tasks.end(db, held.uid)

    def _put(self, db: Connection, before: Workitem, after: Workitem) -> None:
        ledger.put(db, after, ours=self._ours(after.attributes))
        reports: Iterable[Dataset] = event.reports_of_change(before.attributes, after.attributes)
        watching.tell(db, watching.watchers_of(db, after.uid), list(reports))

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with writing(self.store.engine) as db:
            yield db
        with self._lock:
            bells = list(self._bells)
        for bell in bells:
            bell()


_HAPPENED = {
    UpsState.IN_PROGRESS: "workitem-claimed",
    UpsState.COMPLETED: "workitem-completed",
    UpsState.CANCELED: "workitem-canceled",
}


def reason_of(attributes: Dataset) -> str:
    """Why a workitem was cancelled."""
    for item in attributes.get("ProcedureStepProgressInformationSequence") or ():
        if item.get("ReasonForCancellation"):
            return str(item.ReasonForCancellation)
    return "no reason given"


def _record(db: Connection, who: str, what: str, attributes: Dataset, detail: str) -> None:
    study_uid = order_of(attributes).study_uid or None
    write_event(db, who, what, study_uid, detail[:400])
