"""The DICOMweb server, and the machines that may call it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from pacs_bridge.sections.base import Section

Right = Literal["read", "store", "order"]


class DicomWebSettings(Section):
    """Our DICOMweb server (QIDO-RS, WADO-RS, STOW-RS), beside the page under /dicom-web."""

    enabled: bool = Field(default=False, description="whether it answers at all")
    viewers: tuple[str, ...] = Field(
        default=(),
        description="origins of viewers elsewhere that a browser may let call us, e.g. "
        "https://viewer.example; empty: none but our own page",
    )
    most_results: int = Field(
        default=500, ge=1, le=10_000, description="matches in one answer to a search"
    )
    largest_object_mb: int = Field(
        default=2048, ge=1, description="an object larger than this (10^6 bytes) is not taken"
    )

    @field_validator("viewers")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            split = urlsplit(each)
            if split.scheme not in ("http", "https") or not split.netloc or split.path:
                raise ValueError(
                    f"{each!r} is no origin: scheme, host and port alone, as https://viewer.example"
                )
        return value


class MachineSettings(Section):
    """A program that may call our DICOMweb server; repeat ``[[machines]]`` for each."""

    name: str = Field(
        min_length=1,
        max_length=16,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="its user name for HTTP Basic; what it stores came from this name. As a bearer "
        "token it sends name.password",
        examples=["ohif"],
    )
    password_hash: str = Field(
        description="made by `preread hash-password`", examples=["scrypt$..."]
    )
    may: tuple[Right, ...] = Field(
        default=("read",),
        description="read: search and retrieve; store: send objects; order: create and follow "
        "workitems",
    )
