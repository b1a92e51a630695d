"""The ceiling on what studies in flight take."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from models.engine.memory import MemoryBudget
from models.errors import InputRefused, SessionClosed
from tests.unit.models.peers import WAIT_S, until


def study(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_many_studies_stay_below_the_ceiling() -> None:
    budget = MemoryBudget(100)
    seen: list[int] = []
    lock = threading.Lock()
    held = 0

    def run(needed: int) -> None:
        nonlocal held
        with budget.reserve(needed) as reservation:
            with lock:
                held += needed
                seen.append(held)
            assert reservation.held == needed
            with lock:
                held -= needed

    threads = [study(lambda n=n: run(10 + 7 * (n % 9))) for n in range(40)]  # type: ignore[misc]
    for thread in threads:
        thread.join(WAIT_S)
    assert len(seen) == 40
    assert max(seen) <= budget.most_used <= 100
    assert (budget.used, budget.waiting, budget.limit) == (0, 0, 100)


def test_urgent_studies_come_first_shadows_last() -> None:
    budget = MemoryBudget(10)
    order: list[str] = []

    def run(name: str, urgent: bool, shadow: bool) -> None:
        with budget.reserve(10, name, urgent, shadow=shadow):
            order.append(name)

    threads = []
    with budget.reserve(10):
        for n, (name, urgent, shadow) in enumerate(
            [("shadow", False, True), ("routine", False, False), ("urgent", True, False)]
        ):
            threads.append(study(lambda a=name, b=urgent, c=shadow: run(a, b, c)))  # type: ignore[misc]
            until(lambda n=n: budget.waiting == n + 1)  # type: ignore[misc]
    for thread in threads:
        thread.join(WAIT_S)
    assert order == ["urgent", "routine", "shadow"]


def test_a_study_larger_than_the_budget_runs_alone() -> None:
    budget = MemoryBudget(10, machine_bytes=1000)
    used: list[int] = []

    def run() -> None:
        with budget.reserve(1):
            used.append(budget.used)

    with budget.reserve(500, "huge"):
        assert (budget.used, budget.limit) == (500, 10)
        small = study(run)
        until(lambda: budget.waiting == 1)
    small.join(WAIT_S)
    assert used == [1]


def test_a_study_larger_than_the_machine_is_refused_with_both_numbers() -> None:
    budget = MemoryBudget(10, machine_bytes=16_000_000_000)
    with pytest.raises(InputRefused) as caught, budget.reserve(40_000_000_000):
        pass
    assert caught.value.reason.code == "study-too-large"
    assert "40.0 GB" in caught.value.reason.text.en
    assert "16.0 GB" in caught.value.reason.text.zh
    assert budget.used == 0


def test_what_is_not_needed_any_more_lets_the_next_begin() -> None:
    budget = MemoryBudget(10)
    begun = threading.Event()

    def run() -> None:
        with budget.reserve(6):
            begun.set()

    with budget.reserve(10) as reservation:
        thread = study(run)
        until(lambda: budget.waiting == 1)
        reservation.shrink(4)
        assert begun.wait(WAIT_S)
        for wrong in (5, -1):
            with pytest.raises(ValueError, match="shrink"):
                reservation.shrink(wrong)
    thread.join(WAIT_S)
    assert budget.used == 0


def test_a_failing_study_gives_its_memory_back() -> None:
    budget = MemoryBudget(10)
    with pytest.raises(ZeroDivisionError), budget.reserve(10):
        raise ZeroDivisionError
    assert budget.used == 0
    with pytest.raises(ValueError, match="negative"), budget.reserve(-1):
        pass


def test_who_waits_is_told_when_it_is_given_up_or_all_ends() -> None:
    budget = MemoryBudget(10)
    told: list[str] = []

    def run(name: str) -> None:
        try:
            with budget.reserve(10, name):
                pass
        except SessionClosed:
            told.append(name)

    with budget.reserve(10):
        threads = [study(lambda: run("one")), study(lambda: run("two"))]
        until(lambda: budget.waiting == 2)
        budget.give_up("one")
        until(lambda: told == ["one"])
        budget.close()
        for thread in threads:
            thread.join(WAIT_S)
    assert told == ["one", "two"]
    with pytest.raises(SessionClosed), budget.reserve(1):
        pass
