"""FROC: sensitivity against false findings a scan, from findings with scores and marked nodules.

A curve as LUNA16 draws it (Setio et al. 2017, Medical Image Analysis 42:1-13, after Niemeijer et
al. 2011 and Bunch et al. 1978): every score is a threshold; at each, the share of counted nodules
that some finding hits, and how many findings a scan hit nothing
(:func:`models.evaluation.judging.judge`).

Two ways from LUNA16's own script: the sensitivity at a rate is that of a threshold that exists
(the last one that keeps the rate), not interpolated between two; and findings with equal scores
come in together. Where there are many scans neither can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from models.evaluation.estimate import SEED, Estimate, exact_share, interval, mean_of, share_of
from models.evaluation.judging import JudgedScan

RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False findings a scan at which LUNA16 reads the curve; their mean sensitivity is the CPM."""
DRAWS = 1000
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """The points of a FROC curve, from the highest threshold down; arrays of one length."""

    thresholds: Floats
    false_a_scan: Floats
    sensitivity: Floats

    def at(self, rate: float) -> tuple[float, float | None]:
        """(sensitivity, threshold) at no more than ``rate`` false findings a scan.

        The threshold is None, and nothing found, where even the best finding is one false too
        many.
        """
        n = int(np.searchsorted(self.false_a_scan, rate * (1 + 1e-9), side="right")) - 1
        if n < 0:
            return 0.0, None
        return float(self.sensitivity[n]), float(self.thresholds[n])


class FrocPoint(BaseModel):
    """One reading of a curve."""

    model_config = ConfigDict(frozen=True)

    false_a_scan: float = Field(description="at most so many")
    sensitivity: Estimate
    threshold: float | None = Field(description="of the score; None: nothing could be reported")


class FrocGroup(BaseModel):
    """Sensitivity among some of the nodules, at the thresholds of the whole set."""

    model_config = ConfigDict(frozen=True)

    name: str
    nodules: int
    points: tuple[FrocPoint, ...]


