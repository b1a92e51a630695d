"""What the store promises of objects that arrive at the same time, on either database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy.exc import SQLAlchemyError

from pacs_bridge.arrival_groups import Arrival, ArrivalGroups
from pacs_bridge.store import Store
from tests.contract.store_suite import STUDY, instance, study


class ArrivalsSuite:
    """Mixed into a class that has the fixture ``store``."""

    def test_many_at_once_are_each_recorded_once(self, store: Store) -> None:
        def record(number: int) -> bool:
            return store.record_instance(instance(number % 100), study())

        with ThreadPoolExecutor(16) as pool:
            new = list(pool.map(record, range(300)))
        assert sum(new) == 100
        assert len(store.instances_of(STUDY)) == 100
        assert store.has_unread(STUDY)

    def test_one_that_can_not_be_recorded_fails_alone(self, store: Store) -> None:
        bad = replace(instance(1), digest=None)  # type: ignore[arg-type]
        results: list[bool | str] = []

        def record(number: int) -> None:
            try:
                results.append(
                    store.record_instance(bad if number == 7 else instance(number), study())
                )
            except SQLAlchemyError as error:
                results.append(type(error).__name__)

        threads = [threading.Thread(target=record, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["IntegrityError"] + ["True"] * 31
        assert len(store.instances_of(STUDY)) == 31

    def test_the_study_knows_when_the_last_came(self, store: Store) -> None:
        groups = ArrivalGroups(store.engine)
        for number, at in enumerate((100.0, 200.0, 300.0)):
            assert groups.record(Arrival(instance(number), study(), None, at))
        known = store.study(STUDY)
        assert (known.first_received_at, known.last_received_at) == (100.0, 300.0)

    def test_an_outage_is_told_to_each_that_waits(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        groups = ArrivalGroups(store.engine)

        def broken(*_: object) -> None:
            raise OSError("the database is gone")

        with monkeypatch.context() as patch:
            patch.setattr(groups._statements, "record", broken)
            for number in range(3):
                with pytest.raises(OSError, match="gone"):
                    groups.record(Arrival(instance(number), study(), None, 1.0))
        assert groups.record(Arrival(instance(1), study(), None, 1.0))
