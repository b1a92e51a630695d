"""The house itself: where things are kept, who reads, the page, the log."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from imaging.language import Language
from pacs_bridge.sections.base import Section


class StorageSettings(Section):
    """Where everything is kept."""

    folder: Path = Field(
        default=Path("preread-data"), description="images received, results made, the database"
    )
    database: str = Field(
        default="",
        description="SQLAlchemy URL; empty: SQLite inside the folder; "
        "postgresql+psycopg://user:password@host/name for a shared one",
    )
    minimum_free_gb: float = Field(
        default=2.0, ge=0, description="below this, senders are told 0xA700 (out of resources)"
    )

    @property
    def database_url(self) -> str:
        """The URL in force."""
        return self.database or f"sqlite:///{(self.folder / 'preread.sqlite').absolute()}"


class ReaderSettings(Section):
    """A radiologist who may sign; repeat ``[[readers]]`` for each."""

    user: str = Field(description="name to log in with", examples=["zhang"])
    name: str = Field(
        description="DICOM PN, as the verified SR shows it, e.g. Zhang^San", examples=["Zhang^San"]
    )
    organization: str = Field(
        description="VerifyingOrganization of the verified SR", examples=["County Hospital"]
    )
    password_hash: str = Field(
        description="made by `preread hash-password`", examples=["scrypt$..."]
    )


class ReviewSettings(Section):
    """The review page."""

    host: str = Field(
        default="127.0.0.1",
        description="address to serve on; anything but loopback needs at least one [[readers]]",
    )
    port: int = Field(default=8088, ge=0, le=65535, description="port; 0 picks a free one")
    language: Language = Field(default=Language.EN, description="en or zh, where none was chosen")
    url: str = Field(
        default="", description="how people reach the page, if not http://host:port (a proxy)"
    )


class LogSettings(Section):
    """The log, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least severity that is written"
    )
