"""Which nodule of one examination is which of the other: one to one, the best in all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points

LEAST_GATE_MM = 5.0
MOST_GATE_MM = 25.0
GATE_ERRORS = 3.0
"""So many times the registration's error a nodule may be off, beside half its own size."""
SIZE_SPREAD = np.log(4.0)
"""Volumes four times apart cost as much as a centre at the gate."""
DENSITY_SPREAD_HU = 500.0
UNPAIRED = 1.0
"""Cost of a nodule without a partner; a pair may cost up to twice that."""
AMBIGUOUS = 0.35
"""Another pairing of the same nodules that costs no more than this much extra is as likely."""
FORBIDDEN = 1e6


@dataclass(frozen=True, eq=False)
class Candidates:
    """Nodules in one frame: centres [n, 3] LPS mm; diameters mm, volumes mm³, densities HU [n]."""

    centres: Points
    diameters: NDArray[np.float64]
    volumes: NDArray[np.float64]
    densities: NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """One nodule on both dates; indices into the two lists."""

    current: int
    prior: int
    distance_mm: float
    rivals: tuple[int, ...] = ()
    """Earlier nodules that make it uncertain, since another pairing costs hardly more: what it
    could as well be, or its own partner where that could be another's. Empty: it is clear."""


def match(
    current: Candidates, prior: Candidates, errors_mm: NDArray[np.float64]
) -> tuple[Pair, ...]:
    """Pair the nodules.

    Args:
        current: mapped into the earlier examination.
        prior: there.
        errors_mm: what the registration may be off at each current nodule, [n].

    Returns:
        The pairs of least total cost; who is in none has no partner. Cost of a pair: squared
        distance in units of the gate, plus squared log volume ratio and squared difference of
        density in units of their spreads. The gate is three registration errors plus half the
        larger diameter, 5 to 25 mm.
    """
    n, m = len(current.centres), len(prior.centres)
    if not n or not m:
        return ()
    distances = np.linalg.norm(current.centres[:, None] - prior.centres[None], axis=-1)
    larger = np.maximum(current.diameters[:, None], prior.diameters[None])
    gates = np.clip(GATE_ERRORS * errors_mm[:, None] + larger / 2, LEAST_GATE_MM, MOST_GATE_MM)
    ratio = np.log(current.volumes[:, None] / prior.volumes[None]) / SIZE_SPREAD
    density = (current.densities[:, None] - prior.densities[None]) / DENSITY_SPREAD_HU
    # A centre close by outweighs any size: nodules grow tenfold, but they don't travel.
    unlike = np.minimum(0.25 * ratio**2 + 0.25 * density**2, 0.9)
    costs = np.where(distances <= gates, (distances / gates) ** 2 + unlike, FORBIDDEN)
    chosen, least = _pairing(costs)
    pairs = []
    for i, j in chosen:
        others = costs.copy()
        others[i, j] = FORBIDDEN
        second, total = _pairing(others)
        moved = dict(second)
        rivals: set[int] = set()
        if total - least <= AMBIGUOUS and len(second) >= len(chosen):
            rivals = {moved[i]} if i in moved else {j}
        pairs.append(Pair(i, j, float(distances[i, j]), tuple(sorted(rivals))))
    return tuple(pairs)


def _pairing(costs: NDArray[np.float64]) -> tuple[tuple[tuple[int, int], ...], float]:
    """The pairs of least total cost, where staying alone costs ``UNPAIRED`` a nodule."""
    n, m = costs.shape
    # Everyone may pair with an own stand-in; stand-ins among themselves cost nothing.
    square = np.full((n + m, n + m), FORBIDDEN)
    square[:n, :m] = costs
    square[np.arange(n), m + np.arange(n)] = UNPAIRED
    square[n + np.arange(m), np.arange(m)] = UNPAIRED
    square[n:, m:] = 0.0
    columns = assign(square)
    total = float(square[np.arange(n + m), columns].sum())
    return tuple((i, int(columns[i])) for i in range(n) if columns[i] < m), total


def assign(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The column of each row so that the sum of a square matrix's costs is least.

    The Hungarian method by shortest augmenting paths (Jonker and Volgenant 1987, Computing
    38:325), O(n³).
    """
    n = len(costs)
    row_value, column_value = np.zeros(n + 1), np.zeros(n + 1)
    row_of = np.full(n + 1, n)  # of each column; the last column is where a path starts
    for row in range(n):
        row_of[n] = row
        column = n
        least = np.full(n, np.inf)
        came_from = np.full(n, n)
        done = np.zeros(n + 1, bool)
        while row_of[column] != n:
            done[column] = True
            at = row_of[column]
            slack = costs[at] - row_value[at] - column_value[:n]
            better = ~done[:n] & (slack < least)
            least[better], came_from[better] = slack[better], column
            open_ = np.where(done[:n], np.inf, least)
            nearest = int(open_.argmin())
            step = open_[nearest]
            row_value[row_of[done]] += step
            column_value[done] -= step
            least[~done[:n]] -= step
            column = nearest
        while column != n:
            before = int(came_from[column])
            row_of[column] = row_of[before]
            column = before
    columns = np.empty(n, np.int64)
    columns[row_of[:n]] = np.arange(n)
    return columns
