"""A site's own rules on series: exceptions to what suits a model, each with its reason shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.headers import SeriesHeader
from imaging.patterns import Pattern, holds

MATCHED = (
    "description", "protocol", "study", "body_part", "kernel", "station", "maker",
)  # fmt: skip
"""The keys that are patterns on a series' header."""


class SeriesRule(BaseModel):
    """When a series matches, prefer it, never read it, or add to its score.

    All patterns that are given must match.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(
        min_length=1, description="what the reason shown calls it", examples=["thin twin of CT2"]
    )
    models: tuple[str, ...] = Field(default=(), description="for these models; empty: for all")
    modality: str = Field(default="", description="Modality, e.g. CT; empty: any")
    description: Pattern = Field(
        default="", description="pattern that SeriesDescription must hold", examples=["^iDose"]
    )
    protocol: Pattern = Field(default="", description="pattern that ProtocolName must hold")
    study: Pattern = Field(default="", description="pattern that StudyDescription must hold")
    body_part: Pattern = Field(default="", description="pattern that BodyPartExamined must hold")
    kernel: Pattern = Field(default="", description="pattern that ConvolutionKernel must hold")
    station: Pattern = Field(default="", description="pattern that StationName must hold")
    maker: Pattern = Field(
        default="", description="pattern that Manufacturer and model name (one text) must hold"
    )
    then: Literal["prefer", "never", "score", "take"] = Field(
        description="prefer: read before every series that is not preferred; never: leave it "
        "alone; score: add points; take: its words (scout, MIP ...) do not speak against it. What "
        "its geometry rules out stays ruled out",
        examples=["prefer"],
    )
    points: float = Field(
        default=0.0,
        description="with score: added to its score, which is 10 for a whole scan of 1 mm slices; "
        "below 0 puts it last",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.modality and not any(getattr(self, key) for key in MATCHED):
            keys = ", ".join(("modality", *MATCHED))
            raise ValueError(f"it matches every series; give one of {keys}")
        if (self.then == "score") != (self.points != 0):
            raise ValueError('points and then = "score" go together')
        return self

    def matches(self, header: SeriesHeader, model: str) -> bool:
        """Whether it speaks of this series and this model."""
        if self.models and model not in self.models:
            return False
        if self.modality and self.modality != header.modality:
            return False
        said = {
            "description": header.description,
            "protocol": header.protocol,
            "study": header.study_description,
            "body_part": header.body_part,
            "kernel": header.kernel,
            "station": header.station,
            "maker": header.maker,
        }
        wanted = ((getattr(self, key), text) for key, text in said.items())
        return all(holds(pattern, text) for pattern, text in wanted)


def matching(
    rules: Sequence[SeriesRule], header: SeriesHeader, model: str
) -> tuple[SeriesRule, ...]:
    """The rules that speak of a series, in their order."""
    return tuple(rule for rule in rules if rule.matches(header, model))
