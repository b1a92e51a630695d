"""A destination where nobody is found is left alone, tried one by one, and gets all when back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.circuit import Circuit, CircuitState, CircuitStatus
from pacs_bridge.dimse.outgoing import StoreOutcome
from pacs_bridge.errors import BridgeError, PeerRefused, PeerUnreachable, UnknownStudy, WrongState
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store

CLOSED, OPEN, HALF_OPEN = CircuitState


def settings(**changes: Any) -> DestinationSettings:
    values = {
        "name": "pacs", "circuit_failures": 3, "first_wait_s": 10.0, "longest_wait_s": 100.0,
    } | changes  # fmt: skip
    return DestinationSettings(ae_title="PACS", host="h", port=104, **values)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_it_opens_after_so_many_and_waits_ever_longer(store: Store) -> None:
    clock = Clock()
    circuit = Circuit(settings(), store, clock)
    assert [circuit.found_nobody("x") for _ in range(3)] == [False, False, True]
    assert circuit.state is OPEN
    waits = []
    for _ in range(4):
        due = circuit.status.next_try_at
        assert due is not None
        waits.append(due - clock.now)
        clock.now = due - 0.1
        assert circuit.state is OPEN
        clock.now = due
        assert circuit.state is HALF_OPEN
        assert not circuit.found_nobody("still")
    assert waits == [40.0, 80.0, 100.0, 100.0]
    status = circuit.status
    assert (status.failures, status.since, status.last_error) == (7, 1000.0, "still")
    assert circuit.answered()
    assert circuit.state is CLOSED
    assert not circuit.answered()
    assert circuit.status.failures == 0


def test_a_server_that_starts_knows_who_was_not_there_and_tries_once(store: Store) -> None:
    clock = Clock()
    before = Circuit(settings(), store, clock)
    for _ in range(2):
        before.found_nobody("gone")
    clock.now += 50
    between = Circuit(settings(), store, clock)
    assert (between.state, between.status.failures) == (CLOSED, 2)
    assert between.found_nobody("still gone"), "it opens only now"
    clock.now += 5
    after = Circuit(settings(), store, clock)
    status = after.status
    assert (status.state, status.failures, status.since) == (HALF_OPEN, 3, 1000.0)
    assert status.last_error == "still gone"
    assert not after.found_nobody("and still"), "that was said already"
    assert after.state is OPEN
    assert Circuit(settings(name="other"), store, clock).status == CircuitStatus()
    assert after.answered()
    assert Circuit(settings(), store, clock).status == CircuitStatus()


def test_one_success_in_between_starts_the_count_anew(store: Store) -> None:
    circuit = Circuit(settings(), store)
    for _ in range(5):
        circuit.found_nobody("x")
        circuit.found_nobody("x")
        circuit.answered()
    assert circuit.state is CLOSED


def test_a_person_can_end_the_wait(store: Store) -> None:
    clock = Clock()
    circuit = Circuit(settings(circuit_failures=1), store, clock)
    circuit.try_now()
    assert circuit.state is CLOSED
    circuit.found_nobody("x")
    assert circuit.state is OPEN
    circuit.try_now()
    assert circuit.state is HALF_OPEN


class Pacs:
    """Up or down; keeps what it was tried with."""

    def __init__(self) -> None:
        self.up = False
        self.tried: list[str] = []
        self.error: BridgeError | None = None

    def __call__(self, settings: DestinationSettings, our_ae: str) -> Pacs:
        return self

    def store(self, objects: Sequence[Path]) -> list[StoreOutcome]:
        self.tried += [path.name for path in objects]
        if not self.up:
            raise PeerUnreachable("nobody there")
        return [StoreOutcome(path.name, 0, self.error) for path in objects]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"o{n}" for n in range(20)]
    for path in made:
        path.write_bytes(b"x")
    return made


def filled(store: Store, paths: list[Path], pacs: Pacs, there: DestinationSettings) -> Courier:
    courier = Courier(store, [there], "PREREAD", pacs)
    for path in paths:
        objects = [("SR", f"1.2.{path.name[1:]}1", path)]
        courier.enqueue(f"9.{path.name[1:]}", 1, Stage.PRELIMINARY, objects)
    return courier


def rows(store: Store) -> list[DeliveryState]:
    return [d.state for n in range(20) for d in store.deliveries_of(f"9.{n}")]


def test_a_dead_destination_costs_few_attempts_and_gets_everything_at_once_when_back(
    store: Store, paths: list[Path]
) -> None:
    pacs, there = Pacs(), settings(attempts=4, first_wait_s=500.0, longest_wait_s=5000.0)
    courier = filled(store, paths, pacs, there)
    for _ in range(5):
        courier._round(there)
    assert len(pacs.tried) == 3, "then it is left alone"
    (state,) = courier.destinations()
    assert (state.circuit, state.failures, state.waiting) == (OPEN, 3, 20)
    assert state.last_error == "nobody there"
    # the wait is over: one object is tried, another one each time
    for _ in range(2):
        courier._circuits["pacs"].try_now()
        courier._round(there)
        courier._round(there)
    assert len(set(pacs.tried)) == 5
    assert set(rows(store)) == {DeliveryState.WAITING}, "nothing was given up on"
    pacs.up = True
    courier._circuits["pacs"].try_now()
    courier._round(there)
    courier._round(there)  # those that wait for another attempt have become due
    assert set(rows(store)) == {DeliveryState.DELIVERED}
    (state,) = courier.destinations()
    assert (state.circuit, state.failures, state.delivered) == (CLOSED, 0, 20)
    assert state.last_error == ""
    with store.engine.connect() as db:
        told = [row[0] for row in db.exec_driver_sql(
            "select what from events where what like 'destination-%' order by id")]  # fmt: skip
    assert told == ["destination-down", "destination-back"]


def test_an_object_that_is_refused_says_that_somebody_is_there(
    store: Store, paths: list[Path]
) -> None:
    pacs, there = Pacs(), settings(circuit_failures=1)
    courier = filled(store, paths[:2], pacs, there)
    courier._round(there)
    assert courier._circuits["pacs"].state is OPEN
    pacs.up, pacs.error = True, BridgeError("the file can't be read")
    courier._circuits["pacs"].try_now()
    courier._round(there)
    assert courier._circuits["pacs"].state is HALF_OPEN, "that says nothing of the destination"
    pacs.error = PeerRefused("no SR here")
    courier._ledger.hurry("pacs")
    courier._round(there)
    assert courier._circuits["pacs"].state is CLOSED


def test_everything_given_up_on_is_tried_again_in_one_go(store: Store, paths: list[Path]) -> None:
    pacs, there = Pacs(), settings(attempts=1, circuit_failures=20)
    courier = filled(store, paths, pacs, there)
    courier._round(there)
    assert set(rows(store)) == {DeliveryState.GIVEN_UP}
    pacs.up = True
    assert courier.retry_all("pacs", "wang") == 20
    assert courier._round(there), "one got through, more may"
    courier._round(there)
    assert set(rows(store)) == {DeliveryState.DELIVERED}
    assert courier.retry_all("pacs", "wang") == 0
    with pytest.raises(UnknownStudy, match="'nowhere'"):
        courier.retry_all("nowhere", "wang")


def test_what_was_set_aside_is_tried_again_when_somebody_wants_it(
    store: Store, paths: list[Path]
) -> None:
    pacs, there = Pacs(), settings(attempts=1)
    courier = filled(store, paths[:1], pacs, there)
    with pytest.raises(WrongState, match="was not given up on"):
        courier.set_aside("1.2.01", "pacs", "wang", "by phone")
    courier._round(there)
    courier.set_aside("1.2.01", "pacs", "wang", "by phone")
    (row,) = store.deliveries_of("9.0")
    assert row.state is DeliveryState.SET_ASIDE
    assert row.last_error.startswith("set aside by wang: by phone (it was: attempt 1 was the last")
    (state,) = courier.destinations()
    assert (state.given_up, state.set_aside) == (0, 1)
    assert courier.retry_all("pacs", "wang") == 0
    pacs.up = True
    courier.retry("1.2.01", "pacs", "wang")
    courier._round(there)
    assert rows(store) == [DeliveryState.DELIVERED]
    with pytest.raises(WrongState, match="delivered to pacs already"):
        courier.retry("1.2.01", "pacs", "wang")


def test_what_was_for_a_destination_that_is_no_more_says_so(
    store: Store, paths: list[Path]
) -> None:
    filled(store, paths[:1], Pacs(), settings())
    courier = Courier(store, [], "PREREAD")
    courier.start()
    courier.stop()
    with pytest.raises(BridgeError, match="no destination is called 'pacs' .*add it again"):
        courier.retry("1.2.01", "pacs", "wang")
