"""Which reduced precisions may run: those that an evaluation here has let through.

:mod:`models.evaluation.gate` judges and writes a pass to ``precision.json`` in the model's
folder, with the weights it was measured with. Other weights, another version of the model or
another int8 file, and it counts no more.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.errors import PrecisionRefused
from models.runtime.source import OnnxFile, Precision, RuntimeName, Source
from models.spec import ModelSpec

RECORD_NAME = "precision.json"


class Passed(BaseModel):
    """One reduced precision that was let through."""

    model_config = ConfigDict(frozen=True)

    precision: Precision
    runtime: RuntimeName
    fingerprint: str = Field(description="of the weights it was measured with")
    version: str = Field(description="of the model")
    networks: dict[str, str] = Field(default_factory=dict, description="role -> SHA-256 of int8")
    source: str = Field(description="the labelled set")
    layout: str
    cases: int
    lesions: int
    sensitivity_loss: float | None
    dice_loss: float | None
    false_findings_gain: float | None
    runtimes: dict[str, str] = Field(description="what ran, by role")
    at: datetime
    preread: str


class Record(BaseModel):
    """What ``precision.json`` holds."""

    model_config = ConfigDict(frozen=True)

    passed: tuple[Passed, ...] = ()


def remember(spec: ModelSpec, entry: Passed) -> Path:
    """Write a pass into the model's folder, in place of an earlier one.

    Raises:
        PrecisionRefused: the folder can't be written.
    """
    key = (entry.precision, entry.runtime)
    others = [p for p in _read(spec).passed if (p.precision, p.runtime) != key]
    path = spec.folder / RECORD_NAME
    text = json.dumps(Record(passed=(*others, entry)).model_dump(mode="json"), indent=2) + "\n"
    beside = path.with_name(f".{RECORD_NAME}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise PrecisionRefused(
            f"{path}: can't be written ({error}); copy the model into the site's models folder"
        ) from error
    return path


def allowed(spec: ModelSpec, precision: Precision, runtime: RuntimeName) -> None:
    """Check that a precision may run; fp32 always may.

    Args:
        runtime: what will run it, not ``auto``; another runtime rounds otherwise.

    Raises:
        PrecisionRefused: no evaluation let it through; the message gives the command.
    """
    if precision == "fp32":
        return
    remedy = (
        f"run `preread models evaluate {spec.name} DATA --precision {precision} --runtime "
        f"{runtime}` on labelled cases, or set its precision to fp32"
    )
    what = f"{spec.name}: {precision} on {runtime}"
    if not spec.sha256:
        raise PrecisionRefused(
            f"{what}: its weights are not here, so no evaluation can speak for them; set its "
            "precision to fp32 (a Triton server decides its own)"
        )
    entry = _entry(spec, precision, runtime)
    if entry is None:
        raise PrecisionRefused(f"{what} has not passed an evaluation; {remedy}")
    if (entry.fingerprint, entry.version) != (spec.fingerprint, spec.version):
        raise PrecisionRefused(
            f"{what} passed on {entry.at:%Y-%m-%d} with other weights or another version "
            f"({entry.version}); {remedy}"
        )


def network_for(
    spec: ModelSpec, role: str, source: Source, precision: Precision, runtime: RuntimeName
) -> Source:
    """What to load for a precision, which has passed its gate: int8 has a file of its own.

    Args:
        source: what the model's folder holds for this role.
        runtime: what will run it, not ``auto``.

    Raises:
        PrecisionRefused: no evaluation let it through, or the file is not the one it saw.
    """
    allowed(spec, precision, runtime)
    if precision != "int8":
        return source
    path = int8_path(spec, role)
    entry = _entry(spec, precision, runtime)
    assert entry is not None, "allowed() found it"
    found = digest(path) if path.is_file() else "missing"
    if found != entry.networks.get(role):
        raise PrecisionRefused(
            f"{path}: not the int8 network that passed on {entry.at:%Y-%m-%d} (SHA-256 {found}); "
            f"run `preread models evaluate {spec.name} DATA --precision int8` again"
        )
    return OnnxFile(path)


def int8_path(spec: ModelSpec, role: str) -> Path:
    """Where a role's int8 network (OpenVINO IR) is kept; other weights have another."""
    return spec.folder / ".cache" / f"{role}-{spec.fingerprint[:16]}-int8.xml"


def digest(path: Path) -> str:
    """SHA-256 over an OpenVINO network's two files."""
    whole = hashlib.sha256()
    for part in (path, path.with_suffix(".bin")):
        with part.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _entry(spec: ModelSpec, precision: Precision, runtime: RuntimeName) -> Passed | None:
    passed = _read(spec).passed
    return next((p for p in passed if (p.precision, p.runtime) == (precision, runtime)), None)


def _read(spec: ModelSpec) -> Record:
    path = spec.folder / RECORD_NAME
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Record()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise PrecisionRefused(
            f"{path}: cannot be read ({error}); delete it and evaluate again"
        ) from error
