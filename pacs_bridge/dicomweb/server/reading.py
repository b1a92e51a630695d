"""Reading files that anybody may have sent: whatever is wrong with one becomes one error."""

from __future__ import annotations

from collections.abc import Iterable
from io import BufferedReader
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import Tag
from pydicom.uid import UID

from pacs_bridge.errors import Refused
from pacs_bridge.part10 import split_file

_MODALITY = Tag("Modality")
_HEAD = 1 << 16
"""Bytes that hold a file's meta information."""


class Unreadable(Exception):
    """A file is damaged, or gone; whoever asks is told so, and others are not kept from theirs."""


class Gone(Unreadable):
    """A file that was here is here no longer."""


def read(
    file: Path | BufferedReader, *, pixels: bool = False, tags: Iterable[Any] | None = None
) -> Dataset:
    """A file's data set.

    Args:
        file: path, or a file that is left where its pixels begin.
        pixels: whether they are read too.
        tags: only these; None: all.

    Raises:
        Unreadable: it can't be read.
    """
    wanted = None if tags is None else list(tags)
    try:
        return dcmread(file, stop_before_pixels=not pixels, force=True, specific_tags=wanted)
    except Exception as error:
        # Nothing narrower: over a damaged file pydicom raises anything, RecursionError too.
        raise _unreadable(error) from error


def read_clean(path: Path, keywords: Iterable[str]) -> Dataset:
    """Some attributes of a file, those left out that are damaged.

    Raises:
        Unreadable: it can't be read.
    """
    wanted = sorted(keywords)
    raw = read(path, tags=wanted)
    clean = Dataset()
    for keyword in wanted:
        try:
            element = _element(raw, keyword)
        except Unreadable:  # a search goes on without it, and the object itself still has it
            continue
        if element is not None:
            clean.add(element)
    return clean


def _element(raw: Dataset, keyword: str) -> DataElement | None:
    try:
        if keyword not in raw:
            return None
        element = raw[keyword]
        str(element)
        return element
    except Exception as error:
        # Nothing narrower, as above.
        raise Unreadable(f"{keyword}: {error}") from error


def modality_of(path: Path) -> str:
    """The Modality (0008,0060) of an object, empty where it has none; read no further than that.

    Raises:
        Unreadable: it can't be read.
    """
    try:
        with path.open("rb") as file:
            head = read_partial(
                file, stop_when=lambda tag, *_: tag > _MODALITY, force=True,
                specific_tags=[_MODALITY],
            )  # fmt: skip
        return str(head.get("Modality") or "").strip()
    except Exception as error:
        # Nothing narrower, as above.
        raise _unreadable(error) from error


def syntax_of(path: Path) -> UID:
    """The transfer syntax a file is held in; nothing else of it is read.

    Raises:
        Unreadable: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return UID(split_file(file.read(_HEAD)).transfer_syntax_uid)
    except (OSError, Refused) as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> Unreadable:
    if isinstance(error, FileNotFoundError):
        return Gone(f"its file is gone: {error.filename}")
    return Unreadable(f"it can't be read: {type(error).__name__}: {error}")
