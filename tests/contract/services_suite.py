"""What the store promises of requests for commitment and of announcements, on either database."""

from __future__ import annotations

import time
from dataclasses import replace

from sqlalchemy import inspect, text

from pacs_bridge.announced import Announced, Announcements
from pacs_bridge.custody.check import check
from pacs_bridge.custody.ledger import Ledger, ReportState
from pacs_bridge.dimse.commitment import Failure, Reference
from pacs_bridge.store import Store, open_store
from tests.contract.store_suite import STUDY, instance, study

CT = "1.2.840.10008.5.1.4.1.1.2"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
OBJECTS = tuple(Reference(CT, f"1.2.3.{n}") for n in range(3))


def told(number: int, kind: str = CT, availability: str = "ONLINE") -> Announced:
    name = instance(number).sop_instance_uid
    return Announced(STUDY, "1.2.9", kind, name, availability, "PACS", "PACS", time.time())


class ServicesSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_a_request_stays_until_it_was_heard(self, store: Store) -> None:
        ledger = Ledger(store)
        request = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        assert request.references == OBJECTS and request.refused == 0
        assert ledger.due("CT1") == [request] and ledger.due("CT2") == []
        ledger.later(request, 60, "nobody there", attempts=1)
        assert ledger.due("CT1") == []
        (kept,) = ledger.of("CT1", "1.2.5")
        assert (kept.attempts, kept.last_error) == (1, "nobody there")
        ledger.reported(request)
        (kept,) = ledger.of("CT1", "1.2.5")
        assert kept.state is ReportState.REPORTED and kept.reported_at is not None
        ledger.later(request, 0)  # a second thread that did not know
        assert ledger.due("CT1") == []

    def test_a_report_under_way_is_not_due(self, store: Store) -> None:
        ledger = Ledger(store)
        ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=60, duplicate=0x0131)
        assert ledger.due("CT1") == []

    def test_one_of_two_servers_makes_the_report(self, store: Store) -> None:
        ledger = Ledger(store)
        request = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        assert [ledger.claim(request, 60), ledger.claim(request, 60)] == [True, False]
        assert ledger.due("CT1") == []
        ledger.later(request, 0)
        assert ledger.claim(request, 60)

    def test_asked_again_it_is_reported_again(self, store: Store) -> None:
        ledger = Ledger(store)
        first = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        ledger.give_up(first, "too late", 12)
        again = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        assert again.id == first.id and again.attempts == 0 and not again.refused
        assert ledger.due("CT1") == [again]

    def test_a_transaction_in_use_is_refused_for_other_objects(self, store: Store) -> None:
        ledger = Ledger(store)
        first = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        other = ledger.enter("CT1", "1.2.5", OBJECTS[:1], hold_s=0, duplicate=0x0131)
        assert other.refused == 0x0131 and other.id != first.id
        elsewhere = ledger.enter("CT2", "1.2.5", OBJECTS[:1], hold_s=0, duplicate=0x0131)
        assert elsewhere.refused == 0
        assert ledger.due("CT1") == [first, other]

    def test_what_was_heard_is_forgotten_and_what_waits_is_not(self, store: Store) -> None:
        ledger = Ledger(store)
        heard = ledger.enter("CT1", "1.2.5", OBJECTS, hold_s=0, duplicate=0x0131)
        ledger.reported(heard)
        waits = ledger.enter("CT1", "1.2.6", OBJECTS, hold_s=0, duplicate=0x0131)
        assert ledger.forget(time.time() - 60) == 0
        assert ledger.forget(time.time() + 60) == 1
        assert ledger.of("CT1", "1.2.5") == [] and ledger.due("CT1") == [waits]

    def test_more_objects_are_checked_than_a_query_takes_values(self, store: Store) -> None:
        many = tuple(Reference(CT, f"1.2.3.{n}") for n in range(40_000))
        committed, failed = check(store, many)
        assert committed == ()
        assert failed == tuple(Failure(each, 0x0112) for each in many)

    def test_announced_and_not_here(self, store: Store) -> None:
        ledger = Announcements(store)
        assert ledger.of(STUDY) == [] and ledger.image_count(STUDY) is None
        store.record_instance(instance(1), study())
        objects = [told(1), told(2), told(3, SR), told(4, availability="OFFLINE")]
        assert ledger.keep(objects) == 4
        assert ledger.keep([told(2), told(5, availability="NEARLINE")]) == 1
        assert len(ledger.of(STUDY)) == 5
        assert ledger.image_count(STUDY) == 3
        missing = {each.sop_instance_uid for each in ledger.missing_images(STUDY)}
        assert missing == {told(2).sop_instance_uid, told(5).sop_instance_uid}
        told_of = [event.detail for event in store.events_of(STUDY) if event.what == "available"]
        assert told_of == ["3 of 4 objects can be fetched"], "and not again for every image"

    def test_the_newest_word_counts(self, store: Store) -> None:
        ledger = Announcements(store)
        ledger.keep([told(1)])
        ledger.keep([replace(told(1), availability="UNAVAILABLE")])
        assert [each.availability for each in ledger.of(STUDY)] == ["UNAVAILABLE"]
        assert ledger.image_count(STUDY) == 0 and ledger.missing_images(STUDY) == []

    def test_studies_told_of_since(self, store: Store) -> None:
        now = time.time()
        ledger = Announcements(store, keep_s=1000)
        ledger.keep([replace(told(1), told_at=now - 300), replace(told(2), told_at=now - 100)])
        ledger.keep([replace(told(1), study_uid="1.2.7", told_at=now - 200)])
        assert ledger.studies_since(now - 250) == [("1.2.7", now - 200), (STUDY, now - 100)]
        assert ledger.studies_since(now - 150) == [(STUDY, now - 100)]

    def test_what_was_told_long_ago_is_forgotten(self, store: Store) -> None:
        Announcements(store).keep([replace(told(1), told_at=time.time() - 2000)])
        Announcements(store, keep_s=1000).keep([replace(told(1), study_uid="1.2.7")])
        assert [study for study, _ in Announcements(store).studies_since(0)] == ["1.2.7"]

    def test_an_older_database_gets_the_index(self, store: Store) -> None:
        with store.engine.begin() as db:
            db.execute(text("DROP INDEX instances_by_uid"))
            db.execute(text("DROP TABLE custody_requests"))
        url = store.engine.url.render_as_string(hide_password=False)
        again = open_store(url)
        names = {index["name"] for index in inspect(again.engine).get_indexes("instances")}
        assert "instances_by_uid" in names
        assert inspect(again.engine).has_table("custody_requests")
        again.engine.dispose()
