"""Whose turn it is: urgent first, in order, and nobody is passed over for ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.engine.turns import Priority, Turns


def served(turns: Turns[str]) -> list[str]:
    """Everybody, as they are taken one after another."""
    order = []
    while (one := turns.first()) is not None:
        turns.take(one)
        order.append(one)
    return order


def test_urgent_first_then_in_order() -> None:
    turns: Turns[str] = Turns(9)
    turns.add("shadow", Priority.SHADOW)
    turns.add("a", Priority.ROUTINE)
    turns.add("b", Priority.ROUTINE)
    turns.add("urgent", Priority.URGENT)
    assert len(turns) == 4
    assert list(turns.order()) == ["urgent", "a", "b", "shadow"]
    assert served(turns) == ["urgent", "a", "b", "shadow"]


def test_a_line_passed_over_long_enough_goes_first_once() -> None:
    turns: Turns[str] = Turns(2)
    for n in range(6):
        turns.add(f"u{n}", Priority.URGENT)
    turns.add("r0", Priority.ROUTINE)
    turns.add("r1", Priority.ROUTINE)
    assert served(turns) == ["u0", "u1", "r0", "u2", "u3", "r1", "u4", "u5"]


def test_who_leaves_is_not_served_and_nobody_is_owed_for_an_empty_line() -> None:
    turns: Turns[str] = Turns(1)
    turns.add("u0", Priority.URGENT)
    turns.add("r0", Priority.ROUTINE)
    turns.take("u0")
    assert turns.leave("r0")
    assert not turns.leave("r0")
    turns.add("u1", Priority.URGENT)
    turns.add("r1", Priority.ROUTINE)
    assert turns.first() == "u1"


def test_only_who_stands_there_can_be_taken() -> None:
    turns: Turns[str] = Turns(1)
    with pytest.raises(KeyError, match="nobody"):
        turns.take("nobody")
    with pytest.raises(ValueError, match="patience"):
        Turns(0)


@given(st.integers(1, 5), st.lists(st.sampled_from(list(Priority)), min_size=1, max_size=60))
def test_nobody_waits_longer_than_patience_allows(patience: int, line: list[Priority]) -> None:
    """The first of each line is served within patience + 2 turns (two other lines may be owed)."""
    turns: Turns[tuple[Priority, int]] = Turns(patience)
    for n, priority in enumerate(line):
        turns.add((priority, n), priority)
    since = dict.fromkeys(Priority, 0)
    seen: list[tuple[Priority, int]] = []
    while (one := turns.first()) is not None:
        standing = {priority for priority, _ in turns.order()}
        turns.take(one)
        seen.append(one)
        for priority in Priority:
            since[priority] = since[priority] + 1 if priority in standing else 0
        since[one[0]] = 0
        assert max(since.values()) <= patience + 2
    for priority in Priority:
        mine = [n for p, n in seen if p is priority]
        assert mine == sorted(mine) == [n for n, p in enumerate(line) if p is priority]
