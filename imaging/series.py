"""Which series of a study suits a model, with the reason for each refusal."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from imaging.continuation import continuations
from imaging.grouping import Series, group_series
from imaging.headers import Scan
from imaging.input_rule import InputRule
from imaging.notices import Notice, Severity, notice
from imaging.rules import judge
from imaging.series_rules import SeriesRule, matching
from imaging.suitability import Factor, Suitability, weigh_coverage, why_better

__all__ = [
    "InputRule",
    "Series",
    "SeriesPlan",
    "SeriesVerdict",
    "choose_series",
    "group_series",
    "refusals",
]


class SeriesVerdict(BaseModel):
    """What was decided on one series, and why."""

    model_config = ConfigDict(frozen=True)

    series_uid: str
    number: str
    description: str
    images: int
    accepted: bool
    score: float = Field(description="suitability of the acceptable ones; higher is better")
    factors: tuple[Factor, ...] = Field(default=(), description="what the score is made of")
    role: str = Field(default="", description="which of several series it is for the model")
    notices: tuple[Notice, ...] = ()

    @property
    def name(self) -> str:
        """What people call it: number and description."""
        return " ".join(x for x in (self.number, self.description) if x) or self.series_uid


class SeriesPlan(BaseModel):
    """Which series a model will read, and every refusal."""

    model_config = ConfigDict(frozen=True)

    model: str
    chosen: str | None = Field(description="SeriesInstanceUID, None when nothing suits")
    roles: dict[str, str] = Field(
        default_factory=dict,
        description="role -> SeriesInstanceUID of a model that takes several series, in its order",
    )
    verdicts: tuple[SeriesVerdict, ...]
    notices: tuple[Notice, ...] = Field(default=(), description="on the files, not a series")

    @property
    def series_uids(self) -> tuple[str, ...]:
        """Every series that is read, in the order of the network's channels."""
        if self.roles:
            return tuple(self.roles.values())
        return () if self.chosen is None else (self.chosen,)


def choose_series(
    scan: Scan, rule: InputRule, model: str, site: Sequence[SeriesRule] = ()
) -> SeriesPlan:
    """Judge every series against ``rule`` and choose the best of the acceptable ones.

    Args:
        scan: the study's headers.
        rule: what the model takes.
        model: its name.
        site: the site's rules on series.
    """
    series = {each.uid: each for each in group_series(scan)}
    found = weigh_coverage({
        each.uid: judge(each.header, each.slices, rule, matching(site, each.header, model))
        for each in series.values()
    })  # fmt: skip
    judged = [(series[uid], each) for uid, each in found.items()]
    judged.sort(key=lambda entry: _order(*entry))
    best = next((entry for entry in judged if entry[1].score > 0), None)
    verdicts = []
    for one, suits in judged:
        accepted = best is not None and one is best[0]
        notices = list(suits.notices)
        if best is not None and accepted:
            notices += _goes_on(one, [s for s, f in judged if s is not one and _part(f)])
        elif best is not None and suits.score > 0:
            why = why_better(best[1].factors, suits.factors)
            notices.append(notice("better-series", chosen=best[0].name, why=why))
        verdicts.append(verdict_on(one, suits, notices, accepted=accepted))
    return SeriesPlan(
        model=model,
        chosen=best[0].uid if best else None,
        verdicts=tuple(verdicts),
        notices=scan.notices,
    )


def _order(series: Series, found: Suitability) -> tuple[float, int, float, str]:
    """Best first; among equals the one with more images, then the one that was made first."""
    number = series.header.number
    made = float(number) if number.isdecimal() else float("inf")
    return -found.score, -len(series.slices), made, series.uid


def _part(found: Suitability) -> bool:
    """Whether a series could be a part of a scan: read by itself, or too short for that only."""
    return found.score > 0 or any(n.code == "too-few-slices" for n in found.notices)


def _goes_on(chosen: Series, others: Sequence[Series]) -> list[Notice]:
    """What a reader must know of the parts of a scan that lie in other series."""
    return [
        notice("scan-goes-on", other=each.series.name, low=each.low_mm, high=each.high_mm)
        for each in continuations(chosen, others)
    ]


def verdict_on(
    series: Series,
    found: Suitability,
    notices: Sequence[Notice],
    *,
    accepted: bool,
    role: str = "",
) -> SeriesVerdict:
    """What was decided on a series, with what people call it."""
    return SeriesVerdict(
        series_uid=series.uid,
        number=series.header.number,
        description=series.description,
        images=len(series.slices),
        accepted=accepted,
        score=round(found.score, 3),
        factors=found.factors,
        role=role,
        notices=tuple(notices),
    )


def refusals(plan: SeriesPlan) -> list[tuple[SeriesVerdict, Notice]]:
    """Every series that was left alone, with its reason."""
    return [
        (verdict, item)
        for verdict in plan.verdicts
        for item in verdict.notices
        if item.severity is Severity.REFUSAL
    ]
