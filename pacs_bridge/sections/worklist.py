"""The worklist that others order analyses by."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from pacs_bridge.sections.base import Section

_WORK = re.compile(r"[^\^]{1,64}\^[^\^]{1,16}")


class UpsSettings(Section):
    """A worklist under /dicom-web/workitems (UPS-RS): others order an analysis, and follow it."""

    enabled: bool = Field(
        default=False, description="whether there is one; needs dicomweb.enabled too"
    )
    perform: bool = Field(
        default=True,
        description="claim what is for us, and read the study; false: the worklist is kept for "
        "other performers",
    )
    stations: tuple[str, ...] = Field(
        default=(),
        description="code values of ScheduledStationNameCodeSequence that name us; empty: our AE "
        "title. What names another station is left to it",
    )
    work: tuple[str, ...] = Field(
        default=("110003^DCM", "110004^DCM"),
        description="ScheduledWorkitemCodeSequence, value^scheme, of what is ours where no "
        "station is named; by default Computer Aided Diagnosis and Detection. Empty: only what "
        "names us",
    )
    fetch: bool = Field(
        default=True,
        description="fetch a study that is not here from the PACS of assembly.source or priors",
    )
    wait_minutes: float = Field(
        default=60.0,
        gt=0,
        description="images that are not here are waited for so long, then the workitem is "
        "cancelled",
    )
    delivery_wait_minutes: float = Field(
        default=10.0,
        ge=0,
        description="a workitem is completed when the results were delivered, or after so long",
    )
    keep_days: float = Field(
        default=90.0,
        gt=0,
        description="completed and cancelled workitems are removed after this, unless somebody "
        "who subscribed has locked them",
    )

    @field_validator("work")
    @classmethod
    def _coded(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _WORK.fullmatch(each):
                raise ValueError(f"{each!r}: write value^scheme, as 110004^DCM")
        return value