class Froc(BaseModel):
    """A curve read at the usual rates, with 95 % intervals from scans drawn again.

    Attributes:
        cpm: mean sensitivity over ``points``, as LUNA16's competition performance metric.
    """

    model_config = ConfigDict(frozen=True)

    scans: int
    nodules: int
    points: tuple[FrocPoint, ...]
    cpm: Estimate
    groups: tuple[FrocGroup, ...] = ()

    def at(self, rate: float) -> FrocPoint:
        """The reading at one of its rates.

        Raises:
            KeyError: it was not read there.
        """
        for point in self.points:
            if point.false_a_scan == rate:
                return point
        raise KeyError(f"the curve was not read at {rate} false findings a scan")

    def group(self, name: str) -> FrocGroup:
        """One group.

        Raises:
            KeyError: no nodule is in it.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(f"no nodule is in group {name!r}")


def curve(scans: Sequence[JudgedScan]) -> Curve:
    """The whole curve.

    Raises:
        ValueError: no scan, or no counted nodule in any.
    """
    events = _Events(scans)
    ones = np.ones(len(scans))
    return Curve(events.scores, events.false(ones) / len(scans), events.found(ones) / events.total)


def froc(
    scans: Sequence[JudgedScan],
    *,
    rates: Sequence[float] = RATES,
    order: Sequence[str] = (),
    draws: int = DRAWS,
    seed: int = SEED,
) -> Froc:
    """The curve's readings with their intervals.

    Args:
        scans: judged, each once.
        rates: false findings a scan, ascending.
        order: names of groups, in the order to give them; others follow by name.
        draws: how often the scans are drawn again (Efron and Tibshirani 1993, percentile
            interval). Scans, not nodules: those of one patient resemble one another.
        seed: of the draws.

    Raises:
        ValueError: no scan, or no counted nodule in any.
    """
    events = _Events(scans)
    ones = np.ones(len(scans))
    weights = _drawn(len(scans), draws, seed) if len(scans) > 1 else np.zeros((0, 0))
    whole = curve(scans)
    thresholds = [whole.at(rate)[1] for rate in rates]

    names = list(dict.fromkeys(g for s in scans for n in s.nodules for g in n.truth.groups))
    known = {name: at for at, name in enumerate(order)}
    names.sort(key=lambda name: (known.get(name, len(known)), name))
    members = [None, *(events.members(name) for name in names)]

    values = events.shares(ones, rates, members)
    spread = np.full((len(weights), len(members), len(rates)), np.nan)
    for n, weight in enumerate(weights):
        spread[n] = events.shares(weight, rates, members)

    sets: list[tuple[FrocPoint, ...]] = []
    for m in range(len(members)):
        nodules = events.count(members[m])
        sets.append(
            tuple(
                FrocPoint(
                    false_a_scan=rate,
                    sensitivity=_estimate(values[m, r], spread[:, m, r], nodules),
                    threshold=thresholds[r],
                )
                for r, rate in enumerate(rates)
            )
        )
    return Froc(
        scans=len(scans),
        nodules=round(events.total),
        points=sets[0],
        cpm=_estimate(float(values[0].mean()), spread[:, 0].mean(axis=1), round(events.total)),
        groups=tuple(
            FrocGroup(name=name, nodules=events.count(member), points=points)
            for name, member, points in zip(names, members[1:], sets[1:], strict=True)
        ),
    )


def at_threshold(scans: Sequence[JudgedScan], threshold: float) -> tuple[Estimate, Estimate]:
    """(sensitivity, false findings a scan) of findings with ``score >= threshold``.

    Raises:
        ValueError: no scan, or no counted nodule in any.
    """
    hits = [
        sum(n.score is not None and n.score >= threshold for n in scan.nodules) for scan in scans
    ]
    share = share_of(hits, [len(scan.nodules) for scan in scans])
    false = mean_of([float(sum(s >= threshold for s in scan.false)) for scan in scans])
    if share is None or false is None:
        raise ValueError("no counted nodule in any scan")
    return share, false


class _Events:
    """Every hit and every false finding, best first, ready to be weighed by scan."""

    def __init__(self, scans: Sequence[JudgedScan]) -> None:
        self._nodules = [(s, n) for s, scan in enumerate(scans) for n in scan.nodules]
        if not self._nodules:
            raise ValueError("no counted nodule in any scan: there is no sensitivity to give")
        rows = list(self._rows(scans))
        scores = np.array([r[0] for r in rows], np.float64)
        order = np.argsort(-scores, kind="stable")
        self._scan = np.array([r[1] for r in rows], np.intp)[order]
        self._nodule = np.array([r[2] for r in rows], np.intp)[order]  # -1: false
        scores = scores[order]
        last = np.append(np.diff(scores) != 0, True)[: len(scores)]
        self._ends = np.flatnonzero(last)  # equal scores come in together
        self.scores = scores[self._ends]
        self._of_scan = np.array([s for s, _ in self._nodules], np.intp)
        self.total = float(len(self._nodules))

    @staticmethod
    def _rows(scans: Sequence[JudgedScan]) -> Iterator[tuple[float, int, int]]:
        at = 0
        for s, scan in enumerate(scans):
            for nodule in scan.nodules:
                if nodule.score is not None:
                    yield nodule.score, s, at
                at += 1
            for score in scan.false:
                yield score, s, -1

    def members(self, name: str) -> NDArray[np.bool_]:
        """Which nodules are of a group."""
        return np.array([name in n.truth.groups for _, n in self._nodules])

    def count(self, member: NDArray[np.bool_] | None) -> int:
        return len(self._nodules) if member is None else int(member.sum())

    def false(self, weight: Floats) -> Floats:
        """False findings at each threshold, each scan counted ``weight`` times."""
        return np.asarray(np.cumsum(weight[self._scan] * (self._nodule < 0))[self._ends])

    def found(self, weight: Floats, member: NDArray[np.bool_] | None = None) -> Floats:
        """Nodules found at each threshold."""
        true = self._nodule >= 0
        if member is not None:
            true = true & member[np.maximum(self._nodule, 0)]
        return np.asarray(np.cumsum(weight[self._scan] * true)[self._ends])

    def shares(
        self, weight: Floats, rates: Sequence[float], members: Sequence[NDArray[np.bool_] | None]
    ) -> Floats:
        """Sensitivity [member, rate]; NaN where a draw holds no nodule of the group."""
        rate = self.false(weight) / weight.sum()
        at = np.searchsorted(rate, np.asarray(rates) * (1 + 1e-9), side="right") - 1
        result = np.full((len(members), len(rates)), np.nan)
        each = weight[self._of_scan]
        for m, member in enumerate(members):
            total = float(each.sum() if member is None else each[member].sum())
            if total:
                found = self.found(weight, member)
                result[m] = [found[n] / total if n >= 0 else 0.0 for n in at]
        return result


def _drawn(scans: int, draws: int, seed: int) -> Floats:
    """How often each scan comes in each draw, [draws, scans]."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(scans, [1 / scans] * scans, size=draws).astype(np.float64)


def _estimate(value: float, spread: Floats, nodules: int) -> Estimate:
    if value in (0.0, 1.0):  # draws of nothing but hits have no width
        return exact_share(round(value * nodules), nodules)
    spread = spread[np.isfinite(spread)]
    if not len(spread):
        return Estimate(value=float(value), of=nodules)
    low, high = interval(spread)
    return Estimate(value=float(value), low=low, high=high, of=nodules)
