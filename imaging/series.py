"""Which series of a study suits a model, with the reason for each refusal."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from imaging.headers import ImageSlice, Scan, SeriesHeader
from imaging.notices import Notice, Severity, notice
from imaging.rules import InputRule, judge, slice_normal

__all__ = [
    "InputRule",
    "Series",
    "SeriesPlan",
    "SeriesVerdict",
    "choose_series",
    "group_series",
    "refusals",
    "slice_normal",
]


@dataclass(frozen=True)
class Series:
    """The images of one series, in no order yet."""

    header: SeriesHeader
    slices: tuple[ImageSlice, ...]

    @property
    def uid(self) -> str:
        """SeriesInstanceUID."""
        return self.header.series_uid

    @property
    def name(self) -> str:
        """What people call it: number and description."""
        return " ".join(x for x in (self.header.number, self.header.description) if x) or self.uid


class SeriesVerdict(BaseModel):
    """What was decided on one series, and why."""

    model_config = ConfigDict(frozen=True)

    series_uid: str
    number: str
    description: str
    images: int
    accepted: bool
    score: float = Field(description="suitability of the acceptable ones; higher is better")
    role: str = Field(default="", description="which of several series it is for the model")
    notices: tuple[Notice, ...] = ()


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


def group_series(scan: Scan) -> list[Series]:
    """The images by SeriesInstanceUID."""
    images: dict[str, list[ImageSlice]] = defaultdict(list)
    for image in scan.slices:
        images[image.series_uid].append(image)
    return [Series(scan.series[uid], tuple(found)) for uid, found in images.items()]


def choose_series(scan: Scan, rule: InputRule, model: str) -> SeriesPlan:
    """Judge every series against ``rule`` and choose the best of the acceptable ones."""
    judged = [(series, *judge(series.header, series.slices, rule)) for series in group_series(scan)]
    judged.sort(key=lambda entry: (-entry[1], entry[0].uid))
    chosen = next((series for series, score, _ in judged if score > 0), None)
    verdicts = []
    for series, score, notices in judged:
        accepted = chosen is not None and series is chosen
        if score > 0 and chosen is not None and not accepted:
            why = "thinner slices, more of them, or a softer kernel"
            notices = [*notices, notice("better-series", chosen=chosen.name, why=why)]
        verdicts.append(verdict_on(series, score, notices, accepted=accepted))
    return SeriesPlan(
        model=model,
        chosen=chosen.uid if chosen else None,
        verdicts=tuple(verdicts),
        notices=scan.notices,
    )


def verdict_on(
    series: Series, score: float, notices: list[Notice], *, accepted: bool, role: str = ""
) -> SeriesVerdict:
    """What was decided on a series, with what people call it."""
    return SeriesVerdict(
        series_uid=series.uid,
        number=series.header.number,
        description=series.header.description,
        images=len(series.slices),
        accepted=accepted,
        score=round(score, 3),
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
