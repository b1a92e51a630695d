"""One frozen settings object: TOML, then environment; read once, passed by argument.

The descriptions below are the documentation: ``preread settings`` prints them as a
commented TOML file, and a test fails when one is missing.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from imaging.language import Language
from models.runtime.source import Precision, RuntimeName
from pacs_bridge.errors import SettingsError

AETitle = str
ENVIRONMENT_PREFIX = "PREREAD_"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PeerSettings(_Section):
    """A DICOM node we call."""

    ae_title: AETitle = Field(description="its AE title", max_length=16, min_length=1)
    host: str = Field(description="its host name or address")
    port: int = Field(description="its DICOM port", ge=1, le=65535)


class DestinationSettings(PeerSettings):
    """Where results go; repeat ``[[destinations]]`` for each."""

    name: str = Field(description="what people call it, unique")
    accepts: tuple[Literal["SR", "SEG"], ...] = Field(
        default=("SEG", "SR"), description="which objects it takes"
    )
    attempts: int = Field(
        default=12, ge=1, description="tries before an object is given up on (and shown as such)"
    )
    first_wait_s: float = Field(
        default=5.0, gt=0, description="wait after the first failure; doubles each time"
    )
    longest_wait_s: float = Field(default=1800.0, gt=0, description="the wait stops growing here")


class StorageSettings(_Section):
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


class ListenerSettings(_Section):
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


class AssemblySettings(_Section):
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


class PriorsSettings(_Section):
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


class ModelSettings(_Section):
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
        return self


class ReaderSettings(_Section):
    """A radiologist who may sign; repeat ``[[readers]]`` for each."""

    user: str = Field(description="name to log in with")
    name: str = Field(description="DICOM PN, as the verified SR shows it, e.g. Zhang^San")
    organization: str = Field(description="VerifyingOrganization of the verified SR")
    password_hash: str = Field(description="made by `preread hash-password`")


class ReviewSettings(_Section):
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


class LogSettings(_Section):
    """The log, on standard error."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least severity that is written"
    )


class Settings(_Section):
    """Everything that can be set."""

    site: str = Field(default="Preread", description="name of this site, shown on the page")
    report_language: Language = Field(
        default=Language.EN, description="language of text in the SR: en or zh"
    )
    storage: StorageSettings = Field(default_factory=StorageSettings)
    listener: ListenerSettings = Field(default_factory=ListenerSettings)
    assembly: AssemblySettings = Field(default_factory=AssemblySettings)
    priors: PriorsSettings = Field(default_factory=PriorsSettings)
    models: ModelSettings = Field(default_factory=ModelSettings)
    review: ReviewSettings = Field(default_factory=ReviewSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    destinations: tuple[DestinationSettings, ...] = ()
    readers: tuple[ReaderSettings, ...] = ()

    def with_models(self, **values: Any) -> Settings:
        """The same with other values in ``models``; None leaves one as it is.

        Raises:
            SettingsError: a value that can't be.
        """
        given = {name: value for name, value in values.items() if value is not None}
        changed = {**self.models.model_dump(), **given}
        # A model that is asked for by name reads, also where it is a shadow otherwise.
        changed["shadow"] = [n for n in changed["shadow"] if n not in changed["enabled"]]
        try:
            models = ModelSettings.model_validate(changed)
        except ValidationError as error:
            told = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
            raise SettingsError(f"models.{told}") from error
        return self.model_copy(update={"models": models})

    @property
    def priors_pacs(self) -> PeerSettings | None:
        """The PACS asked for earlier studies, in force."""
        return self.priors.pacs or self.assembly.source

    @property
    def models_folder(self) -> Path:
        """Where models are added, in force."""
        return Path(self.models.folder) if self.models.folder else self.storage.folder / "models"

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Every folder that models are looked for in, before the shipped catalogue."""
        return (self.models_folder, *self.models.folders)

    @field_validator("destinations")
    @classmethod
    def _unique(cls, value: tuple[DestinationSettings, ...]) -> tuple[DestinationSettings, ...]:
        names = [destination.name for destination in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are called {', '.join(twice)}; names are unique")
        return value


def load_settings(path: Path | None = None, environment: dict[str, str] | None = None) -> Settings:
    """Read a TOML file, then ``PREREAD_SECTION__KEY`` variables over it.

    A variable that begins with ``[`` is a TOML list: ``PREREAD_MODELS__ENABLED=["a", "b"]``.

    Args:
        path: the file; None: defaults only.
        environment: instead of ``os.environ``.

    Raises:
        SettingsError: no such file, not TOML, an unknown key or a bad value, each by name.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(
                f"{path}: no such file. Make one with: preread settings > {path}"
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{path}: cannot be read as TOML: {error}") from error
    _overlay(values, os.environ if environment is None else environment)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc'])} = "
            f"{_without_password(repr(problem.get('input')))}: "
            f"{problem['msg']}"
            for problem in error.errors()
        ]
        where = str(path) if path else "environment"
        raise SettingsError(
            f"{where}: " + "; ".join(lines) + ". `preread settings` lists every key."
        ) from error


def _without_password(shown: str) -> str:
    """What stands between ``//`` and ``@`` of an address, left out: messages reach logs."""
    return re.sub(r"//.*@", "//...@", shown)


def _overlay(values: dict[str, Any], environment: Any) -> None:
    for name, text in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
        if keys[0] not in Settings.model_fields:
            continue
        place = values
        for key in keys[:-1]:
            place = place.setdefault(key, {})
            if not isinstance(place, dict):
                raise SettingsError(f"{name}: {key} is a value of its own, not a section")
        place[keys[-1]] = _listed(name, text) if text.lstrip().startswith("[") else text


def _listed(name: str, text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} = {text!r} is no TOML list: {error}") from error
