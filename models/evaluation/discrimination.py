"""How well a probability tells two kinds of case apart, and whether it means what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.estimate import DRAWS, SEED, Estimate, interval

Float = NDArray[np.float64]
Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class Bin:
    """One row of a reliability table.

    Attributes:
        low, high: probabilities from and below.
        count: cases in it.
        expected: their mean probability.
        seen: the share of them that were so.
    """

    low: float
    high: float
    count: int
    expected: float
    seen: float


def auc(score: Float, positive: Bits) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties half.

    Args:
        score: [n].
        positive: [n].

    Raises:
        ValueError: there is only one kind.

    Source: Hanley and McNeil, Radiology 1982;143:29 (the Mann-Whitney statistic).
    """
    count = int(np.count_nonzero(positive))
    if count in (0, len(positive)):
        raise ValueError("one kind of case only: there is nothing to tell apart")
    _, place, ties = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[place]
    above = float(rank[positive].sum()) - count * (count + 1) / 2
    return above / (count * (len(positive) - count))


def reliability(probability: Float, event: Bits, bins: int = 10) -> list[Bin]:
    """Probabilities against what was seen, in bins of equal width; empty ones are left out.

    Args:
        probability: [n], 0 to 1.
        event: [n], whether it was so.
    """
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip((probability * bins).astype(int), 0, bins - 1)
    rows = []
    for n in range(bins):
        held = place == n
        if held.any():
            rows.append(
                Bin(
                    float(edges[n]), float(edges[n + 1]), int(held.sum()),
                    float(probability[held].mean()), float(event[held].mean()),
                )
            )  # fmt: skip
    return rows


def calibration_error(probability: Float, event: Bits, bins: int = 10) -> float:
    """Expected calibration error: mean gap of the reliability table, by the cases in each bin.

    Source: Naeini, Cooper and Hauskrecht, AAAI 2015.
    """
    rows = reliability(probability, event, bins)
    return sum(row.count * abs(row.expected - row.seen) for row in rows) / len(probability)


def over_groups(
    figure: Callable[[NDArray[np.intp]], float], group: NDArray[np.str_], draws: int = DRAWS
) -> Estimate:
    """A figure over cases with the percentile interval over groups of them (patients).

    Args:
        figure: of the cases at these indices (repeated where a group is drawn twice); may
            raise ``ValueError`` where a draw gives none, which is then left out.
        group: of each case.
        draws: of the bootstrap; one group alone gives no interval.

    Raises:
        ValueError: all cases together give no figure.
    """
    value = figure(np.arange(len(group)))
    names, index = np.unique(group, return_inverse=True)
    members = [np.flatnonzero(index == n) for n in range(len(names))]
    rng = np.random.default_rng(SEED)
    drawn = []
    for _ in range(draws if len(names) > 1 else 0):
        picked = rng.integers(len(names), size=len(names))
        try:
            drawn.append(figure(np.concatenate([members[n] for n in picked])))
        except ValueError:
            continue
    low, high = interval(drawn) if drawn else (None, None)
    return Estimate(value=value, low=low, high=high, of=len(group))
