"""Drawn outlines to masks and diameters, and marks of several readers to nodules."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]

MOST_READERS = 4
TIGHTER = 0.9
LEAST_TOLERANCE_MM = 0.1


def enclosed(points: NDArray[np.int64]) -> tuple[Bools, tuple[int, int]]:
    """What an outline encloses, without the outline's own pixels.

    Args:
        points: [n, 2], column and row, in the order they were drawn; the line is closed.

    Returns:
        A mask (row, column) of the outline's box, and the (row, column) of its first pixel.
    """
    low, high = points.min(0), points.max(0)
    width, height = (int(v) for v in high - low + 1)
    inside = np.zeros((height, width), np.bool_)
    own = points - low
    rows = np.arange(height)
    columns = np.arange(width)
    # A ray to the left of each pixel crosses an odd number of edges where the pixel is inside.
    for (x0, y0), (x1, y1) in zip(own, np.roll(own, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crossed = (rows >= min(y0, y1)) & (rows < max(y0, y1))
        at = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
        inside ^= crossed[:, None] & (columns[None, :] > at[:, None])
    inside[own[:, 1], own[:, 0]] = False
    return inside, (int(low[1]), int(low[0]))


def longest_mm(points: NDArray[np.int64], spacing: tuple[float, float]) -> float:
    """The greatest distance between two points of an outline; ``spacing`` (row, column) mm."""
    at = points[:, ::-1] * np.asarray(spacing)
    return float(np.linalg.norm(at[:, None] - at[None, :], axis=-1).max())


def same_nodules(
    marks: Sequence[NDArray[np.float64]], tolerance_mm: float, most: int = MOST_READERS
) -> list[list[int]]:
    """Which marks are of one nodule: those whose nearest points lie within a tolerance.

    As the pylidc library groups LIDC's marks: by the shortest distance between their outlines'
    points, at first within a slice's thickness, and tighter as long as a group holds more marks
    than there are readers.

    Args:
        marks: points of each mark, [n, 3], LPS mm.
        tolerance_mm: to begin with.
        most: marks of one nodule.

    Returns:
        Groups of indices, in order of their first.
    """
    count = len(marks)
    near = np.zeros((count, count))
    for a in range(count):
        for b in range(a + 1, count):
            near[a, b] = near[b, a] = _nearest(marks[a], marks[b])
    tolerance = tolerance_mm
    while True:
        groups = _joined(near <= tolerance)
        if max(map(len, groups), default=0) <= most or tolerance < LEAST_TOLERANCE_MM:
            return groups
        tolerance *= TIGHTER


def _nearest(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if (a.min(0) - b.max(0)).max() > 50 or (b.min(0) - a.max(0)).max() > 50:
        return float("inf")  # too far apart to look closer
    # In parts: two masses have thousands of points each.
    return min(
        float(np.linalg.norm(part[:, None] - b[None, :], axis=-1).min())
        for part in np.array_split(a, max(len(a) // 256, 1))
    )


def _joined(linked: Bools) -> list[list[int]]:
    """Connected groups of a symmetric relation."""
    left = list(range(len(linked)))
    groups = []
    while left:
        group, edge = [], [left.pop(0)]
        while edge:
            at = edge.pop()
            group.append(at)
            reached = [n for n in left if linked[at, n]]
            left = [n for n in left if n not in reached]
            edge += reached
        groups.append(sorted(group))
    return groups
