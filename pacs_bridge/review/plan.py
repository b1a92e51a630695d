"""The kept plan (which series was analysed, why not the others) as values for the page.

The plan is written by the planning step, maybe of an older version; whatever can't be read
is left out, never a reason for the page to fail.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from imaging.notices import Notice
from imaging.suitability import Factor


class SeriesVerdict(BaseModel):
    """One series and whether the model takes it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    series_uid: str = ""
    number: int | str | None = None
    description: str | None = None
    images: int | None = None
    accepted: bool = False
    role: str = ""
    factors: tuple[Factor, ...] = ()
    notices: tuple[Notice, ...] = ()


class Plan(BaseModel):
    """Which series was chosen for which model."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str = ""
    chosen: str | None = None
    verdicts: tuple[SeriesVerdict, ...] = ()
    notices: tuple[Notice, ...] = ()


class _Plans(BaseModel):
    plans: tuple[Plan, ...]


def read_plan(text: str) -> tuple[Plan, ...] | None:
    """The plan of each model, or None where it can't be understood.

    Before a study could be read by several models, one model's plan was kept alone.
    """
    for kind in (_Plans, Plan):
        try:
            read = kind.model_validate_json(text)
        except ValidationError:
            continue
        return read.plans if isinstance(read, _Plans) else (read,)
    return None
