"""Whether a model's folder has changed since it was looked at."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

DESCRIBING = {".toml", ".json", ".yaml", ".yml", ".py"}
"""Files that say how a model runs; they are small and compared by content."""


@dataclass(frozen=True)
class FolderState:
    """What a folder looked like.

    Attributes:
        described: SHA-256 over the names and contents of the files that say how it runs.
        files: SHA-256 over the names, sizes and times of the others (weights). Weights that
            are in use are pinned by their SHA-256 in ``preread.toml``; this only says that
            something which failed may work now.
    """

    described: str
    files: str


def look_at(folder: Path) -> FolderState:
    """The folder's state; a file that comes or goes while it is looked at counts as changed."""
    described, files = hashlib.sha256(), hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = f"{path.relative_to(folder).as_posix()}\0".encode()
        try:
            if not path.is_file():
                continue
            if path.suffix in DESCRIBING:
                described.update(name + path.read_bytes() + b"\0")
            else:
                stat = path.stat()
                files.update(name + f"{stat.st_size} {stat.st_mtime_ns}\0".encode())
        except OSError as error:
            files.update(name + str(error.errno).encode())
    return FolderState(described.hexdigest(), files.hexdigest())
