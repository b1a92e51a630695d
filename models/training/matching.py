"""Findings against truth: what was hit, what was missed, what was false."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_REACH_MM = 5.0


@dataclass(frozen=True)
class Matched:
    """For each truth the index of the best finding that hit it, or None; and the false ones."""

    hits: tuple[int | None, ...]
    false: tuple[int, ...]


def match(
    found_mm: Sequence[NDArray[np.float64]],
    truths: Sequence[tuple[NDArray[np.float64], float]],
) -> Matched:
    """Matches findings, best first, to (centre in mm, diameter in mm).

    A finding hits a nodule when its centre lies within half the diameter, and at least 5 mm, of
    the nodule's. A second hit on the same nodule is neither another hit nor false.
    """
    hits: list[int | None] = [None] * len(truths)
    false = []
    for n, at in enumerate(found_mm):
        reached = [
            t
            for t, (centre, diameter) in enumerate(truths)
            if np.linalg.norm(at - centre) <= max(LEAST_REACH_MM, diameter / 2)
        ]
        if not reached:
            false.append(n)
        for t in reached:
            if hits[t] is None:
                hits[t] = n
    return Matched(tuple(hits), tuple(false))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) where there is nothing to count."""
    if of == 0:
        return 0.0, 1.0
    z = 1.959964
    p = hits / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return float(max(middle - half, 0.0)), float(min(middle + half, 1.0))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Twice the common part over the sum; 0 where both are empty."""
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else 0.0
