"""What every section of the settings is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

AETitle = str


class Section(BaseModel):
    """A table of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PeerSettings(Section):
    """A DICOM node we call."""

    ae_title: AETitle = Field(
        description="its AE title", max_length=16, min_length=1, examples=["PACS"]
    )
    host: str = Field(description="its host name or address", examples=["pacs.example"])
    port: int = Field(description="its DICOM port", ge=1, le=65535, examples=[104])
