"""Order in the queue: studies take turns, urgent ones first, one shape to a batch."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st

from models.engine.fair_queue import FairQueue, Lane, Waiting
from models.engine.turns import Priority
from tests.unit.models.peers import marked

A, B = (1, 2, 2, 2), (1, 4, 2, 2)


def patch(lane: Lane, shape: tuple[int, ...] = A) -> Waiting:
    return Waiting(lane, marked(0, shape), 1, 0.0, Future())


def fill(queue: FairQueue, lane: Lane, *shapes: tuple[int, ...]) -> None:
    for shape in shapes:
        queue.put(patch(lane, shape))


def drained(queue: FairQueue, most: int) -> list[str]:
    """The studies of each batch, one word a batch."""
    batches = []
    while batch := queue.take(most):
        assert len({one.values.shape for one in batch}) == 1
        batches.append(" ".join(one.lane.study for one in batch))
    assert len(queue) == 0
    return batches


def test_studies_take_turns_patch_by_patch() -> None:
    queue = FairQueue(8)
    fill(queue, Lane("huge", Priority.ROUTINE), *[A] * 6)
    fill(queue, Lane("small", Priority.ROUTINE), A, A)
    assert drained(queue, 2) == ["huge small", "huge small", "huge huge", "huge huge"]


def test_one_shape_to_a_batch_and_the_oldest_leads() -> None:
    queue = FairQueue(8)
    fill(queue, Lane("a", Priority.ROUTINE), A, B, A, A)
    fill(queue, Lane("b", Priority.ROUTINE), B, A)
    assert queue.count(A) == 4
    assert drained(queue, 3) == ["a b a", "b a", "a"]


def test_urgent_patches_first_and_routine_ones_fill_up() -> None:
    queue = FairQueue(8)
    fill(queue, Lane("r", Priority.ROUTINE), A, A, A)
    fill(queue, Lane("u", Priority.URGENT), A, A)
    fill(queue, Lane("s", Priority.SHADOW), A)
    assert drained(queue, 4) == ["u u r r", "r s"]


def test_a_routine_patch_of_another_shape_is_not_passed_over_for_ever() -> None:
    queue = FairQueue(2)
    fill(queue, Lane("r", Priority.ROUTINE), B)
    fill(queue, Lane("u", Priority.URGENT), *[A] * 6)
    assert drained(queue, 2) == ["u u", "r", "u u", "u u"]


def test_dropped_patches_are_gone() -> None:
    queue = FairQueue(8)
    one, other = Lane("one", Priority.ROUTINE), Lane("other", Priority.ROUTINE)
    fill(queue, one, A, B)
    fill(queue, other, A)
    assert len(queue.drop(one)) == 2
    assert (len(queue), queue.count(A), queue.count(B)) == (1, 1, 0)
    assert queue.drop(one) == []
    assert [gone.lane.study for gone in queue.drop_all()] == ["other"]
    assert queue.head() is None


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([A, B])), max_size=40),
    st.lists(st.sampled_from(list(Priority)), min_size=5, max_size=5),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_every_patch_leaves_once_and_in_its_study_s_order(
    patches: list[tuple[int, tuple[int, ...]]],
    priorities: list[Priority],
    most: int,
    patience: int,
) -> None:
    queue = FairQueue(patience)
    lanes = [Lane(str(n), priority) for n, priority in enumerate(priorities)]
    put = []
    for n, shape in patches:
        put.append(patch(lanes[n], shape))
        assert queue.put(put[-1]) == queue.count(shape)
    taken: list[Waiting] = []
    while batch := queue.take(most):
        head = batch[0]
        assert len(batch) <= most
        assert {one.values.shape for one in batch} == {head.values.shape}
        taken += batch
    assert Counter(map(id, taken)) == Counter(map(id, put))
    for lane in lanes:
        for shape in (A, B):
            mine = [one.number for one in taken if one.lane is lane and one.values.shape == shape]
            assert mine == sorted(mine)


@given(st.lists(st.integers(1, 30), min_size=2, max_size=6))
def test_equal_studies_are_never_more_than_a_patch_apart(sizes: list[int]) -> None:
    """While two studies both wait, neither gets two patches more than the other."""
    queue = FairQueue(8)
    lanes = [Lane(str(n), Priority.ROUTINE) for n in range(len(sizes))]
    for lane, size in zip(lanes, sizes, strict=True):
        fill(queue, lane, *[A] * size)
    got = dict.fromkeys((lane.study for lane in lanes), 0)
    while batch := queue.take(1):
        got[batch[0].lane.study] += 1
        busy = [lane.study for lane in lanes if lane.waiting]
        assert max((got[s] for s in busy), default=0) - min((got[s] for s in busy), default=0) <= 1
