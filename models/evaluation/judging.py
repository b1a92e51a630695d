"""One scan judged: which marked nodules its findings hit, and which findings hit none.

A second finding on a nodule is neither hit nor false, and so is one on a nodule that is not
counted (too small, marked by too few readers, on LUNA16's list of exclusions). Positions are
LPS mm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as attribute

import numpy as np

from imaging.geometry import Point
from models.evaluation.matching import match_each

LEAST_REACH_MM = 5.0

Reach = Callable[[float], float]
"""How far (mm) from a nodule's centre a finding's centre may lie, by the nodule's diameter (mm)."""


def within_radius(diameter_mm: float) -> float:
    """LUNA16's rule: half the diameter."""
    return diameter_mm / 2


def within_5_mm(diameter_mm: float) -> float:
    """Ours: half the diameter, but at least 5 mm; nobody clicks a 4 mm nodule to 2 mm."""
    return max(LEAST_REACH_MM, diameter_mm / 2)


RULES: Mapping[str, Reach] = {"luna16": within_radius, "5mm": within_5_mm}
"""Hit rules by the names that the command line takes."""


@dataclass(frozen=True)
class Finding:
    """What the model marked: centre in LPS mm, and its score."""

    centre_mm: Point
    score: float


@dataclass(frozen=True)
class Truth:
    """A marked nodule: centre in LPS mm, diameter in mm.

    Attributes:
        counted: False where finding it earns nothing and costs nothing.
        groups: what it is counted under as well, e.g. ``size 6 to 8 mm``.
    """

    centre_mm: Point
    diameter_mm: float
    counted: bool = True
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class JudgedNodule:
    """A counted nodule; ``score`` of the best finding on it, None where it was missed.

    ``finding`` is that finding's index among those given.
    """

    truth: Truth
    score: float | None
    finding: int | None = None


@dataclass(frozen=True)
class JudgedScan:
    """One scan: its counted nodules, and the scores of its false findings."""

    name: str
    nodules: tuple[JudgedNodule, ...]
    false: tuple[float, ...]
    fold: str = ""
    false_at: tuple[int, ...] = attribute(default=(), compare=False)
    """Indices of the false findings among those given."""


def judge(
    name: str,
    findings: Sequence[Finding],
    truths: Sequence[Truth],
    reach: Reach = within_5_mm,
    *,
    fold: str = "",
) -> JudgedScan:
    """Which nodules the findings hit, at any threshold, and which findings hit none."""
    order = sorted(range(len(findings)), key=lambda n: -findings[n].score)
    centres = np.array([t.centre_mm for t in truths], np.float64).reshape(-1, 3)
    reaches = np.array([reach(t.diameter_mm) for t in truths])

    def reached(n: int) -> list[int]:
        away = np.linalg.norm(centres - np.asarray(findings[n].centre_mm), axis=1)
        return [int(t) for t in np.flatnonzero(away <= reaches)]

    matched = match_each(map(reached, order), len(truths))
    best = [None if hit is None else order[hit] for hit in matched.hits]
    false = tuple(order[n] for n in matched.false)
    nodules = tuple(
        JudgedNodule(truth, None if n is None else findings[n].score, n)
        for truth, n in zip(truths, best, strict=True)
        if truth.counted
    )
    return JudgedScan(name, nodules, tuple(findings[n].score for n in false), fold, false)
