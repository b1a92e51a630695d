"""The network: who we listen to, and where results go."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pacs_bridge.sections.base import AETitle, PeerSettings, Section


class ListenerSettings(Section):
    """The DICOM listener (Storage and Verification SCP)."""

    ae_title: AETitle = Field(default="PREREAD", max_length=16, description="our AE title")
    host: str = Field(default="0.0.0.0", description="address to listen on")
    port: int = Field(default=11112, ge=0, le=65535, description="port; 0 picks a free one")
    require_called_ae: bool = Field(
        default=True, description="refuse associations that call another AE title than ours"
    )
    calling_ae_titles: tuple[AETitle, ...] = Field(
        default=(), description="who may send; empty: anybody who reaches the port"
    )
    maximum_associations: int = Field(default=64, ge=1, description="at the same time")
    idle_timeout_s: float = Field(
        default=120.0, gt=0, description="a silent association is closed after this"
    )


class DestinationSettings(PeerSettings):
    """Where results go; repeat ``[[destinations]]`` for each."""

    name: str = Field(description="what people call it, unique", examples=["main PACS"])
    accepts: tuple[Literal["SR", "SEG", "RTSTRUCT"], ...] = Field(
        default=("SEG", "SR"),
        description="which objects it takes: SR, SEG, RTSTRUCT (contours of organs and lesions for "
        "a planning system)",
    )
    studies: Literal["all", "urgent"] = Field(
        default="all",
        description="all, or urgent: only the results of studies that a model with a validated "
        "operating point flagged as urgent (alerts); their later results too, so that whoever was "
        "alerted learns what became of it",
    )
    attempts: int = Field(
        default=12, ge=1, description="tries before an object is given up on (and shown as such)"
    )
    first_wait_s: float = Field(
        default=5.0, gt=0, description="wait after the first failure; doubles each time"
    )
    longest_wait_s: float = Field(default=1800.0, gt=0, description="the wait stops growing here")
