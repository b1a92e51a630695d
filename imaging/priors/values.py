"""Two examinations compared: which nodule is which, and how each changed."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from imaging.geometry import Point
from imaging.language import Text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Change(StrEnum):
    """What became of a nodule since the earlier examination."""

    GROWN = "grown"
    STABLE = "stable"
    SHRUNK = "shrunk"
    NEW = "new"
    RESOLVED = "resolved"
    UNMATCHED = "unmatched"
    """Can't be compared; ``why`` says so (outside the earlier field of view, too thick slices)."""


class PriorNodule(_Value):
    """A nodule as it was in the earlier examination."""

    centre_lps_mm: Point
    mean_diameter_mm: float
    volume_mm3: float
    mean_hu: float | None = None


class NoduleChange(_Value):
    """One nodule over time. ``tracking_uid`` and ``number`` are the current finding's."""

    change: Change
    why: Text
    tracking_uid: str = Field(
        default="", description="empty: it has no current finding (resolved, or not comparable)"
    )
    number: int | None = None
    prior: PriorNodule | None = None
    diameter_change_mm: float | None = Field(default=None, description="of the mean diameter")
    diameter_noise_mm: float | None = Field(
        default=None, description="a smaller change may be measurement alone, 95 %"
    )
    volume_change_percent: float | None = None
    volume_noise_percent: float | None = None
    doubling_time_days: float | None = Field(
        default=None, description="of the volume; negative: halving; None: no change beyond noise"
    )
    doubling_range_days: tuple[float, float] | None = Field(
        default=None, description="95 % interval of it, the faster first; None: not bounded"
    )
    lung_rads_growth: bool | None = Field(
        default=None,
        description="> 1.5 mm mean diameter within 12 months (Lung-RADS 2022); None: can't be said",
    )
    residual_mm: float | None = Field(
        default=None, description="distance of the two centres after registration"
    )


class Comparison(_Value):
    """The current examination against one earlier one."""

    study_uid: str = Field(description="of the earlier examination")
    series_uid: str
    study_date: str = Field(description="DICOM DA")
    days: int = Field(
        description="between the two; 0 where a date is not known (a warning says so)"
    )
    registration: Text = Field(description="how they were aligned and how well")
    registration_error_mm: float | None = Field(description="median, over lung structures")
    changes: tuple[NoduleChange, ...] = ()
    warnings: tuple[Text, ...] = ()
