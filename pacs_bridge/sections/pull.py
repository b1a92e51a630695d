"""What we fetch from an archive by ourselves."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydicom.datadict import tag_for_keyword

from pacs_bridge.sections.base import (
    AETitle,
    PeerSettings,
    Section,
    TlsSettings,
    WebAddress,
)

_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)")


class PullSettings(Section):
    """Studies that are fetched from an archive; repeat ``[[pull]]`` for each rule."""

    name: str = Field(
        description="what people call the rule, unique",
        min_length=1,
        max_length=100,
        examples=["chest CT"],
    )
    source: PeerSettings | None = Field(
        default=None, description="the archive; for method dicomweb give dicomweb_url instead"
    )
    method: Literal["c-move", "c-get", "dicomweb"] = Field(
        default="c-move",
        description="how images come; c-move: the archive has to know our AE title, address and "
        "port; c-get: only our AE title",
    )
    dicomweb_url: WebAddress = Field(
        default="",
        description="for method dicomweb: where its services are, e.g. "
        "https://user:password@pacs.example/dicom-web",
    )
    tls: TlsSettings | None = Field(
        default=None,
        description="for method dicomweb: our certificate, and whom we trust there; left out: we "
        "show none and trust the authorities of this system. A node's are in source.tls",
    )
    dicomweb_ae_title: AETitle = Field(
        default="WEB",
        max_length=16,
        description="for method dicomweb: the AE title that its studies count as sent by, in "
        "destinations.from_ae_titles and assembly.urgent_ae_titles",
    )
    every_minutes: float = Field(
        default=0.0,
        ge=0,
        description="how often the archive is asked; 0: only by hand (`preread pull`, the page) "
        "and when it announces a study",
    )
    hours: tuple[str, ...] = Field(
        default=(),
        description="only at these hours of the day, e.g. 19:00-07:00, by the server's clock; "
        "empty: always. What was asked for by hand is fetched at any hour",
    )
    announced: bool = Field(
        default=False,
        description="look at a study as soon as the archive announces it (availability.ae_titles)",
    )
    days: int = Field(
        default=1, ge=0, description="studies of so many days, today among them; 0: of any date"
    )
    modalities: tuple[str, ...] = Field(
        default=("CT",), description="Modality of the series; empty: any of images"
    )
    body_parts: tuple[str, ...] = Field(
        default=(),
        description="BodyPartExamined of the series, e.g. CHEST; where that is empty, the word is "
        "looked for in the descriptions. * and ? stand for other characters, here and below; "
        "empty: any",
    )
    study_descriptions: tuple[str, ...] = Field(
        default=(), description="StudyDescription, e.g. *chest*, *胸*; empty: any"
    )
    series_descriptions: tuple[str, ...] = Field(
        default=(), description="SeriesDescription; empty: any"
    )
    not_series_descriptions: tuple[str, ...] = Field(
        default=(), description="a series with one of these SeriesDescription is left out"
    )
    query: tuple[str, ...] = Field(
        default=(),
        description="more that has to match, Keyword=value as C-FIND matches it, at the level that "
        "the keyword belongs to, e.g. InstitutionName=County*, StationName=CT2",
    )
    thickest_mm: float = Field(
        default=0.0,
        ge=0,
        description="series of thicker slices (SliceThickness) are left out; 0: none",
    )
    thickness_unknown: Literal["fetch", "skip"] = Field(
        default="fetch",
        description="what becomes of a series whose SliceThickness the archive does not tell, and "
        "of which no image can be looked at beforehand (c-move)",
    )
    fewest_images: int = Field(default=1, ge=1, description="a series of fewer is left out")
    most_images: int = Field(default=5000, ge=1, description="a series of more is left out")
    read_already: Literal["skip", "complete"] = Field(
        default="skip",
        description="a study that was read here: skip it, or complete it when the archive has more "
        "of it, which begins a new revision",
    )
    settle_minutes: float = Field(
        default=5.0,
        ge=0,
        description="a study is fetched when the archive has counted the same images in it for so "
        "long, lest it is still being made; 0: at once",
    )
    most_studies: int = Field(
        default=100, ge=1, description="studies that one look at the archive may bring at most"
    )
    studies_at_once: int = Field(default=1, ge=1, le=16, description="fetched at the same time")
    images_a_minute: int = Field(
        default=0, ge=0, description="no more than these, to spare archive and line; 0: no limit"
    )
    wait_s: float = Field(
        default=600.0, gt=0, description="a request that has not brought all by then is ended"
    )
    attempts: int = Field(default=5, ge=1, description="tries before a study is given up on")
    first_wait_s: float = Field(
        default=60.0, gt=0, description="wait after the first failure; doubles each time"
    )
    longest_wait_s: float = Field(default=3600.0, gt=0, description="the wait stops growing here")

    @field_validator("hours")
    @classmethod
    def _spans(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _HOURS.fullmatch(each):
                raise ValueError(f"{each!r}: write 19:00-07:00")
        return value

    @field_validator("query")
    @classmethod
    def _keys(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            keyword, equals, _ = each.partition("=")
            if not equals or tag_for_keyword(keyword) is None:
                raise ValueError(f"{each!r}: write Keyword=value, e.g. StationName=CT2")
        return value

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.method == "dicomweb":
            if not self.dicomweb_url:
                raise ValueError("method = 'dicomweb' needs dicomweb_url")
        elif self.source is None:
            raise ValueError(f"method = {self.method!r} needs source")
        return self

    @property
    def archive(self) -> str:
        """The archive's name for people: its AE title, or its host without any password."""
        if self.method == "dicomweb":
            return re.sub(r"//[^/@]*@", "//", self.dicomweb_url)
        assert self.source is not None
        return self.source.ae_title
