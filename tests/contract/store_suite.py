"""What the store promises, whichever database keeps it; run by ``test_store_databases``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest

from imaging.finding import Code, Finding, ImageReference
from imaging.language import Text
from imaging.report import (
    FindingReview,
    Model,
    Patient,
    Report,
    Signature,
    Stage,
    Verdict,
)
from pacs_bridge.errors import UnknownStudy, WrongState
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Delivery, Instance, Store, Study

STUDY = "1.2.3"
SIGNATURE = Signature(name="Zhang^San", organization="县医院", signed_at=datetime.now(UTC))
T = TypeVar("T")


def instance(number: int = 1, study_uid: str = STUDY, digest: str = "a") -> Instance:
    uid = f"{study_uid}.9.{number}"
    return Instance(
        study_uid, f"{study_uid}.9", uid, "1.2.840.10008.5.1.4.1.1.2", Path(f"/in/{uid}.{digest}"),
        digest, 512, "CT1",
    )  # fmt: skip


def study(study_uid: str = STUDY) -> Study:
    return Study(study_uid, "P1", "张^三", "A1", "20240102", "Chest", "CT1")


def code(meaning: str) -> Code:
    return Code(value="1", scheme="SCT", meaning=Text(en=meaning, zh=meaning))


def finding(number: int) -> Finding:
    image = ImageReference(sop_class_uid="1.2.840.10008.5.1.4.1.1.2", sop_instance_uid="1.2.3.9.1")
    point = (0.0, 0.0, 0.0)
    return Finding(
        number=number, tracking_uid=f"2.25.{number}", tracking_id=f"nodule {number}",
        label=code("nodule"), site=code("lung"), score=0.9, centre_lps_mm=point,
        long_axis_mm=8.0, short_axis_mm=6.0, long_axis_lps_mm=(point, point),
        short_axis_lps_mm=(point, point), volume_mm3=200.0, mean_hu=20.0, slices=("1.2.3.9.1",),
        key_image=image, key_slice=0, segment_number=number, outlines=(),
    )  # fmt: skip


def report(findings: int = 2, revision: int = 1) -> Report:
    return Report(
        revision=revision,
        created_at=datetime.now(UTC),
        patient=Patient(patient_id="P1", patient_name="张^三"),
        study_uid=STUDY,
        series_uid=f"{STUDY}.9",
        modality="CT",
        slice_count=1,
        spacing_mm=(1.0, 1.0, 1.0),
        model=Model(name="m", version="1", title=Text(en="M", zh="M"), sha256="0"),
        findings=tuple(finding(n + 1) for n in range(findings)),
    )


def awaiting_signature(store: Store, findings: int = 2) -> int:
    """A study with a report that a radiologist may edit; returns its revision."""
    store.record_instance(instance(), study())
    revision = store.open_reading(STUDY, "workflow-1")
    assert revision is not None
    store.set_report(STUDY, revision, report(findings))
    store.set_state(STUDY, revision, State.AWAITING_SIGNATURE)
    return revision


def delivery(kind: str = "SR", destination: str = "pacs", **changes: object) -> Delivery:
    made = Delivery(
        f"{STUDY}.{kind}", destination, STUDY, 1, Stage.PRELIMINARY, kind, Path(f"/out/{kind}")
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def at_once(calls: list[Callable[[], T]]) -> list[T | Exception]:
    """Call all in threads of their own; results or errors, in order."""

    def outcome(call: Callable[[], T]) -> T | Exception:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - handed to the test, which judges it
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(outcome, calls))


class StoreSuite:
    """The promises; a subclass brings the fixture ``store``, an empty store."""

    # receiving

    def test_an_instance_comes_back_as_it_was_recorded(self, store: Store) -> None:
        assert store.record_instance(instance(), study()) is True
        assert store.instances_of(STUDY) == [instance()]
        assert store.known_paths() == {str(instance().path)}
        assert store.unread_studies() == [STUDY]
        held = store.study(STUDY)
        assert replace(held, first_received_at=0.0, last_received_at=0.0) == study()
        assert held.first_received_at == held.last_received_at > 0

    def test_the_same_object_again_is_nothing_new(self, store: Store) -> None:
        store.record_instance(instance(), study())
        store.open_reading(STUDY, "a")
        assert store.record_instance(instance(), study()) is False
        assert store.unread_studies() == []

    def test_other_content_replaces_and_wants_reading_again(self, store: Store) -> None:
        store.record_instance(instance(), study())
        store.open_reading(STUDY, "a")
        assert store.record_instance(instance(digest="b"), study()) is True
        assert store.instances_of(STUDY) == [instance(digest="b")]
        assert store.unread_studies() == [STUDY]

    def test_one_sop_uid_in_two_studies_is_two_instances(self, store: Store) -> None:
        other = replace(instance(), study_uid="9.9")
        store.record_instance(instance(), study())
        assert store.record_instance(other, study("9.9")) is True
        assert store.instances_of(STUDY) == [instance()]
        assert store.instances_of("9.9") == [other]

    def test_many_senders_of_one_study_lose_nothing(self, store: Store) -> None:
        numbers = [n for n in range(60) for _ in range(2)]  # each one twice, at the same time
        news = at_once([lambda n=n: store.record_instance(instance(n), study()) for n in numbers])
        assert Counter(map(str, news))["True"] >= 60
        assert not [each for each in news if isinstance(each, Exception)]
        assert len(store.instances_of(STUDY)) == 60

    def test_an_unknown_study_is_an_error(self, store: Store) -> None:
        for call in (
            lambda: store.study("9"),
            lambda: store.reading("9"),
            lambda: store.open_reading("9", "a"),
            lambda: store.set_state("9", 1, State.PLANNING),
        ):
            with pytest.raises(UnknownStudy, match="9"):
                call()

    # readings

    def test_a_reading_opens_once_for_the_images_held(self, store: Store) -> None:
        store.record_instance(instance(), study())
        assert store.open_reading(STUDY, "a") == 1
        assert store.open_reading(STUDY, "b") is None
        assert store.open_reading(STUDY, "a") == 1  # asked again after a crash
        reading = store.reading(STUDY)
        assert (reading.revision, reading.state, reading.image_count) == (1, State.PLANNING, 1)

    def test_late_images_open_a_revision_that_supersedes(self, store: Store) -> None:
        awaiting_signature(store)
        store.record_instance(instance(2), study())
        assert store.open_reading(STUDY, "workflow-2") == 2
        assert store.reading(STUDY, 1).state is State.SUPERSEDED
        assert store.reading(STUDY).revision == 2
        store.set_state(STUDY, 1, State.COMPOSING)  # its workflow may still be at work
        assert store.reading(STUDY, 1).state is State.SUPERSEDED

    @pytest.mark.parametrize("state", [State.FINALISING, State.FINAL])
    def test_a_signed_reading_is_never_superseded(self, store: Store, state: State) -> None:
        revision = awaiting_signature(store)
        store.set_state(STUDY, revision, state)
        store.record_instance(instance(2), study())
        assert store.open_reading(STUDY, "workflow-2") == 2
        assert store.reading(STUDY, 1).state is state

    def test_of_many_that_open_at_once_one_does(self, store: Store) -> None:
        store.record_instance(instance(), study())
        opened = at_once([lambda n=n: store.open_reading(STUDY, f"workflow-{n}") for n in range(8)])
        assert Counter(opened) == {1: 1, None: 7}

    def test_one_workflow_that_runs_twice_at_once_opens_one(self, store: Store) -> None:
        store.record_instance(instance(), study())
        opened = at_once([lambda: store.open_reading(STUDY, "workflow-1")] * 6)
        assert opened == [1] * 6

    def test_images_that_come_while_a_reading_opens_are_in_one_revision(self, store: Store) -> None:
        store.record_instance(instance(0), study())
        calls: list[Callable[[], object]] = []
        for n in range(1, 21):
            calls.append(lambda n=n: store.record_instance(instance(n), study()))
            calls.append(lambda n=n: store.open_reading(STUDY, f"workflow-{n}"))
        assert not [each for each in at_once(calls) if isinstance(each, Exception)]
        store.open_reading(STUDY, "last")
        assert store.unread_studies() == []
        assert len(store.instances_of(STUDY)) == 21
        newest = store.reading(STUDY).revision
        for revision in range(1, newest):
            assert store.reading(STUDY, revision).state is State.SUPERSEDED

    def test_what_a_reading_is_told_comes_back(self, store: Store) -> None:
        revision = awaiting_signature(store)
        reason = Text(en="8 mm slices", zh="层厚 8 mm")
        store.set_state(STUDY, revision, State.NOT_ANALYSED, reason)
        store.set_complete_because(
            STUDY, revision, Text(en="the PACS counts 133", zh="PACS 计 133 幅")
        )
        store.set_plan(STUDY, revision, '{"a": 1}')
        reading = store.reading(STUDY, revision)
        assert (reading.state, reading.reason) == (State.NOT_ANALYSED, reason)
        assert (reading.complete_because.en, reading.plan) == ("the PACS counts 133", '{"a": 1}')
        assert reading.report is not None and len(reading.report.findings) == 2
        assert reading.positive == 2

    # worklist

    def test_the_worklist_shows_the_newest_reading_of_each_study(self, store: Store) -> None:
        awaiting_signature(store)
        time.sleep(0.01)
        store.record_instance(instance(study_uid="4.5"), study("4.5"))
        time.sleep(0.01)
        store.record_instance(instance(2), study())
        store.open_reading(STUDY, "workflow-2")
        listed = [(r.study.study_uid, r.revision, r.state, r.image_count) for r in store.worklist()]
        assert listed == [(STUDY, 2, State.PLANNING, 2), ("4.5", 0, State.RECEIVING, 1)]

    def test_the_worklist_by_state(self, store: Store) -> None:
        awaiting_signature(store)
        store.record_instance(instance(study_uid="4.5"), study("4.5"))

        def listed(*states: State) -> set[str]:
            return {reading.study.study_uid for reading in store.worklist(states)}

        assert listed(State.AWAITING_SIGNATURE) == {STUDY}
        assert listed(State.RECEIVING) == {"4.5"}
        assert listed(State.RECEIVING, State.AWAITING_SIGNATURE) == {STUDY, "4.5"}
        assert listed(State.FAILED) == set()

    def test_the_worklist_stops_at_its_limit(self, store: Store) -> None:
        for n in range(5):
            store.record_instance(instance(study_uid=f"4.{n}"), study(f"4.{n}"))
        assert len(store.worklist(limit=3)) == 3

    # the reader

    def test_a_verdict_is_kept_and_can_be_changed(self, store: Store) -> None:
        revision = awaiting_signature(store)
        rejected = FindingReview(tracking_uid="2.25.1", verdict=Verdict.REJECTED, text="血管")
        changed = store.save_review(STUDY, revision, rejected, "wang")
        assert [f.number for f in changed.standing_findings] == [2]
        assert store.reading(STUDY).positive == 1
        store.save_review(
            STUDY, revision, rejected.model_copy(update={"verdict": Verdict.ACCEPTED}), "wang"
        )
        held = store.reading(STUDY).report
        assert held is not None
        assert [r.verdict for r in held.reviews] == [Verdict.ACCEPTED]
        assert store.reading(STUDY).positive == 2
        assert [e.what for e in store.events_of(STUDY)] == ["finding-reviewed"] * 2
        assert "血管" in store.events_of(STUDY)[0].detail

    def test_a_verdict_on_no_finding_is_an_error(self, store: Store) -> None:
        revision = awaiting_signature(store)
        with pytest.raises(UnknownStudy, match="2.25.77"):
            store.save_review(STUDY, revision, FindingReview(tracking_uid="2.25.77"), "wang")
        assert store.events_of(STUDY) == []

    def test_signing_makes_the_report_final_once(self, store: Store) -> None:
        revision = awaiting_signature(store)
        signed = store.sign(STUDY, revision, SIGNATURE, "zhang")
        assert (signed.stage, signed.signature) == (Stage.FINAL, SIGNATURE)
        reading = store.reading(STUDY)
        assert (reading.state, reading.report) == (State.FINALISING, signed)
        for again in (
            lambda: store.sign(STUDY, revision, SIGNATURE, "zhang"),
            lambda: store.save_impression(STUDY, revision, "changed", "wang"),
            lambda: store.save_review(
                STUDY, revision, FindingReview(tracking_uid="2.25.1"), "wang"
            ),
        ):
            with pytest.raises(WrongState, match="finalising"):
                again()
        assert store.reading(STUDY).report == signed

    def test_of_many_that_sign_at_once_one_does(self, store: Store) -> None:
        revision = awaiting_signature(store)
        signed = at_once(
            [lambda n=n: store.sign(STUDY, revision, SIGNATURE, f"dr{n}") for n in range(8)]
        )
        assert sum(isinstance(each, Report) for each in signed) == 1
        assert sum(isinstance(each, WrongState) for each in signed) == 7
        assert [e.what for e in store.events_of(STUDY)] == ["report-signed"]

    def test_edits_at_once_lose_none(self, store: Store) -> None:
        revision = awaiting_signature(store, findings=8)
        edits = at_once(
            [
                lambda n=n: store.save_review(
                    STUDY,
                    revision,
                    FindingReview(tracking_uid=f"2.25.{n}", verdict=Verdict.REJECTED),
                    "wang",
                )
                for n in range(1, 9)
            ]
        )
        taken = sum(isinstance(each, Report) for each in edits)
        assert all(isinstance(each, (Report, WrongState)) for each in edits)
        held = store.reading(STUDY).report
        assert held is not None
        assert len(held.reviews) == taken == len(store.events_of(STUDY))
        assert taken == 8  # each waits for its turn, none is turned away

    def test_a_signature_holds_against_an_edit_at_the_same_time(self, store: Store) -> None:
        revision = awaiting_signature(store)
        calls: list[Callable[[], Report]] = [
            lambda: store.save_impression(STUDY, revision, "edited", "wang"),
            lambda: store.sign(STUDY, revision, SIGNATURE, "zhang"),
        ]
        edited, signed = at_once(calls)
        assert isinstance(signed, Report)
        held = store.reading(STUDY).report
        assert held == signed
        assert held.impression == ("edited" if isinstance(edited, Report) else "")

    # deliveries

    def test_a_delivery_is_entered_once(self, store: Store) -> None:
        store.add_deliveries([delivery("SEG"), delivery("SR"), delivery("SR", "archive")])
        done = delivery("SR", state=DeliveryState.DELIVERED, attempts=2, delivered_at=5.0)
        store.update_delivery(done)
        store.add_deliveries([delivery("SEG"), delivery("SR")])
        assert store.delivery(f"{STUDY}.SR", "pacs") == done
        assert [(d.destination, d.kind) for d in store.deliveries_of(STUDY)] == [
            ("archive", "SR"), ("pacs", "SEG"), ("pacs", "SR"),
        ]  # fmt: skip
        assert store.deliveries_of(STUDY, 2) == []
        with pytest.raises(UnknownStudy):
            store.delivery(f"{STUDY}.SR", "elsewhere")

    def test_due_is_what_waits_and_whose_time_has_come(self, store: Store) -> None:
        store.add_deliveries(
            [
                delivery("SR", "later", next_attempt_at=200.0),
                delivery("SR", "soon", next_attempt_at=90.0),
                delivery("SR", "now"),
                delivery("SR", "gone", state=DeliveryState.GIVEN_UP),
            ]
        )
        assert [d.destination for d in store.deliveries_due(100.0)] == ["now", "soon"]
        assert [d.destination for d in store.deliveries_due(100.0, "soon")] == ["soon"]
        assert len(store.deliveries_due(float("inf"))) == 3

    # audit

    def test_the_audit_trail_is_in_order_and_by_study(self, store: Store) -> None:
        for n in range(3):
            store.record("preread", f"step-{n}", STUDY, "详情")
        store.record("preread", "other", "4.5")
        store.record("preread", "started")
        trail = store.events_of(STUDY)
        assert [(e.what, e.who, e.detail) for e in trail] == [
            (f"step-{n}", "preread", "详情") for n in range(3)
        ]
        assert trail[0].at <= trail[-1].at
