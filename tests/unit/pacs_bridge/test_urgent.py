"""Urgent studies in the store, the audit trail and among the deliveries."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.report import FindingReview, Stage, Verdict
from pacs_bridge.deliver import Courier
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import State
from pacs_bridge.store import Store, Study
from tests.network.review_samples import add, report, supersede
from tests.urgent import urgency

ALERTS = DestinationSettings(
    name="alerts", ae_title="ALERTS", host="127.0.0.1", port=104, accepts=("SR",), studies="urgent"
)
PACS = DestinationSettings(name="pacs", ae_title="PACS", host="127.0.0.1", port=104)


def decide(store: Store, study: Study, number: int, verdict: Verdict) -> None:
    uid = f"{study.study_uid}.9.{number}"
    store.save_review(study.study_uid, 1, FindingReview(tracking_uid=uid, verdict=verdict), "zhang")


def listed(store: Store) -> list[tuple[str, bool]]:
    return [(r.study.study_uid.rpartition(".")[2], r.urgent) for r in store.worklist()]


def told(store: Store, study: Study) -> list[str]:
    return [e.what for e in store.events_of(study.study_uid) if e.what.startswith("urgent")]


def test_urgent_ones_come_first_until_they_are_signed(store: Store) -> None:
    urgent = add(store, 1, urgency=urgency())
    for number in (2, 3):
        add(store, number)
    assert listed(store) == [("1", True), ("3", False), ("2", False)]
    assert [r.study.study_uid[-1] for r in store.worklist(limit=1)] == ["1"]
    store.set_state(urgent.study_uid, 1, State.FINALISING)
    assert listed(store) == [("3", False), ("2", False), ("1", True)]


def test_the_list_says_why_without_opening_the_report(store: Store) -> None:
    add(store, 1, urgency=urgency())
    (row,) = store.worklist()
    assert row.report is None
    assert "Findings 1, 2 reach the operating point of site_model 2.1" in row.urgent_why.en
    assert row.urgent_why.zh.startswith("病灶 1、2 达到")
    one = store.reading(row.study.study_uid)
    assert one.urgent and one.urgent_why == row.urgent_why


def test_the_reader_takes_it_back_and_the_trail_says_so(store: Store) -> None:
    study = add(store, 1, urgency=urgency())
    decide(store, study, 3, Verdict.REJECTED)
    decide(store, study, 1, Verdict.REJECTED)
    assert listed(store) == [("1", True)] and told(store, study) == []
    decide(store, study, 2, Verdict.REJECTED)
    assert listed(store) == [("1", False)]
    assert "taken back" in store.worklist()[0].urgent_why.en
    (event,) = [e for e in store.events_of(study.study_uid) if e.what == "urgent-taken-back"]
    assert (event.who, event.detail) == ("zhang", "findings 1, 2 of site_model 2.1")
    decide(store, study, 2, Verdict.ACCEPTED)
    assert listed(store) == [("1", True)]
    assert told(store, study) == ["urgent-taken-back", "urgent-stands-again"]


def test_a_newer_reading_stands_for_itself(store: Store) -> None:
    study = add(store, 1, urgency=urgency())
    add(store, 2)
    supersede(store, study)
    store.set_report(study.study_uid, 2, report(study, revision=2))
    assert dict(listed(store)) == {"1": False, "2": False}


def test_a_reading_begun_again_that_finds_less_is_urgent_no_more(store: Store) -> None:
    study = add(store, 1, urgency=urgency())
    store.set_report(study.study_uid, 1, report(study, 0))
    assert listed(store) == [("1", False)]
    assert store.worklist()[0].urgent_why.en == ""


@pytest.fixture
def courier(store: Store) -> Courier:
    return Courier(store, (PACS, ALERTS), "PREREAD")


def send(courier: Courier, stage: Stage, *, urgent: bool, revision: int = 1) -> None:
    objects = [(kind, f"1.2.{revision}.{stage}.{kind}", Path("/x")) for kind in ("SEG", "SR")]
    courier.enqueue("1.2.3", revision, stage, objects, urgent=urgent)


def where(store: Store) -> set[tuple[str, str, str]]:
    return {(d.destination, d.stage.value, d.kind) for d in store.deliveries_of("1.2.3")}


def test_alerts_get_urgent_studies_and_nothing_else(store: Store, courier: Courier) -> None:
    send(courier, Stage.PRELIMINARY, urgent=False)
    send(courier, Stage.FINAL, urgent=False)
    assert {name for name, _, _ in where(store)} == {"pacs"}


def test_whoever_was_alerted_learns_what_became_of_it(store: Store, courier: Courier) -> None:
    """The flag taken back, signed, and a newer reading: each follows where the alert went."""
    send(courier, Stage.PRELIMINARY, urgent=True)
    assert ("alerts", "preliminary", "SR") in where(store)
    assert ("alerts", "preliminary", "SEG") not in where(store)
    send(courier, Stage.FINAL, urgent=False)
    assert ("alerts", "final", "SR") in where(store)
    send(courier, Stage.PRELIMINARY, urgent=False, revision=2)
    alerted = [d for d in store.deliveries_of("1.2.3", 2) if d.destination == "alerts"]
    assert len(alerted) == 1
