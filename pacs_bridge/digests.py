"""Which bytes an object came with: a digest of its data set, as sent.

BLAKE3, five times as quick as SHA-256 here and no weaker: digesting is most of what receiving
costs a processor. Rows of databases that are older hold a SHA-256; it is known by its form.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import blake3

from pacs_bridge.part10 import split_file

_MARK = "b3:"
_BYTES = 30
"""Of the digest: with the mark it fits where a SHA-256 stood."""
_IN_NAME = 16
_PIECE = 1 << 20


class Digest:
    """Of bytes that come one after another."""

    def __init__(self) -> None:
        self._state = blake3.blake3()
        self.update = self._state.update

    def __str__(self) -> str:
        return _MARK + self._state.digest(length=_BYTES).hex()


def digest_of(dataset: bytes | memoryview) -> str:
    """Of a data set that is there whole."""
    digest = Digest()
    digest.update(dataset)
    return str(digest)


def in_name(digest: str) -> str:
    """What of it stands in a file's name: 16 hexadecimal digits."""
    return digest.removeprefix(_MARK)[:_IN_NAME]


def named_by(path: Path, dataset: bytes | memoryview) -> str | None:
    """The digest that a file's name was made from; None: its content is another."""
    for digest in (digest_of(dataset), hashlib.sha256(dataset).hexdigest()):
        if f".{in_name(digest)}." in path.name:
            return digest
    return None


def is_of(digest: str, path: Path) -> bool:
    """Whether a DICOM file holds the data set that the digest was made of.

    Not through mmap: a disk that fails would end the process (SIGBUS) instead of raising.

    Raises:
        Refused: the file is none of DICOM.
        OSError: it can't be read.
    """
    ours = digest.startswith(_MARK)
    state: Any = blake3.blake3() if ours else hashlib.sha256()
    with path.open("rb") as file:
        state.update(split_file(file.read(_PIECE)).dataset)
        while piece := file.read(_PIECE):
            state.update(piece)
    made: str = _MARK + state.digest(length=_BYTES).hex() if ours else state.hexdigest()
    return made == digest


def same(recorded: str, digest: str, path: Path) -> bool:
    """Whether an object is the one recorded.

    Args:
        recorded: its digest, of either kind.
        digest: the other's, made now.
        path: the other's file, read where the recorded digest is an old one.

    Raises:
        Refused, OSError: as :func:`is_of`.
    """
    if recorded.startswith(_MARK) or not digest.startswith(_MARK):
        return recorded == digest
    return is_of(recorded, path)
