"""Faults kept apart: patches that fail and memory that is short cost their own study alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.room import Room
from models.engine.rungs import Degradation
from models.errors import InferenceFailed, PatchRefused, SessionClosed
from models.runtime import Batch, Outputs
from models.splitting import Split
from tests.unit.models.engine.occupied import LONG_S, occupied
from tests.unit.models.peers import (
    WAIT_S,
    Doubler,
    Gated,
    Small,
    convolution,
    marked,
    result,
)


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
