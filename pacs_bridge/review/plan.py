"""The kept plan (which series was analysed, why not the others) as values for the page.

The plan is written by the planning step, maybe of an older version; whatever can't be read
is left out, never a reason for the page to fail.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from imaging.notices import Notice


class SeriesVerdict(BaseModel):
    """One series and whether the model takes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    series_uid: str = ""
    number: int | str | None = None
    description: str | None = None
    images: int | None = None
    accepted: bool = False
    notices: tuple[Notice, ...] = ()


class Plan(BaseModel):
    """Which series was chosen for which model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = ""
    chosen: str | None = None
    verdicts: tuple[SeriesVerdict, ...] = ()


def read_plan(text: str) -> Plan | None:
    """The plan, or None where it can't be understood."""
    try:
        return Plan.model_validate_json(text)
    except ValidationError:
        return None
