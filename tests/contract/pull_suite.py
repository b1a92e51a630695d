"""What is remembered of pulls: one process a study, nothing tried twice, the dead replaced."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

import pytest

from pacs_bridge.errors import UnknownStudy
from pacs_bridge.pull import standing_of
from pacs_bridge.pull.ledger import PullLedger, owner_here
from pacs_bridge.pull.values import Found, FoundSeries, FoundStudy, PullState, SeriesWish
from pacs_bridge.store import Store


def found(uid: str = "1.2", images: int | None = 30, settling: bool = False) -> Found:
    wanted = SeriesWish(FoundSeries("1.2.1", "CT", "thin", images=24), None, 24)
    left_out = (FoundSeries("1.2.2", "CT", "thick", images=6), "too thick")
    return Found(FoundStudy(uid, "20260105", "CT", ("CT",), images), (wanted,), (left_out,),
                 settling=settling)  # fmt: skip


class PullSuite:
    """To be run on every database."""

    def test_a_study_is_one_processes_until_it_is_done(self, store: Store) -> None:
        ledger = PullLedger(store)
        ledger.enter(found(), "r", "PACS")
        assert ledger.claim("other rule", "a") is None
        pull = ledger.claim("r", "a")
        assert pull is not None
        assert (pull.study_uid, pull.wanted, pull.series, pull.left_out) == (
            "1.2", 24, ("1.2.1",), ("1.2.2",)
        )  # fmt: skip
        assert ledger.claim("r", "b") is None
        ledger.enter(found(), "r", "PACS")  # found again meanwhile: nothing changes
        assert ledger.claim("r", "b") is None
        standing = standing_of(store, "1.2")
        assert standing is not None
        assert (standing.under_way, standing.left_out) == (True, frozenset({"1.2.2"}))
        assert ledger.at_work("1.2", "a", 5, 24)
        assert not ledger.at_work("1.2", "b", 7, 24)
        ledger.fetched("1.2", "a", 24, "all of it")
        done = ledger.of("1.2")
        assert done is not None
        assert (done.state, done.came) == (PullState.FETCHED, 24)
        assert [e.what for e in store.events_of("1.2")] == ["pulled"]
        assert ledger.take_handed_on() == ["1.2"]
        assert ledger.take_handed_on() == []
        after = standing_of(store, "1.2")
        assert after is not None
        assert not after.under_way

    def test_threads_that_claim_share_the_studies_out(self, store: Store) -> None:
        ledger = PullLedger(store)
        uids = [f"1.2.{n}" for n in range(40)]
        for uid in uids:
            ledger.enter(found(uid), "r", "PACS")
        got: list[str] = []

        def take(name: str) -> None:
            while (pull := ledger.claim("r", name)) is not None:
                got.append(pull.study_uid)

        threads = [threading.Thread(target=take, args=(f"t{n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == sorted(uids)

    def test_who_says_nothing_any_more_is_replaced(self, store: Store) -> None:
        ledger = PullLedger(store, lease_s=-1)
        ledger.enter(found(), "r", "PACS")
        assert ledger.claim("r", "a") is not None
        assert ledger.claim("r", "b") is not None
        assert not ledger.at_work("1.2", "a", 3, 24), "a learns that it was replaced"
        ledger.failed("1.2", "a", "late", 0)
        ledger.fetched("1.2", "a", 3, "late")
        pull = ledger.of("1.2")
        assert pull is not None
        assert (pull.state, pull.attempts) == (PullState.FETCHING, 0)

    def test_what_a_dead_process_of_this_machine_left_is_free_at_once(self, store: Store) -> None:
        ledger = PullLedger(store)
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        ledger.enter(found("1.1"), "r", "PACS")
        ledger.enter(found("1.2"), "r", "PACS")
        ledger.enter(found("1.3"), "r", "PACS")
        ledger.enter(found("1.4"), "r", "PACS")
        here = socket.gethostname()
        owners = [
            f"{here}:{dead.pid}", owner_here(), f"{here}:{os.getppid()}", f"elsewhere:{dead.pid}",
        ]  # fmt: skip
        for owner in owners:
            assert ledger.claim("r", owner) is not None
        assert owner_here().endswith(str(os.getpid()))
        # in a container a process that is started anew has the number of the dead one
        assert ledger.release() == 2
        freed = [ledger.claim("r", "new"), ledger.claim("r", "new")]
        assert sorted(pull.study_uid for pull in freed if pull) == ["1.1", "1.2"]
        assert ledger.claim("r", "new") is None

    def test_failing_waits_longer_and_ends(self, store: Store) -> None:
        ledger = PullLedger(store)
        ledger.enter(found(), "r", "PACS")
        assert ledger.claim("r", "a")
        ledger.failed("1.2", "a", "hung up", 3600)
        assert ledger.claim("r", "a") is None
        waits = ledger.waiting("r")
        assert waits is not None
        ledger.retry("1.2", "zhang")
        assert ledger.claim("r", "a")
        ledger.failed("1.2", "a", "the archive is away", 0, counts=False)
        pull = ledger.claim("r", "a")
        assert pull is not None
        assert pull.attempts == 0
        ledger.failed("1.2", "a", "no", None)
        assert ledger.claim("r", "a") is None
        assert [e.what for e in store.events_of("1.2")] == [
            "pull-failed", "pull-retried", "pull-given-up"
        ]  # fmt: skip
        assert [p.last_error for p in ledger.newest()] == ["no"]
        ledger.retry("1.2", "zhang")
        assert ledger.claim("r", "a")
        with pytest.raises(UnknownStudy, match="doesn't wait"):
            ledger.retry("1.2", "zhang")
        with pytest.raises(UnknownStudy):
            ledger.retry("9.9", "zhang")

    def test_a_study_that_settles_keeps_its_first_moment(self, store: Store) -> None:
        ledger = PullLedger(store)
        ledger.enter(found(settling=True), "r", "PACS")
        first = ledger.of("1.2")
        assert ledger.claim("r", "a") is None
        assert standing_of(store, "1.2") is None
        ledger.enter(found(settling=True), "r", "PACS")
        second = ledger.of("1.2")
        ledger.enter(found(images=31, settling=True), "r", "PACS")
        third = ledger.of("1.2")
        assert first and second and third
        assert first.found_at == second.found_at < third.found_at
        assert ledger.settled("r", 60) == [], "it has had no time yet"
        assert ledger.settled("r", 0) == ["1.2"]
        assert ledger.settled("other rule", 0) == []
        ledger.forget("1.2")
        assert ledger.of("1.2") is None
        ledger.enter(found(), "r", "PACS")
        ledger.forget("1.2")
        assert ledger.of("1.2") is not None, "only while it settles"

    def test_a_rule_remembers_its_looks_and_wishes(self, store: Store) -> None:
        ledger = PullLedger(store)
        assert ledger.run_of("r").begun_at is None
        ledger.ask("r", "zhang")
        assert ledger.run_of("r").asked_by == "zhang"
        ledger.begun("r", asked=False)
        assert ledger.run_of("r").asked_by and ledger.run_of("r").asked_at, "it is still to be done"
        ledger.begun("r", asked=True)
        begun = ledger.run_of("r")
        assert begun.asked_at is None and begun.begun_at and begun.ended_at is None
        ledger.ended("r", 5, 2, "no answer")
        ended = ledger.run_of("r")
        assert (ended.found, ended.taken, ended.problem) == (5, 2, "no answer")
        ledger.trouble("r", "")
        assert ledger.run_of("r").problem == ""
