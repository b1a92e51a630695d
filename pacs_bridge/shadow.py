"""A model that runs without reporting: what it found, beside what was reported.

Kept as ``results/<study>/<revision>/shadow/<model>.json`` for whoever decides on the model;
nothing of it reaches a report, a PACS or the page of the study.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from imaging.finding import Finding
from imaging.notices import Notice
from imaging.report import Report
from pacs_bridge.results import write_whole

WITHIN_MM = 5.0
"""Findings whose centres are nearer than this are the same."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Pair(_Value):
    """A finding of each, at the same place."""

    reported: int = Field(description="its number in the report")
    shadow: int = Field(description="its number among the shadow's findings")
    distance_mm: float


class Agreement(_Value):
    """How two models' findings on one study agree."""

    reported: int = Field(description="findings in the report")
    shadow: int = Field(description="findings of the shadow")
    within_mm: float = WITHIN_MM
    matched: tuple[Pair, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.shadow} finding(s), {self.reported} reported, {len(self.matched)} the same "
            f"within {self.within_mm:g} mm"
        )


class ShadowOutcome(_Value):
    """What a shadow model made of a study."""

    model: str
    read_at: datetime
    report: Report | None = Field(description="as it would have been; null: it did not read")
    agreement: Agreement | None = None
    why_not: tuple[Notice, ...] = Field(default=(), description="why it did not read the study")


def agreement(reported: Report, shadow: Report) -> Agreement:
    """Findings matched one to one, the nearest pairs first. Centres are LPS mm."""
    pairs = sorted(
        (distance, a.number, b.number)
        for a in reported.findings
        for b in shadow.findings
        if (distance := _distance(a, b)) <= WITHIN_MM
    )
    matched: list[Pair] = []
    for distance, one, other in pairs:
        if all(one != pair.reported and other != pair.shadow for pair in matched):
            matched.append(Pair(reported=one, shadow=other, distance_mm=round(distance, 2)))
    return Agreement(
        reported=len(reported.findings), shadow=len(shadow.findings), matched=tuple(matched)
    )


def keep(folder: Path, outcome: ShadowOutcome) -> Path:
    """Write it into a reading's result folder; returns the file."""
    path = folder / "shadow" / f"{outcome.model}.json"
    write_whole(path, (outcome.model_dump_json(indent=2) + "\n").encode())
    return path


def _distance(a: Finding, b: Finding) -> float:
    return float(np.linalg.norm(np.subtract(a.centre_lps_mm, b.centre_lps_mm)))
