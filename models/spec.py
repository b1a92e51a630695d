"""What a model is: one folder with its weights and ``preread.toml``, the clinical side.

:func:`look_up` and :func:`read_spec` take a description as it stands, unfinished or without
weights; :func:`find_spec` gives only what may run.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from imaging.language import Text
from imaging.series import InputRule
from imaging.series_rules import SeriesRule
from models.errors import SpecError
from models.mistakes import describe_mistakes
from models.recipe import Recipe
from models.runtime.source import Precision
from models.sections import (
    Label,
    NetworkSection,
    OperatingPoint,
    Origin,
    RegistrationSection,
    RuntimeSection,
    Section,
    SeriesRole,
)
from models.validated import objection_to

CATALOG = Path(__file__).parent / "catalog"
"""The models that ship."""
SPEC_NAME = "preread.toml"
CARD_NAME = "MODEL_CARD.md"
"""The model card, beside ``preread.toml``."""
MAPPED_TASKS = ("pancreas",)
"""Those whose models have a research map beside their findings."""
MOST_KEYS = 12
"""So many keys are named in one message."""


def inner_path(file: str) -> str:
    """The path, if it stays inside the folder that it is relative to.

    Raises:
        ValueError: it does not.
    """
    windows, posix = PureWindowsPath(file), PurePosixPath(file)
    away = posix.is_absolute() or windows.is_absolute() or windows.drive
    if not file or away or ".." in (*posix.parts, *windows.parts):
        raise ValueError("name a file inside the model's folder, e.g. models/model.pt")
    return file


InnerPath = Annotated[str, AfterValidator(inner_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class ModelSpec(Section):
    """A model as ``preread.toml`` describes it. Every key has a meaning; none is ignored."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="the folder's name too")
    version: str = Field(description="grows with every change of weights or operating point")
    title: Text = Field(description="what people call it")
    task: Literal["lung-nodules", "pancreas", "segmentation", "detection"] = Field(
        description="which path in models.pipeline runs it"
    )
    intended_use: Text
    limits: Text
    reference_weights: bool = Field(
        default=False, description="for research; every result then says so"
    )
    fake: bool = Field(default=False, description="a stand-in; every result then says so")
    labels: tuple[Label, ...] = Field(min_length=1, description="what its output means")
    input: InputRule = Field(default_factory=InputRule, description="which series it takes")
    series: tuple[SeriesRole, ...] = Field(
        default=(), description="several series that it takes together; input is then unused"
    )
    registration: RegistrationSection = Field(
        default_factory=RegistrationSection, description="several series brought together"
    )
    skull_strip: bool = Field(
        default=False,
        description="the network was trained without the skull: take it off, by a classical "
        "method whose limits the result states",
    )
    network: NetworkSection = Field(default_factory=NetworkSection)
    recipe: Recipe | None = Field(
        default=None, description="voxels to input and back; a bundle brings its own"
    )
    runtime: RuntimeSection = Field(default_factory=RuntimeSection)
    operating_point: OperatingPoint = Field(default_factory=OperatingPoint)
    origin: Origin | None = Field(default=None, description="where `models pull` finds it")
    files: dict[str, InnerPath] = Field(
        default_factory=dict, description="role -> file in the folder"
    )
    sha256: dict[str, Sha256] = Field(
        default_factory=dict, description="role -> SHA-256 of that file, lower case"
    )
    to_check: tuple[str, ...] = Field(
        default=(),
        description="keys that were guessed; take out each that a person has checked",
    )
    folder: Path = Field(default=Path(), exclude=True, description="set when read, not a key")
    site_rules: tuple[SeriesRule, ...] = Field(
        default=(), exclude=True, description="the site's rules on series, not a key"
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if set(self.files) != set(self.sha256):
            odd = ", ".join(sorted(set(self.files) ^ set(self.sha256)))
            raise ValueError(f"files and sha256 must name the same roles; only one has {odd}")
        indices = [label.index for label in self.labels]
        twice = sorted({index for index in indices if indices.count(index) > 1})
        if twice:
            raise ValueError(f"labels: index {twice[0]} is described twice; describe each once")
        unknown = sorted(set(self.network.prompts) - set(indices))
        if unknown:
            raise ValueError(
                f"network.prompts: no label has index {unknown[0]}; describe it in [[labels]]"
            )
        roles = [series.role for series in self.series]
        if len(set(roles)) < len(roles):
            raise ValueError(f"series: roles {', '.join(roles)}: each must have a name of its own")
        if self.network.kind == "triton" and not (self.network.url and self.network.model):
            raise ValueError('network.url and network.model are needed where kind is "triton"')
        if (objection := objection_to(self)) is not None:
            raise ValueError(f"operating_point.validated{objection}")
        return self

    @property
    def validation_is_stale(self) -> bool:
        """Whether the operating point was validated with other weights than those here."""
        validated = self.operating_point.validated
        return validated is not None and self.installed and validated.weights != self.fingerprint

    def as_run_in(self, precision: Precision) -> ModelSpec:
        """The model as it stands at a precision: validated only at the one that was validated."""
        point = self.operating_point
        if point.validated is None or point.validated.precision == precision:
            return self
        return self.model_copy(
            update={"operating_point": point.model_copy(update={"validated": None})}
        )

    def at_site(self, rules: Sequence[SeriesRule]) -> ModelSpec:
        """The model as it chooses series where these rules are in force."""
        return self.model_copy(update={"site_rules": tuple(rules)})

    @property
    def has_research_map(self) -> bool:
        """Whether a site can have it show where to look, beside its findings."""
        return self.task in MAPPED_TASKS

    @property
    def installed(self) -> bool:
        """Whether its weights are here; the catalogue also describes models to be pulled."""
        return bool(self.files) or self.network.kind == "triton"

    @property
    def unfilled(self) -> tuple[str, ...]:
        """Keys that a person must fill in or check before the model may run."""
        texts = {
            "version": self.version,
            "title": self.title,
            "intended_use": self.intended_use,
            "limits": self.limits,
        }
        empty = [key for name, value in texts.items() for key in _empty(name, value)]
        for place, label in enumerate(self.labels):
            if label.kind == "ignored":
                continue
            for name in ("name", "code", "site"):
                empty += _empty(f"labels.{place}.{name}", getattr(label, name))
        stale = ("operating_point.validated.weights",) if self.validation_is_stale else ()
        return (*empty, *self.to_check, *stale)

    def label_of(self, index: int) -> Label | None:
        """The label that an output value stands for; None: not described."""
        return next((label for label in self.labels if label.index == index), None)

    def path_of(self, role: str) -> Path:
        """The weight file of a role.

        Raises:
            SpecError: the model has no such file.
        """
        if role not in self.files:
            raise SpecError(f"{self.folder / SPEC_NAME}: files.{role} is missing")
        return self.folder / self.files[role]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weight files' SHA-256, in the order of their roles."""
        text = "\n".join(f"{role}={self.sha256[role]}" for role in sorted(self.sha256))
        return hashlib.sha256(text.encode()).hexdigest()


def read_spec(folder: Path, *, named: bool = True) -> ModelSpec:
    """Read and check a model's ``preread.toml``.

    Args:
        folder: the model's.
        named: the folder must go by the model's name, as it does in a folder of models.

    Raises:
        SpecError: it is missing or wrong; the message names file, key and remedy.
    """
    path = folder / SPEC_NAME
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; a model's folder needs one") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as TOML: {error}") from error
    for key in ("folder", "site_rules"):
        if key in values:
            raise SpecError(f"{path}: {key} is no key of {SPEC_NAME}; take it out")
    try:
        spec = ModelSpec.model_validate(values | {"folder": folder})
    except ValidationError as error:
        raise SpecError(f"{path}: {describe_mistakes(error, ModelSpec)}") from error
    if named and spec.name != folder.name:
        raise SpecError(
            f"{path}: name = {spec.name!r}, but the folder is called {folder.name!r}; "
            "make the two the same"
        )
    return spec


def _empty(key: str, value: Any) -> Iterator[str]:
    """The keys below ``key`` whose text is empty."""
    if isinstance(value, str):
        if not value.strip():
            yield key
        return
    for name in type(value).model_fields:
        yield from _empty(f"{key}.{name}", getattr(value, name))


def verify_files(spec: ModelSpec) -> None:
    """Check that every weight file is there and is the one that was described.

    Raises:
        SpecError: a file is missing or its SHA-256 differs.
    """
    for role in spec.files:
        path = spec.path_of(role)
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise SpecError(f"{path}: cannot be read ({error}); install the model again") from error
        if found != spec.sha256[role]:
            raise SpecError(
                f"{path}: SHA-256 is {found}, {SPEC_NAME} says {spec.sha256[role]}; the file was "
                "changed or damaged, install the model again"
            )


def check_installed(spec: ModelSpec) -> None:
    """Check that a model's weights are here.

    Raises:
        SpecError: they are not; the message names the command that brings them.
    """
    if not spec.installed:
        what = f"{spec.name}: described in the catalogue, but its weights are not here"
        if spec.origin is not None and spec.origin.url:
            raise SpecError(f"{what}; `preread models pull {spec.name}` fetches them")
        raise SpecError(f"{what}; bring them: `preread models add EXPORT --name {spec.name}`")


def check_usable(spec: ModelSpec) -> None:
    """Check that a model may read studies: its weights are here and nothing is to be filled in.

    Raises:
        SpecError: the message names the command, or the keys.
    """
    check_installed(spec)
    if spec.validation_is_stale:
        raise SpecError(
            f"{spec.folder / SPEC_NAME}: operating_point.validated.weights: it was validated with "
            f"other weights than those here, whose fingerprint is {spec.fingerprint}. Take the "
            "section out (the model then flags no study as urgent), or validate these weights"
        )
    if spec.unfilled:
        keys = ", ".join(spec.unfilled[:MOST_KEYS])
        if (more := len(spec.unfilled) - MOST_KEYS) > 0:
            keys += f" and {more} more"
        raise SpecError(
            f"{spec.folder / SPEC_NAME}: it can't be enabled yet: a person must fill in or check "
            f"{keys}; keys named in to_check are taken out of that list once they are right. "
            f"`preread models show {spec.name}` shows what stands there"
        )


def check_research(spec: ModelSpec) -> None:
    """Check that a model has a research map that a site may switch on.

    Raises:
        SpecError: it has none.
    """
    if not spec.has_research_map:
        raise SpecError(
            f"{spec.name}: it has no research map; take it out of models.research. Such a map "
            f"comes with models of task {', '.join(MAPPED_TASKS)}"
        )


def model_folders(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Every model's folder by name: ``folders`` first, in their order, then the catalogue."""
    found: dict[str, Path] = {}
    for folder in (*folders, CATALOG):
        for path in sorted(folder.glob(f"*/{SPEC_NAME}")):
            if not path.parent.name.startswith("."):
                found.setdefault(path.parent.name, path.parent)
    return found


def look_up(name: str, folders: Sequence[Path] = ()) -> ModelSpec:
    """The model of that name as it is described, finished or not, with or without weights.

    Raises:
        SpecError: there is none, and the message lists those there are; or it is wrong.
    """
    known = model_folders(folders)
    if name not in known:
        there = ", ".join(sorted(known)) or "none"
        raise SpecError(f"no model is called {name!r}; there are: {there}")
    return read_spec(known[name])


def find_spec(name: str, folders: Sequence[Path] = ()) -> ModelSpec:
    """The model of that name, ready to run.

    Raises:
        SpecError: there is none; or its weights are not here; or a person must still fill in
            something. The message says what to do.
    """
    spec = look_up(name, folders)
    check_usable(spec)
    return spec


def list_specs(folders: Sequence[Path] = ()) -> list[ModelSpec]:
    """Every model in ``folders`` and in the shipped catalogue.

    Raises:
        SpecError: one of them is wrong.
    """
    return [read_spec(folder) for folder in model_folders(folders).values()]
