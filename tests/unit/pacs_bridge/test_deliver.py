"""The courier with scripted destinations: order, back-off, giving up, retry, independence."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from imaging.report import Stage
from pacs_bridge.database import writing
from pacs_bridge.deliver import Courier
from pacs_bridge.dimse.outgoing import StoreOutcome
from pacs_bridge.errors import (
    PeerBusy,
    PeerRefused,
    PeerUnreachable,
    UnknownStudy,
    WrongState,
)
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store
from pacs_bridge.tables import urgencies
from tests.patience import PATIENT_S

SEG, SR = "1.2.3.1", "1.2.3.2"
STUDY = "1.2.3"


class Destination:
    """A scripted peer: ``script`` answers each object by its file's name; it raises for no
    association."""

    def __init__(self, script: Callable[[str], StoreOutcome] | None = None) -> None:
        self.script = script or (lambda name: StoreOutcome(name, 0))
        self.got: list[str] = []
        self.settings: list[DestinationSettings] = []

    def __call__(self, settings: DestinationSettings, our_ae: str) -> Destination:
        self.settings.append(settings)
        return self

    def store(self, objects: Sequence[Path]) -> list[StoreOutcome]:
        self.got += [path.name for path in objects]
        return [self.script(path.name) for path in objects]


def settings(name: str = "pacs", **changes: Any) -> DestinationSettings:
    values = {"attempts": 3, "first_wait_s": 0.01, "longest_wait_s": 0.02} | changes
    return DestinationSettings(name=name, ae_title="PACS", host="127.0.0.1", port=104, **values)


@pytest.fixture
def objects(tmp_path: Path) -> list[tuple[str, str, Path]]:
    """An SR and its SEG, the SR first."""
    made = []
    for kind, uid in (("SR", SR), ("SEG", SEG)):
        path = tmp_path / kind
        path.write_bytes(b"x")
        made.append((kind, uid, path))
    return made


def wait_for(condition: Callable[[], bool], seconds: float = PATIENT_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def states(store: Store) -> dict[tuple[str, str], DeliveryState]:
    return {(d.destination, d.kind): d.state for d in store.deliveries_of(STUDY)}


def run(
    store: Store,
    objects: list[tuple[str, str, Path]],
    destination: Destination,
    *destinations: DestinationSettings,
) -> dict[tuple[str, str], Delivery]:
    """Enter the objects, deliver until nothing waits, and hand out the rows."""
    courier = Courier(store, destinations or [settings()], "PREREAD", destination)
    courier.start()
    try:
        courier.enqueue(STUDY, 1, Stage.PRELIMINARY, objects)
        wait_for(lambda: DeliveryState.WAITING not in states(store).values())
    finally:
        courier.stop()
    return {(d.destination, d.kind): d for d in store.deliveries_of(STUDY)}


def events(store: Store) -> list[str]:
    return [event.what for event in store.events_of(STUDY)]


def test_the_seg_goes_before_the_sr_that_references_it(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    destination = Destination()
    rows = run(store, objects, destination)
    assert destination.got == ["SEG", "SR"]
    assert {row.state for row in rows.values()} == {DeliveryState.DELIVERED}
    assert all(row.delivered_at and row.attempts == 1 for row in rows.values())
    assert events(store) == ["delivered", "delivered"]


def test_each_destination_gets_only_the_kinds_it_accepts(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    rows = run(
        store, objects, Destination(), settings("both"), settings("reports", accepts=("SR",))
    )
    assert set(rows) == {("both", "SEG"), ("both", "SR"), ("reports", "SR")}
    assert {row.state for row in rows.values()} == {DeliveryState.DELIVERED}


def test_entering_again_sends_nothing_again(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    destination = Destination()
    run(store, objects, destination)
    run(store, objects, destination)
    assert destination.got == ["SEG", "SR"]


def test_a_passing_failure_is_tried_again_and_the_sr_waits_for_its_seg(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    failures = [PeerBusy("full"), PeerBusy("still full")]

    def script(name: str) -> StoreOutcome:
        return StoreOutcome(name, 0xA700 if failures else 0, failures.pop() if failures else None)

    destination = Destination(script)
    rows = run(store, objects, destination)
    assert destination.got == ["SEG", "SEG", "SEG", "SR"]
    assert rows["pacs", "SEG"].attempts == 3
    assert events(store) == ["delivery-failed", "delivery-failed", "delivered", "delivered"]


def test_the_last_attempt_that_fails_gives_up_with_the_reason(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    def nobody_home(name: str) -> StoreOutcome:
        raise PeerUnreachable("PACS at 127.0.0.1:104: no association within 15 s")

    rows = run(store, objects, Destination(nobody_home))
    for row in rows.values():
        assert (row.state, row.attempts) == (DeliveryState.GIVEN_UP, 3)
        assert "attempt 3 was the last: PACS at 127.0.0.1:104: no association" in row.last_error
    assert events(store).count("delivery-given-up") == 2
    assert events(store).count("delivery-failed") == 4


def test_an_object_that_is_refused_is_not_sent_again_and_holds_up_nothing(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    def no_seg(name: str) -> StoreOutcome:
        return (
            StoreOutcome(name, 0x0122, PeerRefused("no SEG here"))
            if name == "SEG"
            else (StoreOutcome(name, 0))
        )

    destination = Destination(no_seg)
    rows = run(store, objects, destination)
    assert destination.got == ["SEG", "SR"]
    assert rows["pacs", "SEG"].state is DeliveryState.GIVEN_UP
    assert rows["pacs", "SEG"].last_error == "no SEG here"
    assert rows["pacs", "SR"].state is DeliveryState.DELIVERED


def test_an_association_that_is_refused_is_tried_again(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    refusals = [PeerRefused("who are you?")]

    def script(name: str) -> StoreOutcome:
        if refusals:
            raise refusals.pop()
        return StoreOutcome(name, 0)

    rows = run(store, objects, Destination(script))
    assert {row.state for row in rows.values()} == {DeliveryState.DELIVERED}


def test_a_file_that_is_gone_is_given_up_on(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    objects[0][2].unlink()
    rows = run(store, objects, Destination())
    assert rows["pacs", "SR"].state is DeliveryState.GIVEN_UP
    assert "not there any more" in rows["pacs", "SR"].last_error
    assert rows["pacs", "SEG"].state is DeliveryState.DELIVERED


def test_the_wait_doubles_up_to_the_longest(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    def nobody_home(name: str) -> StoreOutcome:
        raise PeerUnreachable("nobody")

    destination = settings(first_wait_s=1000.0, longest_wait_s=3000.0, attempts=9)
    courier = Courier(store, [destination], "PREREAD", Destination(nobody_home))
    courier.enqueue(STUDY, 1, Stage.PRELIMINARY, [o for o in objects if o[0] == "SEG"])
    waits = []
    for _ in range(4):
        before = time.time()
        courier._round(destination)
        (row,) = store.deliveries_of(STUDY)
        waits.append(round((row.next_attempt_at - before) / 100) * 100)
        courier._round(destination)  # not due: nothing happens
        store.update_delivery(Delivery(**(vars(row) | {"next_attempt_at": 0.0})))
    assert waits == [1000, 2000, 3000, 3000]
    assert store.deliveries_of(STUDY)[0].attempts == 4


def test_a_hanging_destination_holds_up_no_other_and_stop_is_prompt(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    let_go = threading.Event()

    class Hanging(Destination):
        def __call__(self, settings: DestinationSettings, our_ae: str) -> Destination:
            if settings.name == "slow":
                let_go.wait(PATIENT_S)
            return self

    courier = Courier(store, [settings("slow"), settings("good")], "PREREAD", Hanging())
    courier.start()
    courier.enqueue(STUDY, 1, Stage.PRELIMINARY, objects)
    wait_for(
        lambda: (
            states(store)["good", "SR"] is DeliveryState.DELIVERED
            and states(store)["good", "SEG"] is DeliveryState.DELIVERED
        )
    )
    assert states(store)["slow", "SEG"] is DeliveryState.WAITING
    began = time.monotonic()
    courier.stop(grace_s=0.3)
    assert time.monotonic() - began < PATIENT_S / 2
    let_go.set()


def test_what_an_earlier_run_left_waiting_is_delivered_at_start(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    Courier(store, [settings()], "PREREAD", Destination()).enqueue(
        STUDY, 1, Stage.PRELIMINARY, objects
    )
    destination = Destination()
    courier = Courier(store, [settings()], "PREREAD", destination)
    courier.start()
    wait_for(lambda: set(states(store).values()) == {DeliveryState.DELIVERED})
    courier.stop()
    assert destination.got == ["SEG", "SR"]


def test_a_destination_taken_out_of_the_settings_keeps_nothing_waiting(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    Courier(store, [settings("old")], "PREREAD", Destination()).enqueue(
        STUDY, 1, Stage.PRELIMINARY, objects
    )
    courier = Courier(store, [settings("new")], "PREREAD", Destination())
    courier.start()
    courier.stop()
    for row in store.deliveries_of(STUDY):
        assert row.state is DeliveryState.GIVEN_UP
        assert "no destination is called 'old'" in row.last_error


def test_a_bug_in_one_round_does_not_end_the_thread(
    store: Store, objects: list[tuple[str, str, Path]], caplog: pytest.LogCaptureFixture
) -> None:
    bugs = [ZeroDivisionError("a bug")]

    def script(name: str) -> StoreOutcome:
        if bugs:
            raise bugs.pop()
        return StoreOutcome(name, 0)

    rows = run(store, objects, Destination(script))
    assert {row.state for row in rows.values()} == {DeliveryState.DELIVERED}
    assert any(record.exc_info for record in caplog.records)


def test_an_object_that_can_not_be_handled_holds_up_no_other(
    store: Store, objects: list[tuple[str, str, Path]]
) -> None:
    def script(name: str) -> StoreOutcome:
        if name == "SEG":
            raise LookupError("unknown encoding")
        return StoreOutcome(name, 0)

    rows = run(store, objects, Destination(script))
    assert rows["pacs", "SR"].state is DeliveryState.DELIVERED
    assert rows["pacs", "SEG"].state is DeliveryState.GIVEN_UP
    assert "attempt 3 was the last: LookupError: unknown" in rows["pacs", "SEG"].last_error


class TestRetry:
    def test_a_given_up_delivery_goes_again_and_says_who_asked(
        self, store: Store, objects: list[tuple[str, str, Path]]
    ) -> None:
        works = threading.Event()

        def script(name: str) -> StoreOutcome:
            return StoreOutcome(name, 0, None if works.is_set() else PeerRefused("no"))

        courier = Courier(store, [settings()], "PREREAD", Destination(script))
        courier.start()
        courier.enqueue(STUDY, 1, Stage.PRELIMINARY, objects)
        wait_for(lambda: set(states(store).values()) == {DeliveryState.GIVEN_UP})
        works.set()
        courier.retry(SR, "pacs", "wang")
        wait_for(lambda: states(store)["pacs", "SR"] is DeliveryState.DELIVERED)
        assert states(store)["pacs", "SEG"] is DeliveryState.GIVEN_UP
        with pytest.raises(WrongState, match="delivered to pacs already"):
            courier.retry(SR, "pacs", "wang")
        courier.stop()
        asked = [event for event in store.events_of(STUDY) if event.what == "delivery-retried"]
        assert [event.who for event in asked] == ["wang"]

    def test_an_unknown_delivery_is_named(self, store: Store) -> None:
        courier = Courier(store, [settings()], "PREREAD", Destination())
        with pytest.raises(UnknownStudy, match="9.9.9 was never to be delivered to pacs"):
            courier.retry("9.9.9", "pacs", "wang")


def test_an_urgent_result_overtakes_a_backlog(store: Store, tmp_path: Path) -> None:
    def entered(name: str) -> None:
        path = tmp_path / name
        path.write_bytes(b"x")
        courier.enqueue(f"1.{name}", 1, Stage.PRELIMINARY, [("PDF", f"1.{name}.1", path)])

    def script(name: str) -> StoreOutcome:
        if name == "1":
            with writing(store.engine) as db:
                row = {"study_uid": "1.9", "revision": 1, "stands": 1, "why_en": "", "why_zh": ""}
                db.execute(urgencies.insert().values(**row))
            entered("9")
        return StoreOutcome(name, 0)

    destination = Destination(script)
    there = settings(accepts=("PDF",))
    courier = Courier(store, [there], "PREREAD", destination)
    for name in ("1", "2", "3"):
        entered(name)
    courier._round(there)
    courier._round(there)
    assert destination.got == ["1", "9", "2", "3"]
