"""A bundle's ``large_files.yml``: weights that lie elsewhere, each with its address and hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from models.errors import RuntimeMissing
from models.spec import inner_path
from pacs_bridge.errors import LibraryError
from pacs_bridge.library.download import Digest, HashKind, is_address

NAMES = ("large_files.yml", "large_files.yaml")
_KINDS: tuple[HashKind, ...] = get_args(HashKind)


@dataclass(frozen=True)
class LargeFile:
    """One file that a bundle is not complete without.

    Args:
        path: where it belongs in the bundle.
        url: where it lies.
        digest: what it must be; None: the bundle doesn't say.
    """

    path: str
    url: str
    digest: Digest | None


def missing_large_files(bundle: Path, config: str) -> list[LargeFile]:
    """The large files that are not here and that the inference needs.

    Args:
        bundle: its folder.
        config: its inference config; a file that no line of it names (a TorchScript copy of the
            weights, say) is not needed. Where none is named, all are.

    Raises:
        LibraryError: the list can't be read.
        RuntimeMissing: PyYAML is not installed.
    """
    listed = next((bundle / name for name in NAMES if (bundle / name).is_file()), None)
    if listed is None:
        return []
    files = [_read(listed, entry) for entry in _entries(listed)]
    path = bundle / config
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    named = [file for file in files if PurePosixPath(file.path).name in text]
    return [file for file in named or files if not (bundle / file.path).is_file()]


def _entries(listed: Path) -> list[Any]:
    try:
        import yaml
    except ImportError as error:
        raise RuntimeMissing(
            f"{listed}: needs PyYAML to be read; `pip install 'preread[monai]'`"
        ) from error
    try:
        values = yaml.safe_load(listed.read_text(encoding="utf-8"))
        entries = values["large_files"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        raise LibraryError(
            f"{listed}: cannot be read as a list of large files ({error})"
        ) from error
    if not isinstance(entries, list):
        raise LibraryError(f"{listed}: large_files must be a list of files")
    return entries


def _read(listed: Path, entry: Any) -> LargeFile:
    try:
        path, url = inner_path(str(entry["path"])), str(entry["url"])
        kind, value = str(entry.get("hash_type") or "").lower(), str(entry.get("hash_val") or "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise LibraryError(
            f"{listed}: {entry!r}: wanted path and url ({error}); mend the list"
        ) from error
    if not is_address(url):
        raise LibraryError(f"{listed}: url = {url!r}: wanted http:// or https://")
    if not value:
        return LargeFile(path, url, None)
    known = next((each for each in _KINDS if each == kind), None)
    if known is None:
        raise LibraryError(f"{listed}: hash_type = {kind!r}: wanted {', '.join(_KINDS)}")
    return LargeFile(path, url, Digest(known, value))
