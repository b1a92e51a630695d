"""What the store promises of deliveries and of commitments asked for, on either database."""

from __future__ import annotations

from dataclasses import replace

from pacs_bridge.database import writing
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store
from pacs_bridge.tables import urgencies
from tests.contract.store_suite import STUDY, delivery, instance, study

WAITING, SENT, DELIVERED, GIVEN_UP = (
    DeliveryState.WAITING, DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.GIVEN_UP,
)  # fmt: skip


class DeliverySuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_a_delivery_changes_once_from_the_state_it_was_in(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        sent = delivery("SR", state=SENT, attempts=1)
        store.add_deliveries([sent, delivery("SR", "archive", state=SENT)])
        done = replace(sent, state=DELIVERED, delivered_at=5.0)
        assert ledger.change(done, SENT)
        assert not ledger.change(replace(sent, last_error="late"), SENT)
        assert store.delivery(f"{STUDY}.SR", "pacs") == done
        assert store.delivery(f"{STUDY}.SR", "archive").state is SENT

    def test_urgent_studies_go_first_then_those_that_came_first(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        for name in ("1.2", "1.1", "1.3", "1.4"):
            store.record_instance(instance(1, name), study(name))
            for kind in ("SR", "SEG", "PDF"):
                store.add_deliveries([replace(
                    delivery(kind), study_uid=name, sop_instance_uid=f"{name}.{kind}",
                )])  # fmt: skip
        with writing(store.engine) as db:
            for name, stands in (("1.3", 1), ("1.4", 0)):  # of the last it was taken back
                row = {"study_uid": name, "revision": 1, "stands": stands}
                db.execute(urgencies.insert().values(**row, why_en="", why_zh=""))
        order = [(d.study_uid, d.kind) for d in ledger.due(1.0, "pacs")]
        assert order == [
            (name, kind) for name in ("1.3", "1.2", "1.1", "1.4") for kind in ("SEG", "PDF")
        ], "an SR waits for the SEG that it refers to"
        seg = store.delivery("1.3.SEG", "pacs")
        store.update_delivery(replace(seg, state=GIVEN_UP))
        pdf = store.delivery("1.3.PDF", "pacs")
        store.update_delivery(replace(pdf, attempts=1, next_attempt_at=9.0))
        assert (ledger.due(1.0, "pacs")[0].study_uid, ledger.due(1.0, "pacs")[0].kind) == (
            "1.3", "SR",
        )  # fmt: skip
        assert {d.kind for d in ledger.due(9.0, "pacs")[:2]} == {"SR", "PDF"}
        (one,) = ledger.due(9.0, "pacs", tried_once=True)
        assert (one.study_uid, one.attempts) == ("1.3", 0)
        assert ledger.due(9.0, "other") == []

    def test_what_waits_at_one_destination_is_hurried(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        store.add_deliveries(
            [
                delivery("SR", "down", next_attempt_at=900.0),
                delivery("SEG", "down", next_attempt_at=900.0, state=SENT),
                delivery("SR", "other", next_attempt_at=900.0),
            ]
        )
        ledger.hurry("down")
        assert [d.destination for d in store.deliveries_due(1.0)] == ["down"]
        assert ledger.sent(899.0) == []
        assert [d.kind for d in ledger.sent(900.0, "down")] == ["SEG"]
        assert ledger.sent(900.0, "other") == []

    def test_what_was_given_up_on_is_listed_with_whose_it_is(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        store.record_instance(instance(1), study())
        store.add_deliveries(
            [
                delivery("SR", state=GIVEN_UP), delivery("SEG", state=GIVEN_UP),
                delivery("SR", "archive", state=GIVEN_UP), delivery("SEG", "archive"),
            ]
        )  # fmt: skip
        letters = ledger.given_up("pacs")
        assert {(each.delivery.kind, each.patient_id) for each in letters} == {
            ("SR", study().patient_id), ("SEG", study().patient_id),
        }  # fmt: skip
        assert (len(ledger.given_up()), len(ledger.given_up(limit=1))) == (3, 1)
        assert ledger.given_up_count() == 3

    def test_each_destinations_tally(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        assert ledger.tallies() == {}
        store.add_deliveries(
            [
                delivery("SR", state=DELIVERED, delivered_at=7.0),
                delivery("SEG", state=DELIVERED, delivered_at=9.0),
                delivery("PDF"), delivery("SR", "archive", state=GIVEN_UP),
            ]
        )  # fmt: skip
        tallies = ledger.tallies()
        assert tallies["pacs"].counts == {DELIVERED: 2, WAITING: 1}
        assert tallies["pacs"].delivered_at == 9.0
        assert (tallies["archive"].counts, tallies["archive"].delivered_at) == ({GIVEN_UP: 1}, None)

    def test_an_answer_is_of_the_sending_that_was_asked_about(self, store: Store) -> None:
        ledger = DeliveryLedger(store)
        sr, seg = delivery("SR", state=SENT, attempts=1), delivery("SEG", state=SENT, attempts=1)
        store.add_deliveries([sr, seg])
        ledger.asked("1.2.5", [(sr, "1.2.840.1"), (seg, "1.2.840.2")])
        ledger.asked("1.2.6", [(sr, "1.2.840.1")])
        assert (ledger.times_asked(sr), ledger.times_asked(seg)) == (2, 1)
        named = sorted(ledger.answered("1.2.5"), key=lambda each: each[0].kind)
        assert named == [(seg, "1.2.840.2"), (sr, "1.2.840.1")]
        again = replace(sr, attempts=2)
        store.update_delivery(again)  # it was sent again since
        assert [each.kind for each, _ in ledger.answered("1.2.5")] == ["SEG"]
        assert ledger.times_asked(again) == 0
        assert ledger.answered("1.2.7") == []
        ledger.unasked("1.2.6")
        assert (ledger.times_asked(sr), ledger.answered("1.2.6")) == (1, [])
        ledger.forget_asking(seg)
        assert (ledger.times_asked(seg), ledger.answered("1.2.5")) == (0, [])
