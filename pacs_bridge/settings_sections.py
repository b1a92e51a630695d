"""The sections of the settings, each a frozen value; ``settings`` puts them together."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from imaging.language import Language
from models.runtime.source import Precision, RuntimeName

AETitle = str


class Section(BaseModel):
    """A table of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PeerSettings(Section):
    """A DICOM node we call."""

    ae_title: AETitle = Field(description="its AE title", max_length=16, min_length=1)
    host: str = Field(description="its host name or address")
    port: int = Field(description="its DICOM port", ge=1, le=65535)


class DestinationSettings(PeerSettings):
    """Where results go; repeat ``[[destinations]]`` for each."""

    name: str = Field(description="what people call it, unique")
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


class AssemblySettings(Section):
    """When a study counts as complete."""

    quiet_s: float = Field(
        default=30.0, gt=0, description="no new image for this long: ask the PACS, or begin"
    )
    longest_wait_s: float = Field(
        default=900.0,
        gt=0,
        description="begin after this although the PACS counts more images than arrived",
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
    dicomweb_url: str = Field(
        default="",
        description="for method dicomweb: where its services are, e.g. "
        "https://user:password@pacs.example/dicom-web; the certificate is checked; of user and "
        "password, / ? # @ and : are written %2F %3F %23 %40 %3A",
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

    @field_validator("dicomweb_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        """An http(s) address whose password can be told from its host."""
        if value and not re.fullmatch(r"https?://([^/?#@]*@)?[^/?#@]+(/[^?#@]*)?", value):
            raise ValueError(
                "no http:// or https:// address; in user and password, / ? # @ and : are written "
                "%2F %3F %23 %40 %3A"
            )
        return value


class ModelSettings(Section):
    """Which models read."""

    enabled: tuple[str, ...] = Field(
        default=("lung_nodule_reference",),
        description="model names, see `preread models`; the "
        "first that takes a series of a study decides which series the report stands on, the "
        "others read that series too if they take it, and are named in the report if they don't",
    )
    shadow: tuple[str, ...] = Field(
        default=(), description="models that run too, but whose findings are not reported"
    )
    research: tuple[str, ...] = Field(
        default=(),
        description="enabled models whose research maps are shown: places to look at, of research "
        "grade, no finding, no probability; e.g. pancreas_reference",
    )
    folder: str = Field(
        default="",
        description="where `preread models add` and `pull` put models; "
        "empty: models inside storage.folder",
    )
    folders: tuple[Path, ...] = Field(
        default=(), description="more folders with models beside that one and the catalogue"
    )
    runtime: RuntimeName = Field(
        default="auto",
        description="onnx, openvino, torch or triton; auto: what the model prefers, "
        "else the best that is installed",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="cpu, cuda or cuda:0; auto: every GPU that can be used, else the CPU",
    )
    precision: Literal["auto", Precision] = Field(
        default="auto",
        description="fp32, bf16, fp16 or int8 (a reduced one must have passed `preread models "
        "evaluate`); auto: what the model says",
    )
    threads: int = Field(default=0, ge=0, description="CPU threads for inference; 0: all cores")
    studies_at_once: int = Field(
        default=2,
        ge=1,
        description="studies analysed at the same time by each worker (one worker "
        "process a GPU, or one for the CPU); they share batches",
    )
    study_timeout_s: float = Field(
        default=3600.0,
        gt=0,
        description="an analysis that takes longer hangs: its worker is "
        "ended and started anew, and the study tried once more",
    )
    batch_wait_ms: float = Field(
        default=5.0, ge=0, description="longest that a patch waits for others to fill its batch"
    )
    memory_gb: float = Field(
        default=0.0,
        ge=0,
        description="what warm models and waiting patches may take together; "
        "0: half of this machine's memory",
    )

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        both = sorted(set(self.enabled) & set(self.shadow))
        if both:
            raise ValueError(f"{', '.join(both)}: in enabled and in shadow; a model is in one")
        unknown = [name for name in self.research if name not in self.enabled]
        if unknown:
            raise ValueError(
                f"research: {', '.join(unknown)}: not among the enabled models "
                f"({', '.join(self.enabled) or 'none'}); enable it, or take it out of research"
            )
        return self


class ReaderSettings(Section):
    """A radiologist who may sign; repeat ``[[readers]]`` for each."""

    user: str = Field(description="name to log in with")
    name: str = Field(description="DICOM PN, as the verified SR shows it, e.g. Zhang^San")
    organization: str = Field(description="VerifyingOrganization of the verified SR")
    password_hash: str = Field(description="made by `preread hash-password`")


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
