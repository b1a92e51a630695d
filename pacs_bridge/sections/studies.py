"""Studies: when one is complete, and what it is compared with."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pacs_bridge.sections.base import (
    AETitle,
    PeerSettings,
    Section,
    TlsSettings,
    WebAddress,
)


class AssemblySettings(Section):
    """When a study counts as complete."""

    quiet_s: float = Field(
        default=30.0, gt=0, description="no new image for this long: ask the PACS, or begin"
    )
    ended_s: float = Field(
        default=10.0,
        gt=0,
        description="the same where every DICOM association of the sender has ended; never more "
        "than quiet_s. Raise it for senders that pause between associations",
    )
    longest_wait_s: float = Field(
        default=900.0,
        gt=0,
        description="begin after this although the PACS counts more images than arrived, or an "
        "archive announced more",
    )
    answer_wait_s: float = Field(
        default=60.0,
        ge=0,
        description="where the PACS doesn't answer: it is asked again after each quiet time, until "
        "no new image came for this long; then begin without its count",
    )
    gap_wait_s: float = Field(
        default=120.0,
        ge=0,
        description="where no PACS gives a count and slices are missing between others, or before "
        "the first: no new image for this long, then begin without them; at most longest_wait_s",
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
    dicomweb_url: WebAddress = Field(
        default="",
        description="for method dicomweb: where its services are, e.g. "
        "https://user:password@pacs.example/dicom-web; the certificate is checked; of user and "
        "password, / ? # @ and : are written %2F %3F %23 %40 %3A",
    )
    tls: TlsSettings | None = Field(
        default=None,
        description="for method dicomweb: our certificate, and whom we trust there; left out: we "
        "show none and trust the authorities of this system",
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
