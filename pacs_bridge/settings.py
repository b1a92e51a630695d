"""One frozen settings object: TOML, then environment; read once, passed by argument.

The descriptions below are the documentation: ``preread settings`` prints them as a
commented TOML file, and a test fails when one is missing.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from imaging.language import Language
from pacs_bridge.errors import SettingsError
from pacs_bridge.sections import (
    AssemblySettings,
    AvailabilitySettings,
    CommitmentSettings,
    DestinationSettings,
    DicomWebSettings,
    ListenerSettings,
    LogSettings,
    MachineSettings,
    ModelSettings,
    PeerSettings,
    PriorsSettings,
    PullSettings,
    ReaderSettings,
    ReviewSettings,
    Section,
    SeriesRuleSettings,
    StorageSettings,
    UpsSettings,
)

ENVIRONMENT_PREFIX = "PREREAD_"


__all__ = [
    "AssemblySettings",
    "AvailabilitySettings",
    "CommitmentSettings",
    "DestinationSettings",
    "DicomWebSettings",
    "ListenerSettings",
    "LogSettings",
    "MachineSettings",
    "ModelSettings",
    "PeerSettings",
    "PriorsSettings",
    "PullSettings",
    "ReaderSettings",
    "ReviewSettings",
    "SeriesRuleSettings",
    "StorageSettings",
    "Settings",
    "UpsSettings",
    "load_settings",
]


class Settings(Section):
    """Everything that can be set."""

    site: str = Field(default="Preread", description="name of this site, shown on the page")
    report_language: Language = Field(
        default=Language.EN, description="language of text in the SR: en or zh"
    )
    storage: StorageSettings = Field(default_factory=StorageSettings)
    listener: ListenerSettings = Field(default_factory=ListenerSettings)
    commitment: CommitmentSettings = Field(default_factory=CommitmentSettings)
    availability: AvailabilitySettings = Field(default_factory=AvailabilitySettings)
    assembly: AssemblySettings = Field(default_factory=AssemblySettings)
    priors: PriorsSettings = Field(default_factory=PriorsSettings)
    models: ModelSettings = Field(default_factory=ModelSettings)
    review: ReviewSettings = Field(default_factory=ReviewSettings)
    dicomweb: DicomWebSettings = Field(default_factory=DicomWebSettings)
    ups: UpsSettings = Field(default_factory=UpsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    destinations: tuple[DestinationSettings, ...] = ()
    pull: tuple[PullSettings, ...] = ()
    series_rules: tuple[SeriesRuleSettings, ...] = ()
    readers: tuple[ReaderSettings, ...] = ()
    machines: tuple[MachineSettings, ...] = ()

    def with_models(self, **values: Any) -> Settings:
        """The same with other values in ``models``; None leaves one as it is.

        Raises:
            SettingsError: a value that can't be.
        """
        given = {name: value for name, value in values.items() if value is not None}
        changed = {**self.models.model_dump(), **given}
        # A model that is asked for by name reads, also where it is a shadow otherwise.
        changed["shadow"] = [n for n in changed["shadow"] if n not in changed["enabled"]]
        if "research" not in given:
            changed["research"] = [n for n in changed["research"] if n in changed["enabled"]]
        try:
            models = ModelSettings.model_validate(changed)
        except ValidationError as error:
            told = [
                f"{'.'.join(('models', *map(str, e['loc'])))}: {e['msg']}" for e in error.errors()
            ]
            raise SettingsError("; ".join(told)) from error
        return self.model_copy(update={"models": models})

    @property
    def objects_wanted(self) -> frozenset[str]:
        """The kinds that some destination takes; most are made only then."""
        return frozenset(kind for each in self.destinations for kind in each.accepts)

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

    @model_validator(mode="after")
    def _reports_are_let_in(self) -> Self:
        """A destination that reports storage commitment calls our listener."""
        allowed = self.listener.calling_ae_titles
        for each in self.destinations:
            title = each.commitment_ae_title or each.ae_title
            if each.commitment and allowed and title not in allowed:
                raise ValueError(
                    f"listener.calling_ae_titles lacks {title}: destination {each.name!r} reports "
                    "storage commitment to our listener"
                )
        return self

    @field_validator("destinations")
    @classmethod
    def _unique(cls, value: tuple[DestinationSettings, ...]) -> tuple[DestinationSettings, ...]:
        names = [destination.name for destination in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are called {', '.join(twice)}; names are unique")
        return value

    @field_validator("pull")
    @classmethod
    def _rules(cls, value: tuple[PullSettings, ...]) -> tuple[PullSettings, ...]:
        names = [rule.name for rule in value]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two rules are called {', '.join(twice)}; names are unique")
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
        lines = [f"{_shown(problem)}: {problem['msg']}" for problem in error.errors()]
        where = str(path) if path else "environment"
        raise SettingsError(
            f"{where}: " + "; ".join(lines) + ". `preread settings` lists every key."
        ) from error


def _shown(problem: Any) -> str:
    """Key and value of a mistake; of a whole section the key alone: it may hold passwords."""
    key = ".".join(str(part) for part in problem["loc"])
    value = problem.get("input")
    if isinstance(value, dict) or "password" in key:
        return key or "settings"
    return f"{key} = {_without_password(repr(value))}"


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
