"""What every section of the settings is made of."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _web_address(value: str) -> str:
    """An http(s) address whose password can be told from its host."""
    if value and not re.fullmatch(r"https?://([^/?#@]*@)?[^/?#@]+(/[^?#@]*)?", value):
        raise ValueError(
            "no http:// or https:// address; in user and password, / ? # @ and : are written "
            "%2F %3F %23 %40 %3A"
        )
    return value


AETitle = str
WebAddress = Annotated[str, AfterValidator(_web_address)]

AUTHORITIES = "PEM file, or folder of them, with the certificates we trust: an authority's, or "
KEY = "PEM file with its private key; empty: in the same file"
MINIMUM = "least version of TLS that is spoken"


class Section(BaseModel):
    """A table of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsSettings(Section):
    """TLS towards a node that we call (PS3.15 B.12)."""

    authorities: str = Field(
        default="",
        description=AUTHORITIES + "the node's own; empty: those of this system",
        examples=["/etc/preread/pacs.pem"],
    )
    certificate: str = Field(
        default="",
        description="PEM file with our certificate, its chain after it; empty: we show none, which "
        "most nodes refuse",
        examples=["/etc/preread/preread.pem"],
    )
    key: str = Field(default="", description=KEY)
    key_password: str = Field(default="", description="of the private key, if it has one")
    check_name: bool = Field(
        default=True,
        description="the node's certificate has to be made out to the host we call; false where "
        "devices carry certificates without their name and `authorities` trusts only those",
    )
    minimum: Literal["1.2", "1.3"] = Field(default="1.2", description=MINIMUM)


class PeerSettings(Section):
    """A DICOM node we call."""

    ae_title: AETitle = Field(
        description="its AE title", max_length=16, min_length=1, examples=["PACS"]
    )
    host: str = Field(description="its host name or address", examples=["pacs.example"])
    port: int = Field(description="its DICOM port", ge=1, le=65535, examples=[104])
    tls: TlsSettings | None = Field(
        default=None, description="how it is called over TLS; left out: without"
    )
