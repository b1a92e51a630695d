"""Services beside storage that peers may ask of us."""

from __future__ import annotations

from pydantic import Field, field_validator

from pacs_bridge.sections.base import AETitle, PeerSettings, Section


class CommitmentSettings(Section):
    """Storage commitment for those who send to us: they may delete what we answer for."""

    peers: tuple[PeerSettings, ...] = Field(
        default=(),
        description="who may ask, and where the report goes when it can't go over the association "
        "of the request; empty: the service is not offered",
    )
    same_association: bool = Field(
        default=True,
        description="report over the association of the request while the peer keeps it open; "
        "false: always over a new one",
    )
    attempts: int = Field(
        default=12,
        ge=1,
        description="tries before a report is given up on; asked again, it is made",
    )
    first_wait_s: float = Field(
        default=5.0, gt=0, description="wait after the first failure; doubles each time"
    )
    longest_wait_s: float = Field(default=1800.0, gt=0, description="the wait stops growing here")

    @field_validator("peers")
    @classmethod
    def _one_address_each(cls, value: tuple[PeerSettings, ...]) -> tuple[PeerSettings, ...]:
        titles = [peer.ae_title for peer in value]
        twice = sorted({title for title in titles if titles.count(title) > 1})
        if twice:
            raise ValueError(f"two peers have the AE title {', '.join(twice)}; reports go to one")
        return value


class AvailabilitySettings(Section):
    """Instance Availability Notification: archives tell us which studies can be fetched."""

    ae_titles: tuple[AETitle, ...] = Field(
        default=(), description="who may tell; empty: the service is not offered"
    )
    keep_days: float = Field(default=30.0, gt=0, description="how long what was told is remembered")
