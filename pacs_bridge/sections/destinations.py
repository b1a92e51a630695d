"""Where results go, which of them, and in what shape."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydicom.charset import python_encoding

from pacs_bridge.sections.base import AETitle, PeerSettings, TlsSettings, WebAddress


def _character_set(value: str) -> str:
    """Defined terms of SpecificCharacterSet (0008,0005), with a backslash between several."""
    for term in value.split("\\"):
        if term not in python_encoding:
            raise ValueError(f"{term!r} is no defined term of PS3.3 C.12.1.1.2, as ISO_IR 100 is")
    return value


CharacterSet = Annotated[str, AfterValidator(_character_set)]


class DestinationSettings(PeerSettings):
    """Where results go; repeat ``[[destinations]]`` for each."""

    name: str = Field(description="what people call it, unique", examples=["main PACS"])
    ae_title: AETitle = Field(
        default="", description="its AE title", max_length=16, examples=["PACS"]
    )
    host: str = Field(default="", description="its host name or address", examples=["pacs.example"])
    port: int = Field(default=0, description="its DICOM port", ge=0, le=65535, examples=[104])
    tls: TlsSettings | None = Field(
        default=None,
        description="how it is called over TLS; left out: without. An https:// address is always "
        "called over TLS, with this where it is set",
    )
    dicomweb_url: WebAddress = Field(
        default="",
        description="where its DICOMweb services are: results go there by STOW-RS instead of "
        "C-STORE, e.g. https://user:password@pacs.example/dicom-web; ae_title, host and port are "
        "then needed for storage commitment alone",
    )
    accepts: tuple[Literal["SR", "SEG", "RTSTRUCT", "GSPS", "SC", "PDF"], ...] = Field(
        default=("SEG", "SR"),
        description="which objects it takes: SR (structured report), SEG (masks), RTSTRUCT "
        "(contours of organs and lesions for a planning system), GSPS (presentation state: "
        "outlines and labels over the images), SC (secondary captures: a summary and the key "
        "images as plain pictures), PDF (the report as an encapsulated document)",
    )
    studies: Literal["all", "positive", "urgent"] = Field(
        default="all",
        description="all; positive: only the results of studies in which something was found; or "
        "urgent: only of those that a model with a validated operating point flagged as urgent "
        "(alerts). Later results of a study that was sent follow it, so that whoever was alerted "
        "learns what became of it",
    )
    from_ae_titles: tuple[AETitle, ...] = Field(
        default=(),
        description="only studies that one of these sent to us; * and ? stand for other "
        "characters, here and below; empty: any",
    )
    institutions: tuple[str, ...] = Field(
        default=(), description="only studies with one of these InstitutionName; empty: any"
    )
    modalities: tuple[str, ...] = Field(
        default=(), description="only results of images of these modalities; empty: any"
    )
    body_parts: tuple[str, ...] = Field(
        default=(),
        description="only results of series with one of these BodyPartExamined, e.g. CHEST; where "
        "the images do not say it, the word has to stand in the description of series, protocol "
        "or study; empty: any",
    )
    character_sets: tuple[CharacterSet, ...] = Field(
        default=(),
        description="what it can read, the preferred one first, as SpecificCharacterSet has it, "
        "e.g. GB18030 or ISO_IR 100: text in another one is converted, and an object whose text "
        "fits none of them is not sent, which the page says; empty: any",
    )
    compression: Literal["none", "pictures", "everything"] = Field(
        default="pictures",
        description="what goes out smaller, without loss, where it takes that (by STOW-RS, where "
        "it does not refuse that): pictures (SC, as JPEG-LS, JPEG 2000 or RLE); everything: SEG "
        "and other large objects too, deflated, which some archives keep and then can't show "
        "(Orthanc answers viewers with an error); or none",
    )
    commitment: bool = Field(
        default=False,
        description="it offers storage commitment: a result counts as delivered when it has "
        "committed itself to keep it, and is sent again when it says that it has not got it. It "
        "has to know our AE title, address and port",
    )
    commitment_ae_title: AETitle = Field(
        default="",
        max_length=16,
        description="the AE title that it reports commitment with, where it is not ae_title",
    )
    commitment_wait_s: float = Field(
        default=600.0, gt=0, description="asked again when no commitment was reported by then"
    )
    attempts: int = Field(
        default=12, ge=1, description="tries before an object is given up on (and shown as such)"
    )
    first_wait_s: float = Field(
        default=5.0, gt=0, description="wait after the first failure; doubles each time"
    )
    longest_wait_s: float = Field(default=1800.0, gt=0, description="the wait stops growing here")
    circuit_failures: int = Field(
        default=5,
        ge=1,
        description="so many tries in a row that find nobody, and all its deliveries wait; one "
        "at a time is tried then, and when it gets through, the others follow at once",
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        missing = [key for key in ("ae_title", "host", "port") if not getattr(self, key)]
        if missing and not self.dicomweb_url:
            raise ValueError(f"{', '.join(missing)} missing; or name dicomweb_url")
        if missing and self.commitment:
            raise ValueError(f"commitment = true needs {', '.join(missing)} too")
        return self
