"""Who put a model here, from where, to which licence they agreed, and whose code they trust.

``installed.json`` beside ``preread.toml``. Trust in a bundle's own Python is bound to that very
Python and its configuration: when a file of them changes, the trust is gone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

INSTALLATION_NAME = "installed.json"
_PYTHON = {".py", ".pyc", ".so", ".pyd"}
_CONFIGURATION = {".json", ".yaml", ".yml"}


class Installation(BaseModel):
    """What was done when the model came here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    who: str
    at: datetime
    source: str
    """The path or address it came from."""
    licence: str = ""
    """The licence that was agreed to; empty: none was found."""
    code_sha256: str = ""
    """:func:`code_digest` of the code that was trusted; empty: none."""
    code_trusted_by: str = ""
    code_trusted_at: datetime | None = None


def read_installation(folder: Path) -> Installation | None:
    """The model's ``installed.json``; None where there is none, or none that can be read."""
    try:
        text = (folder / INSTALLATION_NAME).read_text(encoding="utf-8")
        return Installation.model_validate_json(text)
    except (OSError, UnicodeDecodeError, ValidationError):
        return None


def write_installation(folder: Path, installation: Installation) -> None:
    """Write ``installed.json``."""
    text = installation.model_dump_json(indent=2) + "\n"
    (folder / INSTALLATION_NAME).write_text(text, encoding="utf-8")


def code_files(folder: Path) -> list[Path]:
    """The Python and the configurations of a bundle, in the order of their names."""

    def counts(path: Path) -> bool:
        configured = path.suffix in _CONFIGURATION and path.is_relative_to(folder / "configs")
        return (path.suffix in _PYTHON or configured) and path.is_file()

    return sorted(path for path in folder.rglob("*") if counts(path))


def code_digest(folder: Path) -> str:
    """SHA-256 over the names and contents of :func:`code_files`."""
    digest = hashlib.sha256()
    for path in code_files(folder):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}={content}\n".encode())
    return digest.hexdigest()


def code_trusted_by(folder: Path) -> str:
    """Who trusted the code that stands in the folder now; empty: nobody did."""
    installation = read_installation(folder)
    if installation is None or not installation.code_sha256:
        return ""
    if installation.code_sha256 != code_digest(folder):
        return ""
    return installation.code_trusted_by


def trust_code(folder: Path, who: str, at: datetime) -> None:
    """Record that somebody answers for the code that stands in the folder now."""
    before = read_installation(folder) or Installation(who=who, at=at, source=str(folder))
    trusted = {
        "code_sha256": code_digest(folder),
        "code_trusted_by": who,
        "code_trusted_at": at,
    }
    write_installation(folder, before.model_copy(update=trusted))


def trust_statement(folder: Path) -> tuple[str, str] | None:
    """For the audit trail: who trusted the code that runs, and which; None: none is trusted."""
    who = code_trusted_by(folder)
    installation = read_installation(folder)
    if not who or installation is None:
        return None
    return who, (
        f"{folder.name}: its own Python runs here, SHA-256 {installation.code_sha256}, trusted "
        f"at {installation.code_trusted_at}"
    )
