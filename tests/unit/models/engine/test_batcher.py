"""Several studies through one network: common batches, fairness, bounds."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.room import Room
from models.runner import Runner
from models.runtime import Batch, Outputs
from tests.unit.models.engine.occupied import LONG_S, in_thread, nearly, occupied
from tests.unit.models.peers import (
    WAIT_S,
    Doubler,
    Gated,
    convolution,
    marked,
    result,
    until,
)


class TestResults:
    def test_a_session_is_a_runner(self, batcher: Callable[..., Batcher]) -> None:
        session: Runner = batcher(Doubler()).session("study")
        assert (session.name, session.device) == ("doubler cpu", "cuda:0")
        assert np.array_equal(result(session.submit(marked(4)))[0], 2 * marked(4)[0])
        (outputs,) = session.run(np.stack([marked(n) for n in range(7)]))
        assert [float(each.flat[0]) for each in outputs] == [0, 2, 4, 6, 8, 10, 12]
        session.close()

    def test_each_patch_gets_its_own_outputs_whoever_shares_the_batch(
        self, batcher: Callable[..., Batcher], tmp_path: Path
    ) -> None:
        """Six studies' threads, two shapes, a real network; every result is the direct one."""
        network = convolution(tmp_path)
        one = batcher(network, maximum_wait_s=0.002)
        failed: list[str] = []

        def study(n: int) -> None:
            rng = np.random.default_rng(n)
            shapes = [(1, 4, 4, 8), (1, 8, 4, 4)]
            patches = [rng.normal(size=shapes[k % 2]).astype(np.float32) for k in range(12)]
            with one.session(f"study {n}", urgent=n == 0) as session:
                futures = [session.submit(patch) for patch in patches]
                for patch, future in zip(patches, futures, strict=True):
                    wanted = network.run(patch[np.newaxis])[0][0]
                    if result(future) != pytest.approx(wanted, abs=1e-5):
                        failed.append(f"study {n}")

        threads = [in_thread(lambda n=n: study(n)) for n in range(6)]  # type: ignore[misc]
        for thread in threads:
            thread.join(WAIT_S)
        assert failed == []
        counts = one.counts
        assert counts.patches == 72
        assert counts.batches < 72
        assert (counts.failed, counts.refused, counts.sessions, counts.waiting) == (0, 0, 0, 0)

    def test_patches_of_several_studies_share_a_batch(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        one, runtime = occupied(batcher)
        futures = [one.session(f"s{n}").submit(marked(n)) for n in range(1, 5)]
        runtime.go.set()
        assert [float(result(future).flat[0]) for future in futures] == [2, 4, 6, 8]
        assert runtime.firsts[2:] == [[1, 2, 3, 4]]

    def test_shapes_are_not_mixed(self, batcher: Callable[..., Batcher]) -> None:
        one, runtime = occupied(batcher)
        session = one.session("s")
        shapes = [(1, 2, 2), (1, 2, 3), (1, 2, 2), (1, 2, 3), (1, 2, 2)]
        futures = [session.submit(marked(n, shape)) for n, shape in enumerate(shapes)]
        runtime.go.set()
        for n, (future, shape) in enumerate(zip(futures, shapes, strict=True)):
            assert np.array_equal(result(future), marked(2 * n, shape))
        assert nearly(runtime.firsts[2:], [[0, 2, 4], [1, 3]])

    def test_a_patch_waits_for_others_until_the_batch_is_full(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        runtime = Doubler()
        session = batcher(runtime, maximum_wait_s=LONG_S).session("s")
        futures = [session.submit(marked(n)) for n in range(4)]
        assert [float(result(future).flat[0]) for future in futures] == [0, 2, 4, 6]
        assert runtime.firsts == [[0, 1, 2, 3]]

    def test_a_patch_that_nobody_joins_does_not_wait_for_ever(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        session = batcher(Doubler(), maximum_wait_s=0.01).session("s")
        assert float(result(session.submit(marked(3))).flat[0]) == 6


class TestOrder:
    def test_urgent_patches_go_first(self, batcher: Callable[..., Batcher]) -> None:
        one, runtime = occupied(batcher, maximum_batch=2)
        routine, urgent = one.session("r"), one.session("u", urgent=True)
        shadow = one.session("s", shadow=True)
        futures = [shadow.submit(marked(7))]
        futures += [routine.submit(marked(n)) for n in (1, 2)]
        futures += [urgent.submit(marked(n)) for n in (11, 12, 13)]
        runtime.go.set()
        for future in futures:
            result(future)
        assert nearly(runtime.firsts[2:], [[11, 12], [13, 1], [2, 7]])

    def test_a_large_study_does_not_block_a_small_one(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        one, runtime = occupied(batcher, maximum_batch=2)
        large, small = one.session("large"), one.session("small")
        futures = [large.submit(marked(n)) for n in range(10, 20)]
        futures += [small.submit(marked(n)) for n in (1, 2)]
        runtime.go.set()
        for future in futures:
            result(future)
        assert nearly(runtime.firsts[2:4], [[10, 1], [11, 2]])

    def test_a_stream_of_urgent_patches_starves_nobody(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        one, runtime = occupied(batcher, maximum_batch=1, patience=3)
        urgent, routine = one.session("u", urgent=True), one.session("r")
        futures = [urgent.submit(marked(1)) for _ in range(12)]
        futures += [routine.submit(marked(2)) for _ in range(3)]
        runtime.go.set()
        for future in futures:
            result(future)
        assert nearly(runtime.firsts[2:], [[1], [1], [1], [2]] * 3 + [[1], [1], [1]])

    def test_batchers_of_one_device_take_turns(self, batcher: Callable[..., Batcher]) -> None:
        device = Room(1)
        gates = [Gated(), Gated()]
        sessions = [batcher(gate, device=device).session("s") for gate in gates]
        futures = [session.submit(marked(1)) for session in sessions]
        until(lambda: gates[0].begun.is_set() or gates[1].begun.is_set())
        assert (device.used, device.free) == (1, 0)
        assert sum(gate.begun.is_set() for gate in gates) == 1
        for gate in gates:
            gate.go.set()
        for future in futures:
            result(future)
        assert device.most_used == 1

    @pytest.mark.parametrize("places", [1, 3])
    def test_as_many_batches_at_once_as_the_device_has_places(
        self, batcher: Callable[..., Batcher], places: int
    ) -> None:
        runtime = Gated()
        session = batcher(runtime, device=Room(places), maximum_batch=1).session("s")
        futures = [session.submit(marked(n)) for n in range(6)]
        until(lambda: runtime.at_once == places)
        runtime.go.set()
        for future in futures:
            result(future)
        assert runtime.most_at_once == places


class TestCeiling:
    @pytest.mark.parametrize(
        "bound", [{"most_waiting": 5}, {"most_waiting_bytes": 5 * marked(0).nbytes}]
    )
    def test_the_queue_never_grows_beyond_its_bound(
        self, batcher: Callable[..., Batcher], bound: dict[str, int]
    ) -> None:
        """Ten studies' threads push into a queue for five; each is let in as others leave."""
        one, runtime = occupied(batcher, **bound)
        done: list[int] = []

        def study(n: int) -> None:
            with one.session(str(n)) as session:
                futures = [session.submit(marked(n)) for _ in range(6)]
                assert all(float(result(future).flat[0]) == 2 * n for future in futures)
            done.append(n)

        threads = [in_thread(lambda n=n: study(n)) for n in range(10)]  # type: ignore[misc]
        until(lambda: one.counts.waiting == 5)
        assert done == []
        runtime.go.set()
        for thread in threads:
            thread.join(WAIT_S)
        assert sorted(done) == list(range(10))
        assert one.counts.most_waiting == 5

    def test_a_patch_larger_than_the_bound_runs_all_the_same(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        session = batcher(Doubler(), most_waiting_bytes=8).session("s")
        (outputs,) = session.run(np.stack([marked(n) for n in range(3)]))
        assert [float(each.flat[0]) for each in outputs] == [0, 2, 4]

    def test_an_urgent_study_is_let_in_first(self, batcher: Callable[..., Batcher]) -> None:
        one, runtime = occupied(batcher, maximum_batch=1, most_waiting=1)
        full = one.session("full").submit(marked(1))
        futures: dict[str, Future[tuple[Batch, ...]]] = {}

        def come(name: str, urgent: bool, value: float) -> threading.Thread:
            session = one.session(name, urgent)
            waiting = one.counts.blocked
            thread = in_thread(lambda: futures.update({name: session.submit(marked(value))}))
            until(lambda: one.counts.blocked == waiting + 1)
            return thread

        threads = [come("routine", False, 2), come("urgent", True, 3)]
        runtime.go.set()
        for thread in threads:
            thread.join(WAIT_S)
        for future in (full, *futures.values()):
            result(future)
        assert nearly(runtime.firsts[2:], [[1], [3], [2]])


def test_options_make_sense() -> None:
    for wrong in (
        {"maximum_batch": 0},
        {"maximum_wait_s": -1.0},
        {"most_waiting": 0},
        {"most_waiting_bytes": 0},
        {"patience": 0},
        {"grow_after": 0},
        {"batch_voxels": -1},
    ):
        with pytest.raises(ValueError, match="at least 1"):
            BatcherOptions(**wrong)  # type: ignore[arg-type]


def test_nothing_of_a_batch_is_kept_once_it_was_handed_over() -> None:
    """Outputs of a hundred channels are large: an idle batcher holds none."""

    class Watched(Doubler):
        def run(self, batch: Batch) -> Outputs:
            outputs = (2 * batch,)
            made.append(weakref.ref(outputs[0]))
            return outputs

    made: list[weakref.ref[Batch]] = []
    one = Batcher(Watched(), BatcherOptions(2, 0.0))
    session = one.session("s")
    assert float(result(session.submit(marked(1))).flat[0]) == 2
    until(lambda: made[0]() is None)
    assert one.close(WAIT_S)
