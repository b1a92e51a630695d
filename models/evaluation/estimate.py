"""A figure over cases with its 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

DRAWS = 2000
LEVEL = 0.95
SEED = 1


class Estimate(BaseModel):
    """A figure and its 95 % interval; the interval is None where one case can't give any."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float | None = None
    high: float | None = None
    of: int = Field(description="how many cases, or lesions, it is over")

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def mean_of(values: Sequence[float]) -> Estimate | None:
    """The mean of one value a case, bootstrapped over cases; None where there is none."""
    return _bootstrapped(values, [1] * len(values))


def ratio_of(tops: Sequence[float], bottoms: Sequence[float]) -> Estimate | None:
    """A sum over a sum, one pair a case, e.g. the mean over lesions; None where the lower is 0."""
    return _bootstrapped(tops, bottoms)


def median_of(values: Sequence[Sequence[float]]) -> Estimate | None:
    """The median over all values, some for each case, bootstrapped over cases."""
    cases = [np.asarray(each, np.float64) for each in values if len(each)]
    if not cases:
        return None
    whole = np.concatenate(cases)
    value = float(np.median(whole))
    if len(cases) < 2:
        return Estimate(value=value, of=len(whole))
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, len(cases), size=(DRAWS, len(cases)))
    medians = [np.median(np.concatenate([cases[n] for n in row])) for row in drawn]
    low, high = interval(medians)
    return Estimate(value=value, low=low, high=high, of=len(whole))


def share_of(hits: Sequence[int], of: Sequence[int]) -> Estimate | None:
    """Lesions found of all lesions, one pair of counts a case; None where there is no lesion.

    Where none or all are found the bootstrap gives an interval of no width; then it is
    :func:`exact_share`'s.
    """
    n, found = sum(of), sum(hits)
    if n and found in (0, n):
        return exact_share(found, n)
    return _bootstrapped(hits, of)


def wilson(found: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); (0, 1) where there is nothing to count."""
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    p = found / of
    middle = (p + z * z / (2 * of)) / (1 + z * z / of)
    half = z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of)) / (1 + z * z / of)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def interval(drawn: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of a figure from its draws (Efron and Tibshirani 1993)."""
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def exact_share(found: int, of: int) -> Estimate:
    """None or all found, with the exact binomial interval (Clopper and Pearson 1934).

    It takes lesions for independent.

    Raises:
        ValueError: some are found and some are not, or there is none.
    """
    if not of or found not in (0, of):
        raise ValueError(f"{found} of {of} is neither none nor all")
    reach = ((1 - LEVEL) / 2) ** (1 / of)
    low, high = (reach, 1.0) if found else (0.0, 1 - reach)
    return Estimate(value=found / of, low=low, high=high, of=of)


def _bootstrapped(tops: Sequence[float], bottoms: Sequence[float]) -> Estimate | None:
    """A sum over a sum, with the interval of cases drawn again.

    Cases, not lesions, since lesions of one patient resemble one another.
    """
    top = np.asarray(tops, dtype=np.float64)
    bottom = np.asarray(bottoms, dtype=np.float64)
    total = float(bottom.sum())
    if not total:
        return None
    value, counted = float(top.sum() / total), round(total)
    if np.count_nonzero(bottom) < 2:
        return Estimate(value=value, of=counted)
    rng = np.random.default_rng(SEED)
    drawn = rng.integers(0, len(top), size=(DRAWS, len(top)))
    sums = bottom[drawn].sum(axis=1)
    ratios = top[drawn].sum(axis=1)[sums > 0] / sums[sums > 0]
    low, high = interval(ratios)
    return Estimate(value=value, low=low, high=high, of=counted)
