"""The network: who we listen to."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pacs_bridge.sections.base import (
    AUTHORITIES,
    KEY,
    MINIMUM,
    AETitle,
    Section,
)


class ListenerTlsSettings(Section):
    """TLS of the listener, on a port of its own (PS3.15 B.12)."""

    port: int = Field(
        default=2762, ge=0, le=65535, description="port that speaks TLS; 0 picks a free one"
    )
    certificate: str = Field(
        description="PEM file with our certificate, its chain after it",
        examples=["/etc/preread/preread.pem"],
    )
    key: str = Field(default="", description=KEY)
    key_password: str = Field(default="", description="of the private key, if it has one")
    client_certificates: Literal["required", "off"] = Field(
        default="required",
        description="required: who connects shows a certificate that `authorities` vouch for; "
        "off: the connection is encrypted, and anybody may open it",
    )
    authorities: str = Field(
        default="",
        description=AUTHORITIES + "senders' own",
        examples=["/etc/preread/senders.pem"],
    )
    minimum: Literal["1.2", "1.3"] = Field(default="1.2", description=MINIMUM)

    @model_validator(mode="after")
    def _somebody_vouches(self) -> Self:
        if self.client_certificates == "required" and not self.authorities:
            raise ValueError(
                "client_certificates = 'required' needs `authorities`: the certificates that "
                "senders are known by"
            )
        return self


class ListenerSettings(Section):
    """The DICOM listener (Storage and Verification SCP)."""

    ae_title: AETitle = Field(default="PREREAD", max_length=16, description="our AE title")
    host: str = Field(
        default="0.0.0.0",
        description="address to listen on; 0.0.0.0: every one of IPv4; '::': of IPv6 and IPv4",
    )
    port: int = Field(default=11112, ge=0, le=65535, description="port; 0 picks a free one")
    require_called_ae: bool = Field(
        default=True, description="refuse associations that call another AE title than ours"
    )
    calling_ae_titles: tuple[AETitle, ...] = Field(
        default=(), description="who may send; empty: anybody who reaches the port"
    )
    calling_addresses: tuple[str, ...] = Field(
        default=(),
        description="addresses or networks that may send, e.g. 10.1.0.0/16; with a title before it "
        "(CT1@10.1.2.3) that title is taken from there only; empty: from everywhere",
    )
    maximum_associations: int = Field(default=64, ge=1, description="at the same time")
    maximum_each: int = Field(
        default=0, ge=0, description="associations of one address at the same time; 0: no limit"
    )
    idle_timeout_s: float = Field(
        default=120.0, gt=0, description="a silent association is closed after this"
    )
    request_timeout_s: float = Field(
        default=30.0, gt=0, description="a connection that asks for no association by then is ended"
    )
    plain: bool = Field(
        default=True, description="listen on `port`, without TLS; false where only TLS is wanted"
    )
    tls: ListenerTlsSettings | None = Field(
        default=None, description="listen with TLS on a second port; left out: without"
    )
    data_path: Literal["own", "pynetdicom"] = Field(
        default="own",
        description="what takes objects in: own, straight from the connection to the file, or "
        "pynetdicom's",
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="listener processes on the port; more than one needs data_path own",
    )

    @field_validator("calling_addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each.rpartition("@")[2], strict=False)  # its own words are clear
        return value

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.plain and self.tls is None:
            raise ValueError("plain = false and no tls: nothing would listen")
        if self.processes > 1 and self.data_path != "own":
            raise ValueError("processes > 1 needs data_path = 'own'")
        return self
