"""Sessions and batchers that are closed leave nobody waiting."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.session import Session
from models.errors import ModelError, SessionClosed
from models.runtime import Batch, Runtime
from tests.unit.models.engine.occupied import in_thread, occupied
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


def test_a_session_is_closed_with_its_block() -> None:
    one = Batcher(Doubler())
    with one.session("s") as session:
        assert one.counts.sessions == 1
        assert isinstance(session, Session)
    assert one.counts.sessions == 0
    assert issubclass(SessionClosed, ModelError)
    assert one.close(WAIT_S)
