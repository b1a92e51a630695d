"""The main duct: the best chain of dark ridges along the gland.

Along the line the gland is cut into stations of 2 mm; each has a few ridges to choose from, or
none. A chain pays for jumping aside and for beginning, so that single clefts between lobules make
no duct (dynamic programming, as for the centre lines of vessels). In the head the bile duct runs
beside the main duct and can't be told from it unless a model segmented one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points
from imaging.pancreas.centreline import Line
from imaging.pancreas.ridges import Ridges
from imaging.pancreatic import DILATED_MM

STATION_MM: Final = 2.0
CHOICES: Final = 10
BEGIN_COST: Final = 5.0
"""In units of one station whose ridge is as strong as twice the threshold."""
MISS_COST: Final = 0.6
"""For a station within the chain whose ridge is not seen."""
JUMP_COST: Final = 0.35
"""For every mm aside beyond what the line's own step explains."""
LARGEST_GAIN: Final = 2.0
MEDIAN: Final = 5
"""Neighbouring stations whose median width stands in the profile."""
DILATED_LENGTH_MM: Final = 10.0


@dataclass(frozen=True, eq=False)
class DuctChain:
    """The duct along the gland.

    Attributes:
        along: (n,), stations, mm along the line.
        width: (n,), mm; nan where no duct is seen.
        points: (n, 3), LPS mm; nan likewise.
    """

    along: NDArray[np.float64]
    width: NDArray[np.float64]
    points: Points

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(n,), where a duct is seen."""
        return np.isfinite(self.width)

    @property
    def seen_mm(self) -> float:
        """Length of gland along which it is seen, mm."""
        return float(np.count_nonzero(self.seen)) * STATION_MM

    def widest(self, start_mm: float = 0.0, end_mm: float = np.inf) -> tuple[float, float] | None:
        """(width, place along the line) where it is widest between two places; None: not seen."""
        use = self.seen & (self.along >= start_mm) & (self.along <= end_mm)
        if not use.any():
            return None
        best = int(np.where(use, self.width, -1.0).argmax())
        return float(self.width[best]), float(self.along[best])

    def width_at(self, along_mm: float) -> float | None:
        """Width at the nearest station; None: not seen."""
        value = float(self.width[int(np.abs(self.along - along_mm).argmin())])
        return value if np.isfinite(value) else None

    def dilated_runs(self, start_mm: float = 0.0) -> list[tuple[float, float]]:
        """Stretches of at least 10 mm of gland along which it is at least 4 mm wide."""
        wide = self.seen & (np.nan_to_num(self.width) >= DILATED_MM) & (self.along >= start_mm)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], wide.astype(int), [0]])))
        runs = []
        for first, after in zip(edges[::2], edges[1::2], strict=True):
            if (after - first) * STATION_MM >= DILATED_LENGTH_MM:
                runs.append((float(self.along[first]), float(self.along[after - 1])))
        return runs


def chain(line: Line, ridges: Ridges) -> DuctChain:
    """The best chain of ridges along a gland; without any where none pays.

    Args:
        line: of the gland, from the head to the tail.
        ridges: places where a duct may run.
    """
    count = max(2, int(np.ceil(line.length_mm / STATION_MM)))
    along = (np.arange(count) + 0.5) * line.length_mm / count
    nodes = _choices(line, ridges, count)
    chosen = _best(nodes, ridges, line.length_mm / count)
    width = np.full(count, np.nan)
    points = np.full((count, 3), np.nan)
    for station, ridge in enumerate(chosen):
        if ridge >= 0:
            width[station] = ridges.width[ridge]
            points[station] = ridges.points[ridge]
    return DuctChain(along, _smooth(_bridged(width)), _bridged(points))


def _choices(line: Line, ridges: Ridges, count: int) -> list[NDArray[np.intp]]:
    """The strongest ridges of each station."""
    if not len(ridges.points):
        return [np.zeros(0, np.intp)] * count
    place = line.along[line.nearest(ridges.points)] / line.length_mm * count
    station = np.minimum(place.astype(int), count - 1)
    order = np.lexsort((-ridges.strength, station))
    return [order[station[order] == n][:CHOICES] for n in range(count)]


def _best(nodes: list[NDArray[np.intp]], ridges: Ridges, step_mm: float) -> list[int]:
    """The chain that gains most: a ridge for each station, -1 for none."""
    gain = np.clip(ridges.strength / ridges.threshold - 1.0, 0.0, LARGEST_GAIN)
    gain = gain * STATION_MM / 2
    # States: outside the chain, or the last ridge that was taken, however long ago.
    outside: tuple[float, list[int]] = (0.0, [])
    inside: list[tuple[float, int, list[int]]] = []
    for ids in nodes:
        fresh: list[tuple[float, int, list[int]]] = []
        for ridge in (int(r) for r in ids):
            best, way = outside[0] - BEGIN_COST, outside[1]
            for score, before, path in inside:
                missed = _missed(path)
                aside = float(np.linalg.norm(ridges.points[ridge] - ridges.points[before]))
                aside -= 1.6 * step_mm * (missed + 1)
                reached = score - JUMP_COST * max(0.0, aside)
                if reached > best:
                    best, way = reached, path
            fresh.append((best + float(gain[ridge]), ridge, [*way, ridge]))
        waiting = [(s - MISS_COST, r, [*p, -1]) for s, r, p in inside if _missed(p) < 4]
        ended = max(inside, key=lambda one: one[0], default=None)
        if ended is not None and ended[0] > outside[0]:
            outside = (ended[0], [*ended[2], -1])
        else:
            outside = (outside[0], [*outside[1], -1])
        inside = sorted(fresh + waiting, key=lambda one: -one[0])[: 2 * CHOICES]
    ended = max(inside, key=lambda one: one[0], default=None)
    return ended[2] if ended is not None and ended[0] > outside[0] else outside[1]


def _missed(path: list[int]) -> int:
    """Stations since the last ridge that was taken."""
    count = 0
    for ridge in reversed(path):
        if ridge >= 0:
            break
        count += 1
    return count


def _bridged(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaps of up to four stations filled between their ends."""
    out = values.copy()
    flat = out.reshape(len(out), -1)
    seen = np.flatnonzero(np.isfinite(flat[:, 0]))
    for first, second in zip(seen[:-1], seen[1:], strict=True):
        if 1 < second - first <= 5:
            gap = np.arange(first + 1, second)
            for column in range(flat.shape[1]):
                flat[gap, column] = np.interp(gap, [first, second], flat[[first, second], column])
    return out


def _smooth(width: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median over neighbouring stations, where the duct is seen."""
    half = MEDIAN // 2
    out = width.copy()
    for n in np.flatnonzero(np.isfinite(width)):
        near = width[max(0, n - half) : n + half + 1]
        out[n] = np.median(near[np.isfinite(near)])
    return out
