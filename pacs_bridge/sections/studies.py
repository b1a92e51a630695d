"""Studies: when one is complete, and what it is compared with."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from pacs_bridge.sections.base import AETitle, PeerSettings, Section


class AssemblySettings(Section):
    """When a study counts as complete."""

    quiet_s: float = Field(
        default=30.0, gt=0, description="no new image for this long: ask the PACS, or begin"
    )
    longest_wait_s: float = Field(
        default=900.0,
        gt=0,
        description="begin after this although the PACS counts more images than arrived",
    )
    urgent_ae_titles: tuple[AETitle, ...] = Field(
        default=(), description="what these send (an emergency scanner) is read first"
    )
    source: PeerSettings | None = Field(
        default=None, description="the PACS asked by C-FIND how many images a study has"
    )


class PriorsSettings(Section):
    """Earlier chest CTs of the patient, to compare with."""

    find: Literal["pacs", "store", "off"] = Field(
        default="pacs",
        description="where they are looked for. store: among the studies received here; pacs: "
        "there, then in the PACS, if one is set up; off: nowhere",
    )
    method: Literal["c-move", "c-get", "dicomweb"] = Field(
        default="c-move",
        description="how they come from the PACS; c-move: it has to know our AE title, address "
        "and port",
    )
    pacs: PeerSettings | None = Field(
        default=None, description="the PACS asked by C-FIND; left out: the one of assembly.source"
    )
    dicomweb_url: str = Field(
        default="",
        description="for method dicomweb: where its services are, e.g. "
        "https://user:password@pacs.example/dicom-web; the certificate is checked; of user and "
        "password, / ? # @ and : are written %2F %3F %23 %40 %3A",
    )
    years: float = Field(default=5.0, gt=0, le=30, description="how far back")
    most: int = Field(default=1, ge=1, le=3, description="how many, the latest first")
    wait_s: float = Field(
        default=60.0, gt=0, description="a study waits no longer for them, then is read without"
    )
    urgent_wait_s: float = Field(
        default=15.0, gt=0, description="the same for studies of assembly.urgent_ae_titles"
    )
    most_images: int = Field(
        default=1500, ge=1, description="a series or study of more images is not fetched"
    )
    most_mb: float = Field(
        default=1000.0,
        gt=0,
        description="fetching ends when this much has come of one study; what has come stays in "
        "storage.folder, as every study does",
    )

    @field_validator("dicomweb_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        """An http(s) address whose password can be told from its host."""
        if value and not re.fullmatch(r"https?://([^/?#@]*@)?[^/?#@]+(/[^?#@]*)?", value):
            raise ValueError(
                "no http:// or https:// address; in user and password, / ? # @ and : are written "
                "%2F %3F %23 %40 %3A"
            )
        return value
