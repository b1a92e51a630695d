"""What the store promises of images that were fetched to compare with, on either database."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from sqlalchemy import text

from pacs_bridge.errors import WrongState
from pacs_bridge.priors.ledger import GRACE_S, Ledger
from pacs_bridge.states import State
from pacs_bridge.store import Store, open_store
from tests.contract.store_suite import STUDY, instance, study

SR = "1.2.840.10008.5.1.4.1.1.88.33"
NOW = "1.2.4"


class PriorSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_what_was_asked_for_is_not_read(self, store: Store) -> None:
        Ledger(store).expect(STUDY, NOW, "PACS", 60)
        assert store.record_instance(instance(1), study())
        assert store.record_instance(instance(2), study(), fetched=True)
        assert store.unread_studies() == [] and not store.has_unread(STUDY)
        assert store.open_reading(STUDY, "a") is None
        assert store.worklist() == store.worklist([State.RECEIVING]) == []
        (listed,) = store.worklist([State.PRIOR])
        assert (listed.state, listed.revision, listed.image_count) == (State.PRIOR, 0, 2)

    def test_nothing_was_asked_for_nothing_is_held_back(self, store: Store) -> None:
        assert store.record_instance(instance(1), study(), fetched=True)
        assert store.unread_studies() == [STUDY]

    def test_what_somebody_else_sends_meanwhile_is_read(self, store: Store) -> None:
        Ledger(store).expect(STUDY, NOW, "PACS", 60)
        store.record_instance(instance(1), study(), fetched=True)
        assert store.record_instance(instance(2), study(), fetched=False)
        assert store.has_unread(STUDY)
        assert store.open_reading(STUDY, "a") == 1

    def test_what_comes_after_the_fetch_is_read_also_if_it_was_held(self, store: Store) -> None:
        ledger = Ledger(store)
        ledger.expect(STUDY, NOW, "PACS", 60)
        store.record_instance(instance(1), study(), fetched=True)
        before = store.study(STUDY).first_received_at
        ledger.fetched(STUDY)
        time.sleep(0.01)
        assert store.record_instance(instance(1), study()), "it is to be read now"
        assert store.unread_studies() == [STUDY]
        assert store.study(STUDY).first_received_at > before
        assert store.record_instance(instance(1), study()) is False

    def test_a_slow_pacs_has_time_and_not_for_ever(self, store: Store) -> None:
        Ledger(store).expect(STUDY, NOW, "PACS", 60)
        soon, late = time.time() + GRACE_S, time.time() + GRACE_S + 61
        store.record_instance(instance(1), study(), arrived_at=soon)
        assert not store.has_unread(STUDY)
        store.record_instance(instance(2), study(), arrived_at=late)
        assert store.has_unread(STUDY)
        store.record_instance(instance(3), study(), arrived_at=late, fetched=True)
        assert [i.sop_instance_uid[-1] for i in store.instances_of(STUDY)] == ["1", "2", "3"]

    def test_what_stands_under_a_report_is_not_replaced_by_a_fetch(self, store: Store) -> None:
        store.record_instance(instance(1), study())
        assert store.open_reading(STUDY, "a") == 1
        Ledger(store).expect(STUDY, NOW, "PACS", 60)
        held = store.instances_of(STUDY)
        assert store.record_instance(instance(1, digest="b"), study(), fetched=True) is False
        assert store.instances_of(STUDY) == held
        assert store.worklist()[0].revision == 1
        assert store.worklist([State.PRIOR]) == []

    def test_a_person_has_it_read(self, store: Store) -> None:
        Ledger(store).expect(STUDY, NOW, "PACS", 60)
        store.record_instance(instance(1), study(), fetched=True)
        store.record_instance(replace(instance(2), sop_class_uid=SR), study(), fetched=True)
        store.take_up_prior(STUDY, "Zhang")
        assert store.unread_studies() == [STUDY]
        assert store.open_reading(STUDY, "a") == 1
        assert [e.what for e in store.events_of(STUDY)] == ["prior-taken-up"]
        with pytest.raises(WrongState, match="no image that waits"):
            store.take_up_prior(STUDY, "Zhang")

    def test_a_fetch_is_cut_short_until_all_is_here(self, store: Store) -> None:
        ledger = Ledger(store)
        assert not ledger.cut_short(STUDY)
        ledger.expect(STUDY, NOW, "PACS", 60)
        assert ledger.cut_short(STUDY)
        ledger.fetched(STUDY)
        assert not ledger.cut_short(STUDY)
        ledger.expect(STUDY, NOW, "PACS", 60)
        assert ledger.cut_short(STUDY)

    def test_studies_of_a_patient_and_their_size(self, store: Store) -> None:
        ledger = Ledger(store)
        store.record_instance(instance(1), study())
        store.record_instance(instance(2), study())
        store.record_instance(instance(1, NOW), replace(study(NOW), patient_id="P2"))
        store.record_instance(instance(1, "1.2.5"), replace(study("1.2.5"), patient_id=""))
        assert [s.study_uid for s in ledger.studies_of("P1")] == [STUDY]
        assert ledger.studies_of("") == []
        assert ledger.bytes_of(STUDY) == 1024

    def test_a_database_of_an_earlier_version_opens(self, store: Store) -> None:
        store.record_instance(instance(1), study())
        with store.engine.begin() as db:
            db.execute(text("DROP TABLE priors"))
        again = open_store(store.engine.url.render_as_string(hide_password=False))
        try:
            Ledger(again).expect("1.2.9", NOW, "PACS", 60)
            assert again.unread_studies() == [STUDY]
            assert [r.state for r in again.worklist()] == [State.RECEIVING]
        finally:
            again.engine.dispose()
