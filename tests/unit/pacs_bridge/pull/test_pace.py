"""How fast images may be asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pacs_bridge.pull.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_a_limit_nobody_waits() -> None:
    pace = Pace(0)
    assert not pace.limited
    assert pace.images_a_request == 0
    assert [pace.reserve(10_000) for _ in range(3)] == [0, 0, 0]


def test_each_request_waits_for_those_before_it() -> None:
    clock = Clock()
    pace = Pace(60, clock)
    assert pace.images_a_request == 10
    assert [pace.reserve(10) for _ in range(3)] == [0, 10, 20]
    clock.now += 100  # what was not used is not saved up
    assert [pace.reserve(30), pace.reserve(1)] == [0, 30]


@given(st.integers(1, 10_000), st.lists(st.tuples(st.integers(1, 500), st.floats(0, 60))))
def test_over_any_time_no_more_than_the_limit_and_one_request(
    limit: int, requests: list[tuple[int, float]]
) -> None:
    clock = Clock()
    pace = Pace(limit, clock)
    begun, asked = [], []
    for images, pause in requests:
        clock.now += pause
        clock.now += pace.reserve(images)  # whoever asks waits
        begun.append(clock.now)
        asked.append(images)
    for first in range(len(begun)):
        for last in range(first + 1, len(begun)):
            allowed = (begun[last] - begun[first]) * limit / 60
            assert sum(asked[first:last]) <= allowed + 1e-6 * limit
