"""The bounded room: never above its capacity, in turns, everybody gets an answer."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.engine.room import Room
from models.engine.turns import Priority
from models.errors import SessionClosed
from tests.unit.models.peers import WAIT_S, until


class Comers:
    """Threads that want a place, one after another."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.let_in: list[str] = []
        self.turned_away: list[str] = []
        self.threads: list[threading.Thread] = []

    def come(self, name: str, amount: int, priority: Priority = Priority.ROUTINE) -> None:
        waiting = self.room.waiting

        def wait() -> None:
            try:
                self.room.acquire(amount, priority, owner=name)
            except SessionClosed:
                self.turned_away.append(name)
            else:
                self.let_in.append(name)

        thread = threading.Thread(target=wait)
        self.threads.append(thread)
        thread.start()
        until(lambda: self.room.waiting == waiting + 1)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()


def test_who_fits_comes_in_at_once() -> None:
    room = Room(10)
    room.acquire(4)
    room.acquire(6)
    assert (room.used, room.free, room.waiting) == (10, 0, 0)
    room.release(4)
    assert room.free == 4
    assert room.most_used == 10


def test_the_others_wait_in_turns_and_nobody_overtakes() -> None:
    """The small one behind the large one waits, although it would fit."""
    room = Room(10)
    room.acquire(8)
    comers = Comers(room)
    comers.come("large", 6)
    comers.come("small", 2)
    comers.come("urgent", 5, Priority.URGENT)
    assert room.free == 0
    room.release(8)
    until(lambda: len(comers.let_in) == 1)
    assert comers.let_in == ["urgent"]
    room.release(5)
    comers.join()
    assert set(comers.let_in[1:]) == {"large", "small"}
    assert room.used == 8


def test_what_is_larger_than_the_room_gets_it_alone() -> None:
    room = Room(10)
    room.acquire(1)
    comers = Comers(room)
    comers.come("huge", 25)
    comers.come("next", 1)
    room.release(1)
    until(lambda: comers.let_in == ["huge"])
    assert (room.used, room.waiting) == (25, 1)
    room.release(25)
    comers.join()
    assert comers.let_in == ["huge", "next"]


def test_who_is_turned_away_makes_place_for_the_next() -> None:
    room = Room(4)
    room.acquire(3)
    comers = Comers(room)
    comers.come("large", 4)
    comers.come("small", 1)
    room.turn_away("large")
    comers.join()
    assert comers.turned_away == ["large"]
    assert comers.let_in == ["small"]


def test_closing_turns_everybody_away() -> None:
    room = Room(1)
    with room.place():
        comers = Comers(room)
        comers.come("a", 1)
        comers.come("b", 1, Priority.URGENT)
        room.close()
        comers.join()
    assert sorted(comers.turned_away) == ["a", "b"]
    assert room.used == 0
    with pytest.raises(SessionClosed, match="stopped"):
        room.acquire(1)


def test_watchers_are_told_when_a_place_is_free() -> None:
    room = Room(1)
    told: list[int] = []
    unwatch = room.watch(lambda: told.append(room.free))
    with room.place():
        pass
    unwatch()
    with room.place():
        pass
    assert told == [1]


def test_numbers_make_sense() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Room(0)
    with pytest.raises(ValueError, match="negative"):
        Room(1).acquire(-1)


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 6), st.sampled_from(list(Priority))), max_size=12),
)
def test_never_above_the_bound_whoever_comes(
    capacity: int, comers: list[tuple[int, Priority]]
) -> None:
    """Several at once: only one that is larger than the room may be above it, and alone."""
    room = Room(capacity, patience=2)
    inside: list[int] = []
    lock = threading.Lock()

    def visit(amount: int, priority: Priority) -> None:
        with room.place(amount, priority):
            with lock:
                inside.append(amount)
                assert sum(inside) <= capacity or inside == [amount]
            time.sleep(0)
            with lock:
                inside.remove(amount)

    failed: list[AssertionError] = []

    def safely(amount: int, priority: Priority) -> None:
        try:
            visit(amount, priority)
        except AssertionError as error:
            failed.append(error)

    threads = [threading.Thread(target=safely, args=one) for one in comers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert not failed
    assert (room.used, room.waiting) == (0, 0)
