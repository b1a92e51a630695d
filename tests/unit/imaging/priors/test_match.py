"""One to one, the best in all."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from imaging.priors.match import Candidates, assign, match


def nodules(*rows: tuple[float, float, float, float]) -> Candidates:
    """(x, y, z, diameter) each, all of 0 HU."""
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Candidates(table[:, :3], table[:, 3], np.pi / 6 * table[:, 3] ** 3, np.zeros(len(table)))


def pairs(current: Candidates, prior: Candidates, error: float = 1.0) -> list[tuple[int, int]]:
    found = match(current, prior, np.full(len(current.centres), error))
    return [(p.current, p.prior) for p in found if not p.rivals]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
def test_no_other_assignment_costs_less(n: int) -> None:
    rng = np.random.default_rng(n)
    for _ in range(10):
        costs = np.round(rng.random((n, n)) * 5, 1)  # ties as well
        columns = assign(costs)
        assert sorted(columns) == list(range(n))
        least = min(sum(costs[i, p[i]] for i in range(n)) for p in permutations(range(n)))
        assert costs[np.arange(n), columns].sum() == pytest.approx(least)


def test_nearest_partners_are_found_in_any_order() -> None:
    now = nodules((0, 0, 0, 6), (50, 0, 0, 8), (0, 60, 0, 10))
    then = nodules((1, 61, 0, 9), (1, 0, 1, 6), (51, 1, 0, 8))
    assert pairs(now, then) == [(0, 1), (1, 2), (2, 0)]


def test_the_best_in_all_beats_the_nearest_first() -> None:
    # greedily 0 would take 0 (2 mm), and 1 would be left 8 mm from what remains
    now = nodules((0, 0, 0, 6), (4.5, 0, 0, 6))
    then = nodules((2, 0, 0, 6), (-4, 0, 0, 6))
    found = match(now, then, np.full(2, 2.0))
    assert [(p.current, p.prior) for p in found] == [(0, 1), (1, 0)]


def test_beyond_the_gate_there_is_no_partner() -> None:
    assert pairs(nodules((0, 0, 0, 6)), nodules((12, 0, 0, 6))) == []
    assert pairs(nodules((0, 0, 0, 6)), nodules((12, 0, 0, 6)), error=5.0) == [(0, 0)]


def test_a_nodule_that_grew_eightfold_in_its_place_is_the_same() -> None:
    assert pairs(nodules((0, 0, 0, 16)), nodules((1, 0, 0, 8))) == [(0, 0)]


def test_two_equal_candidates_make_it_ambiguous() -> None:
    found = match(nodules((0, 0, 0, 6)), nodules((3, 0, 0, 6), (-3, 0, 0, 6.1)), np.array([1.0]))
    (pair,) = found
    assert {pair.prior, *pair.rivals} == {0, 1}
    assert pair.rivals
    near = match(nodules((0, 0, 0, 6)), nodules((0.5, 0, 0, 6), (-5, 0, 0, 6)), np.array([1.0]))
    assert [(p.prior, p.rivals) for p in near] == [(0, ())]


def test_size_and_density_tell_neighbours_apart() -> None:
    now = nodules((0, 0, 0, 6), (5, 0, 0, 12))
    then = nodules((2.6, 0, 0, 12), (2.4, 0, 0, 6))
    found = match(now, then, np.full(2, 2.0))
    assert [(p.current, p.prior) for p in found] == [(0, 1), (1, 0)]


def test_nothing_against_something_is_no_pair() -> None:
    assert match(nodules(), nodules((0, 0, 0, 6)), np.zeros(0)) == ()
    assert match(nodules((0, 0, 0, 6)), nodules(), np.zeros(1)) == ()
