"""Several studies through one network: common batches, fairness, faults kept apart."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import numpy as np
import pytest

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.room import Room
from models.engine.rungs import Degradation
from models.engine.session import Session
from models.errors import InferenceFailed, ModelError, PatchRefused, SessionClosed
from models.runner import Runner
from models.runtime import Batch, Outputs, Runtime
from models.splitting import Split
from tests.unit.models.peers import (
    WAIT_S,
    Doubler,
    Gated,
    Small,
    convolution,
    marked,
    result,
    until,
)

LONG_S = 30.0
"""A wait for a batch to fill that no test sits through: batches leave when they are full."""


@pytest.fixture
def batcher() -> Iterator[Callable[..., Batcher]]:
    """Makes batchers and closes them."""
    made: list[Batcher] = []

    def make(runtime: Runtime, *, device: Room | None = None, **options: object) -> Batcher:
        values = {"maximum_batch": 4, "maximum_wait_s": 0.0} | options
        made.append(Batcher(runtime, BatcherOptions(**values), device=device))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        assert one.close(WAIT_S)


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def occupied(make: Callable[..., Batcher], **options: object) -> tuple[Batcher, Gated]:
    """A batcher whose device is at work, with a full batch collected that waits for it.

    Whatever is submitted now stands in the queue until the test opens the gate; these two
    batches are the first two of ``runtime.firsts``.
    """
    runtime = Gated()
    one = make(runtime, **options)
    session = one.session("first")
    session.submit(marked(0, (1, 1, 1, 2)))
    assert runtime.begun.wait(WAIT_S)
    for _ in range(one.options.maximum_batch):
        session.submit(marked(0, (1, 1, 1, 3)))
    until(lambda: one.counts.batches == 2)
    return one, runtime


def nearly(found: list[list[float]], wanted: list[list[float]]) -> bool:
    """The same batches; two that follow one another may have changed places.

    Two threads collect in turns, and either may reach the device first.
    """
    return sorted(found) == sorted(wanted) and all(
        batch in wanted[max(0, n - 1) : n + 2] for n, batch in enumerate(found)
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


class TestPoison:
    @pytest.mark.parametrize(
        "poison",
        [
            marked(np.nan),
            marked(np.inf),
            np.ones(4, np.float32),
            np.ones((1, 2, 2, 2), np.complex64),
            np.ones((1, 1, 2, 2, 2), np.float32),
        ],
        ids=["NaN", "infinite", "no channels", "complex", "five axes"],
    )
    def test_a_poisoned_patch_fails_its_own_study_alone(
        self, batcher: Callable[..., Batcher], poison: Batch
    ) -> None:
        one, runtime = occupied(batcher)
        good, bad = one.session("good"), one.session("bad")
        futures = [good.submit(marked(n)) for n in (1, 2)]
        refused = bad.submit(poison)
        futures.append(good.submit(marked(3)))
        assert isinstance(refused.exception(0), PatchRefused)
        runtime.go.set()
        assert [float(result(future).flat[0]) for future in futures] == [2, 4, 6]
        assert one.counts.refused == 1
        assert runtime.firsts[2:] == [[1, 2, 3]]

    def test_what_the_network_was_seen_to_take_is_known(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        session = batcher(Doubler()).session("s")
        result(session.submit(marked(1, (1, 4, 4))))
        result(session.submit(marked(1, (1, 6, 2))))
        for shape in ((2, 4, 4), (1, 4, 4, 4), (1, 4)):
            future = session.submit(marked(1, shape))
            with pytest.raises(PatchRefused, match=r"1 channel\(s\) and 2 spatial axes"):
                future.result(WAIT_S)

    def test_a_failing_patch_in_a_common_batch_fails_its_own_study_alone(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        class Delicate(Gated):
            def run(self, batch: Batch) -> Outputs:
                outputs = super().run(batch)
                if (batch == 13).any():
                    raise RuntimeError("thirteen")
                return outputs

        runtime = Delicate()
        one = batcher(runtime, maximum_wait_s=LONG_S)
        futures = [one.session(str(n)).submit(marked(n)) for n in (1, 2, 13, 4)]
        runtime.go.set()
        with pytest.raises(InferenceFailed, match="thirteen"):
            futures[2].result(WAIT_S)
        assert [float(result(futures[n]).flat[0]) for n in (0, 1, 3)] == [2, 4, 8]
        assert one.counts.failed == 1

    def test_the_threads_survive_whatever_a_runtime_raises(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        errors = [ValueError(), MemoryError(), SystemExit(), KeyboardInterrupt(), OSError()]

        class Raising(Doubler):
            def run(self, batch: Batch) -> Outputs:
                if errors:
                    raise errors.pop()
                return super().run(batch)

        session = batcher(Raising()).session("s")
        for _ in range(5):
            with pytest.raises(InferenceFailed):
                session.submit(marked(1)).result(WAIT_S)
        assert float(result(session.submit(marked(1))).flat[0]) == 2

    def test_a_mistake_in_handing_over_completes_everybody(
        self, batcher: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, runtime = occupied(batcher)
        futures = [one.session("s").submit(marked(n)) for n in range(4)]
        handed: list[object] = []

        def broken(*args: object) -> None:
            handed.append(args)
            raise ZeroDivisionError("ours")

        monkeypatch.setattr(one, "_hand_over", broken)
        runtime.go.set()
        for future in futures:
            with pytest.raises(InferenceFailed, match="ours"):
                future.result(WAIT_S)
        monkeypatch.undo()
        assert float(result(one.session("next").submit(marked(5))).flat[0]) == 10

    def test_a_thread_that_dies_leaves_nobody_waiting(
        self, batcher: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A mistake of ours in the one place that nothing catches."""
        one, runtime = occupied(batcher)
        session = one.session("s")
        futures = [session.submit(marked(n)) for n in range(3)]

        def broken(self: object, most: int) -> None:
            raise ZeroDivisionError("ours")

        monkeypatch.setattr("models.engine.fair_queue.FairQueue.take", broken)
        monkeypatch.setattr(threading, "excepthook", lambda args: None)
        runtime.go.set()
        for future in futures:
            with pytest.raises(SessionClosed):
                future.result(WAIT_S)
        assert one.closed
        with pytest.raises(SessionClosed):
            one.session("next")

    def test_run_raises_the_first_error_and_leaves_the_others(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        session = batcher(Doubler()).session("s")
        batch = np.stack([marked(1), marked(np.nan), marked(3)])
        with pytest.raises(PatchRefused, match="not finite"):
            session.run(batch)
        for wrong in (np.float32(3), np.ones((0, 1, 2), np.float32), [1]):
            with pytest.raises(PatchRefused, match="a batch is"):
                session.run(wrong)  # type: ignore[arg-type]


class TestClosing:
    def test_a_closed_session_s_patches_are_dropped(self, batcher: Callable[..., Batcher]) -> None:
        one, runtime = occupied(batcher)
        given_up, other = one.session("given up"), one.session("other")
        dropped = [given_up.submit(marked(n)) for n in (1, 2)]
        kept = other.submit(marked(3))
        given_up.close()
        for future in dropped:
            with pytest.raises(SessionClosed, match="given up"):
                future.result(0)
        with pytest.raises(SessionClosed, match="given up"):
            given_up.submit(marked(4)).result(0)
        given_up.close()
        runtime.go.set()
        assert float(result(kept).flat[0]) == 6
        assert runtime.firsts[2:] == [[3]]
        assert one.counts.failed == 0

    def test_a_patch_on_the_device_ends_although_its_session_is_closed(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        runtime = Gated()
        session = batcher(runtime).session("s")
        future = session.submit(marked(1))
        assert runtime.begun.wait(WAIT_S)
        session.close()
        runtime.go.set()
        assert float(result(future).flat[0]) == 2

    def test_a_study_that_waits_for_the_queue_can_be_given_up(
        self, batcher: Callable[..., Batcher]
    ) -> None:
        one, runtime = occupied(batcher, maximum_batch=1, most_waiting=1)
        kept = one.session("full").submit(marked(1))
        session = one.session("waits")
        futures: list[Future[tuple[Batch, ...]]] = []
        thread = in_thread(lambda: futures.append(session.submit(marked(2))))
        until(lambda: one.counts.blocked == 1)
        session.close()
        thread.join(WAIT_S)
        assert isinstance(futures[0].exception(0), SessionClosed)
        runtime.go.set()
        result(kept)

    def test_a_cancelled_future_s_patch_does_not_run(self, batcher: Callable[..., Batcher]) -> None:
        one, runtime = occupied(batcher)
        session = one.session("s")
        futures = [session.submit(marked(n)) for n in (1, 2, 3)]
        assert futures[1].cancel()
        runtime.go.set()
        assert [float(result(futures[n]).flat[0]) for n in (0, 2)] == [2, 6]
        with pytest.raises(CancelledError):
            futures[1].result(0)
        assert runtime.firsts[2:] == [[1, 3]]

    def test_closing_while_busy_completes_every_waiter(self) -> None:
        """On the device, waiting for it, in the queue, and waiting for the queue."""
        runtime = Gated()
        one = Batcher(runtime, BatcherOptions(1, 0.0, most_waiting=2))
        session = one.session("s")
        futures: list[Future[tuple[Batch, ...]]] = []
        on_device, next_one = session.submit(marked(1)), session.submit(marked(2))
        until(lambda: one.counts.batches == 2)
        futures += [session.submit(marked(3)), session.submit(marked(4))]
        threads = [in_thread(lambda: futures.append(session.submit(marked(5)))) for _ in range(2)]
        until(lambda: one.counts.blocked == 2)
        assert not one.close(0.0)
        for thread in threads:
            thread.join(WAIT_S)
        assert len(futures) == 4
        for future in (next_one, *futures):
            assert isinstance(future.exception(WAIT_S), SessionClosed)
        runtime.go.set()
        assert float(result(on_device).flat[0]) == 2
        assert one.close(WAIT_S)
        assert not runtime.closed
        assert isinstance(session.submit(marked(6)).exception(0), SessionClosed)

    def test_many_threads_closing_and_submitting_leave_nobody_waiting(self, tmp_path: Path) -> None:
        """Sessions that come, go and are cut off while the batcher itself is closed."""
        one = Batcher(convolution(tmp_path), BatcherOptions(3, 0.001, most_waiting=4))
        ends: list[str] = []

        def study(n: int) -> None:
            try:
                for k in range(6):
                    session = one.session(f"{n}.{k}", urgent=n % 3 == 0)
                    futures = [session.submit(marked(n, (1, 4, 4, 4))) for _ in range(3)]
                    if k % 2:
                        session.close()
                    for future in futures:
                        try:
                            future.result(WAIT_S)
                        except SessionClosed:
                            ends.append("dropped")
                        else:
                            ends.append("done")
                    session.close()
            except SessionClosed:
                ends.append("closed")

        threads = [in_thread(lambda n=n: study(n)) for n in range(8)]  # type: ignore[misc]
        until(lambda: ends.count("done") > 10)
        assert one.close(WAIT_S)
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        assert one.counts.waiting == 0
        assert one.counts.failed == 0

    def test_idle_memory_is_given_back(
        self, batcher: Callable[..., Batcher], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("models.engine.batcher.IDLE_S", 0.005)
        copies: list[Doubler] = []

        def on_cpu() -> Runtime:
            copies.append(Doubler())
            return copies[-1]

        one = Batcher(Small(Doubler(), 1), BatcherOptions(2, 0.0), fallback=on_cpu)
        session = one.session("s")
        assert float(result(session.submit(marked(1))).flat[0]) == 2
        until(lambda: copies[0].closed == 1)
        assert float(result(session.submit(marked(1))).flat[0]) == 2
        assert one.close(WAIT_S)
        assert [copy.closed for copy in copies] == [1, 1]


class TestShortMemory:
    def test_every_study_concerned_says_what_was_done(self, tmp_path: Path) -> None:
        """Two studies share the shortage, a third comes when it is over."""
        whole = convolution(tmp_path)
        patch = np.random.default_rng(1).normal(size=(1, 8, 8, 40)).astype(np.float32)
        wanted = whole.run(patch[np.newaxis])[0][0]
        device = Small(whole, patch.size - 1)
        one = Batcher(device, BatcherOptions(2, LONG_S, grow_after=1), split=Split(4, 1))
        sessions = [one.session(name) for name in ("a", "b")]
        futures = [session.submit(patch) for session in sessions]
        for future, session in zip(futures, sessions, strict=True):
            assert result(future) == pytest.approx(wanted, abs=1e-5)
            assert session.degradations == (Degradation.PATCH,)
        assert one.counts.degraded == {"device-memory-patch": 2}
        device.voxels = 9**9
        later = one.session("c")
        for _ in range(16):
            later.run(np.stack([patch, patch]))
        last = one.session("d")
        last.run(np.stack([patch, patch]))
        assert later.degradations == (Degradation.BATCH, Degradation.PATCH)
        assert last.degradations == ()
        assert one.close(WAIT_S)

    def test_a_network_on_the_cpu_s_copy_leaves_the_device_to_others(self) -> None:
        """While one shape runs on the CPU, another runs on the device."""
        gate, cpu = Gated(), Room(1)
        runtime = Small(Doubler(), 8)
        one = Batcher(runtime, BatcherOptions(1, 0.0), cpu=cpu, fallback=lambda: gate)
        session = one.session("s")
        large = session.submit(marked(1, (1, 4, 4)))
        assert gate.begun.wait(WAIT_S)
        assert cpu.used == 1
        assert float(result(session.submit(marked(2, (1, 2, 2)))).flat[0]) == 4
        assert not large.done()
        gate.go.set()
        assert float(result(large).flat[0]) == 2
        assert session.degradations == (Degradation.CPU,)
        assert one.close(WAIT_S)


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


def test_a_session_is_closed_with_its_block() -> None:
    one = Batcher(Doubler())
    with one.session("s") as session:
        assert one.counts.sessions == 1
        assert isinstance(session, Session)
    assert one.counts.sessions == 0
    assert issubclass(SessionClosed, ModelError)
    assert one.close(WAIT_S)


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
