"""What the store promises of workitems, on either database."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage
from sqlalchemy import update

from imaging.language import Text
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ordered import ordered_urgently
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.values import Found, FoundStudy
from pacs_bridge.states import State
from pacs_bridge.store import Instance, Store, Study
from pacs_bridge.tables import withdrawals, workitem_events, workitems
from pacs_bridge.ups import tasks
from pacs_bridge.ups.event import EVERY
from pacs_bridge.ups.fetch import RULE
from pacs_bridge.ups.outcome import says_progress, says_why_not
from pacs_bridge.ups.states import UpsState
from pacs_bridge.ups.worklist import Worklist
from pacs_bridge.withdrawals import withdrawn
from tests.contract.store_suite import at_once
from tests.workitems import STUDY, performed, workitem


def worklist(store: Store) -> Worklist:
    return Worklist(store, ("PREREAD",), ("110004^DCM",))


class UpsSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_a_workitem_comes_back_as_it_was_given(self, store: Store) -> None:
        uid, _ = worklist(store).create(workitem(PatientName="张^三"), "", "pacs")
        held = worklist(store).retrieve(uid)
        assert held.PatientName == "张^三" and held.StudyInstanceUID == STUDY
        with pytest.raises(WorkitemRefused):
            worklist(store).create(workitem(), uid, "pacs")

    def test_of_many_who_create_it_one_does(self, store: Store) -> None:
        def create() -> str:
            return worklist(store).create(workitem(), "1.2.3.4", "pacs")[0]

        outcomes = at_once([create] * 4)
        refused = [getattr(each, "code", each) for each in outcomes if each != "1.2.3.4"]
        assert refused == [0x0111] * 3

    def test_of_many_who_claim_one_gets_it(self, store: Store) -> None:
        uid, _ = worklist(store).create(workitem(station="OTHER"), "", "pacs")

        def claim(n: int) -> str:
            return worklist(store).change_state(uid, "IN PROGRESS", f"1.2.{n}", "ai")

        outcomes = at_once([lambda n=n: claim(n) for n in range(1, 5)])  # type: ignore[misc]
        assert sum(outcome == "" for outcome in outcomes) == 1
        refused = [each for each in outcomes if each != ""]
        assert {getattr(each, "code", each) for each in refused} == {0xC301}

    def test_of_two_servers_one_takes_what_is_due(self, store: Store) -> None:
        uids = {worklist(store).create(workitem(), "", "pacs")[0] for _ in range(3)}
        worklist(store).create(workitem(station="OTHER"), "", "pacs")
        later = "20990101000000"
        worklist(store).create(workitem(ScheduledProcedureStepStartDateTime=later), "", "pacs")
        worklist(store).create(workitem(InputReadinessState="INCOMPLETE"), "", "pacs")
        taken = at_once([worklist(store).claim_due for _ in range(3)])
        assert sum(n for n in taken if isinstance(n, int)) == 3
        with store.engine.connect() as db:
            assert {each.workitem_uid for each in tasks.under_way(db)} == uids

    def test_what_is_made_ready_or_is_changed_to_us_becomes_due(self, store: Store) -> None:
        uid, _ = worklist(store).create(workitem(InputReadinessState="INCOMPLETE"), "", "pacs")
        assert worklist(store).claim_due() == 0
        ready = Dataset()
        ready.InputReadinessState = "READY"
        worklist(store).update(uid, ready, "", "pacs")
        assert worklist(store).claim_due() == 1

    def test_our_own_workitem_gets_on_and_ends_once(self, store: Store) -> None:
        mine = worklist(store)
        uid, _ = mine.create(workitem(), "", "pacs")
        mine.subscribe(uid, "PACS", False, [], "pacs")
        mine.claim_due()
        for _ in range(2):  # the same again is no change
            mine.amend(uid, says_progress(30, "at it"))

        def fill(held: Dataset) -> None:
            held.update(performed())

        for _ in range(2):
            mine.end(uid, UpsState.COMPLETED, fill)
        assert mine.retrieve(uid).ProcedureStepState == "COMPLETED"
        told = [int(report.EventTypeID) for _, report in mine.waiting_for("PACS")]
        assert told == [1, 1, 3, 1]
        with store.engine.connect() as db:
            assert tasks.under_way(db) == []
        assert mine.claim_due() == 0
        happened = [event.what for event in store.events_of(STUDY)]
        assert happened == ["workitem-created", "workitem-claimed", "workitem-completed"]

    def test_while_we_wait_for_images_it_may_be_cancelled(self, store: Store) -> None:
        mine = worklist(store)
        uids = [mine.create(workitem(), "", "pacs")[0] for _ in range(2)]
        mine.claim_due()
        assert mine.request_cancel(uids[0], Dataset(), "PACS", "pacs") == ""
        assert mine.retrieve(uids[0]).ProcedureStepState == "CANCELED"
        with store.engine.begin() as db:
            (left,) = tasks.under_way(db)
            tasks.move(db, left, tasks.Step.SENDING)
        with pytest.raises(WorkitemRefused) as refused:
            mine.request_cancel(uids[1], Dataset(), "PACS", "pacs")
        assert refused.value.code == 0xC313
        mine.end(uids[0], UpsState.CANCELED, says_why_not(("1", "99X", "x"), "too late"))
        (item,) = mine.retrieve(uids[0]).ProcedureStepProgressInformationSequence
        assert "ReasonForCancellation" not in item

    def test_old_ones_go_unless_somebody_locks_them(self, store: Store) -> None:
        mine = worklist(store)
        names = ("open", "ended", "locked")
        uids = {name: mine.create(workitem(station="OTHER"), "", "pacs")[0] for name in names}
        mine.subscribe(uids["locked"], "PACS", True, [], "pacs")
        for name in ("ended", "locked"):
            mine.request_cancel(uids[name], Dataset(), "PACS", "pacs")
        assert mine.forget(time.time() - 60) == 0
        assert mine.forget(time.time() + 60) == 1
        with pytest.raises(WorkitemRefused) as refused:
            mine.retrieve(uids["ended"])
        assert refused.value.status == 410
        mine.unsubscribe(uids["locked"], "PACS")
        assert mine.forget(time.time() + 60) == 1
        assert mine.retrieve(uids["open"]).ProcedureStepState == "SCHEDULED"
        with pytest.raises(WorkitemRefused) as refused:
            mine.retrieve(uids["ended"])
        assert refused.value.status == 404  # in time that is forgotten too

    def test_cancelling_stops_what_the_order_brought_about(self, store: Store) -> None:
        mine = worklist(store)
        uid = self._ordered(store, mine, "1.2.40")
        revision = store.open_reading("1.2.40", "test")
        assert revision == 1 and store.set_state("1.2.40", 1, State.ANALYSING)
        why = Dataset()
        why.ReasonForCancellation = "wrong patient"
        assert mine.request_cancel(uid, why, "RIS", "pacs") == ""
        assert mine.retrieve(uid).ProcedureStepState == "CANCELED"
        stopped = store.reading("1.2.40")
        assert stopped.state is State.NOT_ANALYSED
        assert stopped.reason.en == "RIS cancelled the order: wrong patient"
        assert stopped.reason.zh == "RIS 取消了工作项：wrong patient"
        assert not store.set_state("1.2.40", 1, State.COMPOSING)
        assert store.reading("1.2.40") == stopped
        assert "reading-withdrawn" in [event.what for event in store.events_of("1.2.40")]
        store.reopen("1.2.40", 1, "zhang")
        assert store.set_state("1.2.40", 1, State.ANALYSING)
        assert withdrawn(store.engine, "1.2.40", 1) is None

    def test_a_reading_is_stopped_before_it_is_begun(self, store: Store) -> None:
        mine = worklist(store)
        for study_uid in ("1.2.41", "1.2.42", "1.2.43"):
            uid = self._ordered(store, mine, study_uid)
            assert mine.request_cancel(uid, Dataset(), "RIS", "pacs") == ""
        store.open_reading("1.2.41", "test")
        assert withdrawn(store.engine, "1.2.41", 1) == Text(
            en="RIS cancelled the order", zh="RIS 取消了工作项"
        )
        self._ordered(store, mine, "1.2.42")  # and is wanted after all
        store.open_reading("1.2.42", "test")
        assert withdrawn(store.engine, "1.2.42", 1) is None
        with store.engine.begin() as db:
            db.execute(update(withdrawals).values(at=1.0))
        store.open_reading("1.2.43", "test")  # long after, when somebody else sent it
        assert withdrawn(store.engine, "1.2.43", 1) is None

    def test_what_others_want_is_read_though_an_order_is_cancelled(self, store: Store) -> None:
        mine = worklist(store)
        sent_here = self._ordered(store, mine, "1.2.44", fetched=False)
        first = self._ordered(store, mine, "1.2.45")
        second = self._ordered(store, mine, "1.2.45")
        for study_uid in ("1.2.44", "1.2.45"):
            store.open_reading(study_uid, "test")
        for uid in (sent_here, first):
            assert mine.request_cancel(uid, Dataset(), "RIS", "pacs") == ""
            assert mine.retrieve(uid).ProcedureStepState == "CANCELED"
        for study_uid in ("1.2.44", "1.2.45"):
            assert store.reading(study_uid).state is State.PLANNING
        store.set_state("1.2.45", 1, State.DELIVERING)
        with pytest.raises(WorkitemRefused) as refused:
            mine.request_cancel(second, Dataset(), "RIS", "pacs")
        assert refused.value.code == 0xC313

    def _ordered(
        self, store: Store, mine: Worklist, study_uid: str, *, fetched: bool = True
    ) -> str:
        """A workitem that we have taken, whose images are here."""
        uid, _ = mine.create(workitem(study_uid), "", "pacs")
        mine.claim_due()
        instance = Instance(
            study_uid, f"{study_uid}.9", f"{study_uid}.9.1", CTImageStorage, Path("/in/1"), "a", 1,
            "PACS",
        )  # fmt: skip
        store.record_instance(instance, Study(study_uid))
        if fetched:
            found = Found(FoundStudy(study_uid), (), ())
            PullLedger(store).enter(found, RULE, "PACS")
        with store.engine.begin() as db:
            task = tasks.of(db, uid)
            assert task is not None
            tasks.move(db, task, tasks.Step.READING)
        return uid

    def test_what_nobody_fetches_is_given_up(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        mine = worklist(store)
        monkeypatch.setattr("pacs_bridge.ups.watching.MOST_WAITING", 3)
        mine.subscribe(EVERY, "BOARD", False, [], "pacs")
        last = [mine.create(workitem(), "", "pacs")[0] for _ in range(5)][2:]
        mine.forget(0.0)
        kept = mine.waiting_for("BOARD")
        assert [str(report.AffectedSOPInstanceUID) for _, report in kept] == last
        with store.engine.begin() as db:
            db.execute(update(workitem_events).values(at=1.0))
        mine.forget(0.0)
        assert mine.waiting_for("BOARD") == []

    def test_urgent_ones_are_taken_first(self, store: Store) -> None:
        mine = worklist(store)
        mine.create(workitem("1.2.30"), "", "pacs")
        mine.create(workitem("1.2.31", ScheduledProcedureStepPriority="HIGH"), "", "pacs")
        with store.engine.begin() as db:
            db.execute(update(workitems).values(due_at=1.0))
        assert mine.claim_due() == 2
        with store.engine.connect() as db:
            assert [each.study_uid for each in tasks.under_way(db)] == ["1.2.31", "1.2.30"]
        assert [ordered_urgently(store, uid) for uid in ("1.2.30", "1.2.31")] == [False, True]
