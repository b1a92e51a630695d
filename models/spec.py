"""What a model is: one folder with its weights and ``preread.toml``, the clinical side."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from imaging.language import Text
from imaging.series import InputRule
from models.errors import SpecError
from models.recipe import Recipe
from models.sections import (
    Label,
    NetworkSection,
    OperatingPoint,
    Origin,
    RuntimeSection,
    Section,
    SeriesRole,
)

CATALOG = Path(__file__).parent / "catalog"
"""The models that ship."""
SPEC_NAME = "preread.toml"


class ModelSpec(Section):
    """A model as ``preread.toml`` describes it. Every key has a meaning; none is ignored."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="the folder's name too")
    version: str = Field(description="grows with every change of weights or operating point")
    title: Text = Field(description="what people call it")
    task: Literal["lung-nodules", "segmentation", "detection"] = Field(
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
    network: NetworkSection = Field(default_factory=NetworkSection)
    recipe: Recipe | None = Field(
        default=None, description="voxels to input and back; a bundle brings its own"
    )
    runtime: RuntimeSection = Field(default_factory=RuntimeSection)
    operating_point: OperatingPoint = Field(default_factory=OperatingPoint)
    origin: Origin | None = Field(default=None, description="where `models pull` finds it")
    files: dict[str, str] = Field(default_factory=dict, description="role -> file in the folder")
    sha256: dict[str, str] = Field(default_factory=dict, description="role -> SHA-256 of that file")
    folder: Path = Field(default=Path(), exclude=True, description="set when read, not a key")

    @property
    def installed(self) -> bool:
        """Whether its weights are here; the catalogue also describes models to be pulled."""
        return bool(self.files) or self.network.kind == "triton"

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


def read_spec(folder: Path) -> ModelSpec:
    """Read and check a model's ``preread.toml``.

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
    if "folder" in values:
        raise SpecError(f"{path}: folder is no key of {SPEC_NAME}")
    try:
        spec = ModelSpec.model_validate(values | {"folder": folder})
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        ]
        raise SpecError(f"{path}: " + "; ".join(lines)) from error
    if spec.name != folder.name:
        raise SpecError(f"{path}: name = {spec.name!r}, but the folder is called {folder.name!r}")
    if set(spec.files) != set(spec.sha256):
        raise SpecError(f"{path}: files and sha256 must name the same roles")
    return spec


def verify_files(spec: ModelSpec) -> None:
    """Check that every weight file is there and is the one that was described.

    Raises:
        SpecError: a file is missing or its SHA-256 differs.
    """
    for role in spec.files:
        path = spec.path_of(role)
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise SpecError(f"{path}: cannot be read ({error}); install the model again") from error
        if found != spec.sha256[role]:
            raise SpecError(
                f"{path}: SHA-256 is {found}, {SPEC_NAME} says {spec.sha256[role]}; the file was "
                "changed or damaged, install the model again"
            )


def find_spec(name: str, folders: Sequence[Path] = ()) -> ModelSpec:
    """The model of that name, from ``folders`` first, then from the shipped catalogue.

    Raises:
        SpecError: there is none; the message lists those there are.
    """
    for folder in (*folders, CATALOG):
        if (folder / name / SPEC_NAME).is_file():
            return read_spec(folder / name)
    known = ", ".join(sorted(spec.name for spec in list_specs(folders))) or "none"
    raise SpecError(f"no model is called {name!r}; there are: {known}")


def list_specs(folders: Sequence[Path] = ()) -> list[ModelSpec]:
    """Every model in ``folders`` and in the shipped catalogue.

    Raises:
        SpecError: one of them is wrong.
    """
    found: dict[str, ModelSpec] = {}
    for folder in (*folders, CATALOG):
        for path in sorted(folder.glob(f"*/{SPEC_NAME}")):
            found.setdefault(path.parent.name, read_spec(path.parent))
    return list(found.values())
