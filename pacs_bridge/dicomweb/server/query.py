"""What a search asks for (PS3.18 8.3.4), and whether an object is it (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

_RANGED = frozenset(("DA", "TM", "DT"))
_NUMBERS = frozenset(("IS", "DS", "US", "SS", "UL", "SL", "FL", "FD"))
_EXACT = frozenset(("UI",))
_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_FIRST = 0x00080000
"""Tags before belong to commands and files."""
_NOT_DONE = {
    "fuzzymatching": "The fuzzymatching parameter is not supported. Only literal matching has been "
    "performed.",
    "emptyvaluematching": "The emptyvaluematching parameter is not supported. Empty Value Matching "
    "has not been performed.",
    "multiplevaluematching": "The multiplevaluematching parameter is not supported. Multiple Value "
    "Matching has not been performed.",
}
"""What is said of parameters that are understood and not done (PS3.18 8.3.4.2, 5 and 6)."""
_FIXED = frozenset(("accept", "charset"))


class BadQuery(ValueError):
    """A search that can't be understood; the message names parameter and value."""


@dataclass(frozen=True)
class Query:
    """One search."""

    keys: tuple[tuple[tuple[str, ...], str], ...] = ()
    """What has to match: path of keywords (several through sequences) and value."""
    fields: frozenset[str] = frozenset()
    """Keywords wanted besides what the server gives by itself."""
    all_fields: bool = False
    limit: int | None = None
    offset: int = 0
    not_done: tuple[str, ...] = ()
    """Kinds of matching that were asked for and are not done, for the Warning header."""
    names: frozenset[str] = field(default=frozenset())
    """The first keyword of each key."""

    def of(self, keyword: str) -> str:
        """The value that ``keyword`` has to match; empty: any."""
        return next((value for path, value in self.keys if path == (keyword,)), "")

    def matches(self, dataset: Dataset, keywords: Iterable[str] | None = None) -> bool:
        """Whether a data set is what is searched for.

        Args:
            dataset: with all that the query names.
            keywords: look only at keys that begin with one of these; None: at all.
        """
        among = None if keywords is None else frozenset(keywords)
        return all(
            _agrees(dataset, path, value)
            for path, value in self.keys
            if among is None or path[0] in among
        )


def parse(parameters: Sequence[tuple[str, str]]) -> Query:
    """Take a search's parameters apart.

    Raises:
        BadQuery: a parameter that is no attribute, or a bad number.
    """
    keys: list[tuple[tuple[str, ...], str]] = []
    fields: set[str] = set()
    limit, offset, every = None, 0, False
    not_done: list[str] = []
    for name, value in parameters:
        if name == "limit":
            limit = _whole(name, value)
        elif name == "offset":
            offset = _whole(name, value)
        elif name in _NOT_DONE:
            if value.lower() == "true":
                not_done.append(_NOT_DONE[name])
        elif name == "includefield":
            for each in filter(None, value.split(",")):
                every |= each.lower() == "all"
                if each.lower() != "all":
                    fields.add(_path(each)[0])
        elif name not in _FIXED:
            keys.append((_path(name), value))
    names = frozenset(path[0] for path, _ in keys)
    return Query(tuple(keys), frozenset(fields), every, limit, offset, tuple(not_done), names)


def _path(name: str) -> tuple[str, ...]:
    return tuple(_keyword(each) for each in name.split("."))


def _keyword(name: str) -> str:
    if _HEX.fullmatch(name):
        found = keyword_for_tag(int(name, 16))
    else:
        found = name if tag_for_keyword(name) is not None else ""
    if not found or (tag_for_keyword(found) or 0) < _FIRST:
        raise BadQuery(f"{name[:80]!r} is no attribute of DICOM (PS3.6)")
    return found


def _whole(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 9:
        raise BadQuery(f"{name} = {value[:40]!r} is no whole number")
    return int(value)


def _agrees(dataset: Dataset, path: tuple[str, ...], wanted: str) -> bool:
    if not wanted or wanted == '""':
        return True
    value = dataset.get(path[0])
    if isinstance(value, Items):
        return any(_agrees(item, path[1:], wanted) for item in value) if path[1:] else True
    held = _texts(value)
    vr = dictionary_VR(path[-1])
    if vr in _RANGED:
        return any(_in_range(each, wanted) for each in held)
    if vr in _NUMBERS:
        return any(_same_number(each, wanted) for each in held)
    if vr in _EXACT:
        return any(each in re.split(r"[,\\]", wanted) for each in held)
    several = path[-1] in ("ModalitiesInStudy", "Modality")
    choices = re.split(r"[,\\]", wanted) if several else [wanted]
    if vr == "PN":  # names alone are alike in capitals and small letters (C.2.2.2.1)
        held = [part.casefold() for each in held for part in _names(each)]
        choices = [choice.casefold() for choice in choices]
    return any(_like(each, choice) for each in held or [""] for choice in choices)


def _texts(value: Any) -> list[str]:
    if value is None or value == "":
        return []
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [str(each).strip() for each in several]


def _names(name: str) -> list[str]:
    """A name as a whole, and each of its writings (PS3.5 6.2.1.1)."""
    writings = name.split("=")
    return [name, *writings, *(each.rstrip("^") for each in writings)]


def _like(text: str, pattern: str) -> bool:
    # [ is a character like others: only * and ? are wildcards in DICOM
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def _in_range(text: str, wanted: str) -> bool:
    held, asked = _digits(text), _digits(wanted)
    first, dash, last = asked.partition("-")
    if not dash:
        return held.startswith(asked)
    return (not first or held >= first) and (not last or held[: len(last)] <= last)


def _digits(text: str) -> str:
    return re.sub(r"[.:](?=\d\d)", "", text)


def _same_number(text: str, wanted: str) -> bool:
    try:
        return any(float(text) == float(each) for each in wanted.split("\\"))
    except ValueError:
        return False
