"""Which series a model takes, as a value."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging.patterns import Pattern


class InputRule(BaseModel):
    """Which series a model takes; part of its ``preread.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: str = Field(default="CT", description="DICOM Modality")
    body_part: Pattern = Field(
        default="",
        description="pattern that BodyPartExamined, or the description of series, protocol or "
        "study, must hold; empty: any body part",
    )
    include: Pattern = Field(
        default="",
        description="pattern that SeriesDescription (ProtocolName where it is empty) must hold",
    )
    exclude: Pattern = Field(default="", description="pattern that it must not hold")
    weighting: Literal["any", "T1", "T2", "FLAIR", "PD"] = Field(
        default="any",
        description="of MR: by its descriptions, else its sequence's name, else its times",
    )
    prefer_part: Pattern = Field(
        default="",
        description="pattern; of several series, one whose description names only other parts of "
        "the body comes last; empty: as body_part",
    )
    contrast: Literal["any", "with", "without"] = Field(
        default="any", description="contrast agent, by SeriesDescription, else ContrastBolusAgent"
    )
    prefer_phase: tuple[Literal["plain", "arterial", "portal", "delayed"], ...] = Field(
        default=(), description="of CT: phases of contrast, best first; empty: none is better"
    )
    kernel: Literal["any", "soft", "sharp"] = Field(
        default="any",
        description="reconstruction kernel, as far as its name, else the description, tells it",
    )
    orientation: Literal["axial", "coronal", "sagittal", "any"] = Field(
        default="axial", description="of the slices"
    )
    maximum_angle_degrees: float = Field(
        default=25.0, ge=0, le=90, description="greatest angle between slices and that plane"
    )
    derived: bool = Field(
        default=False, description="take reformatted and otherwise derived images too"
    )
    minimum_slices: int = Field(default=10, ge=1, description="fewer images make no volume")
    minimum_slice_mm: float = Field(
        default=0.0, ge=0, description="least slice distance or thickness taken, mm"
    )
    maximum_slice_mm: float = Field(
        default=5.0, gt=0, description="greatest slice distance or thickness taken, mm"
    )
    advised_slice_mm: float = Field(
        default=3.0, gt=0, description="a thicker series is analysed with a warning, mm"
    )
    smallest_lesion_mm: float = Field(
        default=6.0, gt=0, description="what that warning says can be missed, mm"
    )
