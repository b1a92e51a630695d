"""Findings to truths, whatever makes a finding hit one: the best first, each truth once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Matched:
    """For each truth the index of the first finding that hit it, or None; and the false."""

    hits: tuple[int | None, ...]
    false: tuple[int, ...]


def match_each(reached: Iterable[Sequence[int]], truths: int) -> Matched:
    """Which finding each truth is found by, and which findings hit none.

    A second finding on the same truth is neither another hit nor false; one finding may hit
    several truths.

    Args:
        reached: for each finding, best first, the truths that it lies on.
        truths: how many there are.
    """
    hits: list[int | None] = [None] * truths
    false = []
    for number, on in enumerate(reached):
        if not on:
            false.append(number)
        for truth in on:
            if hits[truth] is None:
                hits[truth] = number
    return Matched(tuple(hits), tuple(false))
