"""A batcher at work, so that what is submitted waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from models.engine.batcher import Batcher
from tests.unit.models.peers import WAIT_S, Gated, marked, until

LONG_S = 30.0
"""A wait for a batch to fill that no test sits through: batches leave when they are full."""


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
