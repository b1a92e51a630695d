"""Fixtures of the tests of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from models.engine.batcher import Batcher, BatcherOptions
from models.engine.core import Engine, EngineSettings
from models.engine.room import Room
from models.runtime import Runtime
from tests.unit.models.engine.loads import GB, Loads
from tests.unit.models.peers import WAIT_S


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


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def engine(loads: Loads) -> Iterator[Engine]:
    with Engine(EngineSettings(memory_bytes=64 * GB, batch_wait_s=0.0), loads) as made:
        yield made
