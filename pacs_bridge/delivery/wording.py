"""Text in characters that the receiver can read (PS3.5 6.1, PS3.3 C.12.1.1.2).

An object is converted as a whole, items of sequences too, and read again before it is sent: what
comes back has to be what went in. The one thing that may be left out is the ideographic or
phonetic part of a person's name beside an alphabetic one that fits (PS3.5 6.2.1), and then the
delivery says so; text that fits nowhere is an error, never a row of question marks.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from pacs_bridge.errors import BridgeError

_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))  # the VRs of PS3.5 6.1.2.3
_ASCII = "ISO_IR 6"
_DAMAGED = "\N{REPLACEMENT CHARACTER}"


class Unfit(BridgeError):
    """The receiver can't read the object's text; the message names element, value and remedy."""


@dataclass(frozen=True)
class Fitted:
    """An object as a receiver can read it."""

    source: Path | Dataset
    """The file itself where nothing had to change."""
    note: str = ""
    """What changed, for the audit trail."""


def fit(path: Path, character_sets: Sequence[str]) -> Fitted:
    """The object in the first of the character sets that holds its text.

    Args:
        path: a DICOM file.
        character_sets: as ``DestinationSettings.character_sets``; empty: anything goes.

    Raises:
        Unfit: its text fits none of them, or is not what its own character set allows.
        OSError, InvalidDicomError: the file can't be read.
    """
    if not character_sets:
        return Fitted(path)
    dataset = dcmread(path)
    declared = _declared(dataset) or _ASCII
    _decode(dataset)
    texts = [_text(element) for element in _text_elements(dataset)]
    if declared == _ASCII and not all(text.isascii() for text in texts):
        raise Unfit(f"{path.name} declares no SpecificCharacterSet (0008,0005), and has other text")
    for element in _text_elements(dataset):
        if _DAMAGED in _text(element):
            raise Unfit(f"{_named(element)} is damaged: it is no text in {declared}")
    if declared in character_sets or declared == _ASCII:
        return Fitted(path)
    for character_set in character_sets:
        if all(_holds(character_set, text) for text in texts):
            return Fitted(_written(dataset, character_set), f"text converted to {character_set}")
    # Only a set that holds all but names is left.
    for character_set in character_sets:
        shorter = [
            element for element in _text_elements(dataset)
            if not _holds(character_set, _text(element))
        ]  # fmt: skip
        if all(_shortened(element, character_set) is not None for element in shorter):
            for element in shorter:
                element.value = _shortened(element, character_set)
            left_out = ", ".join(dict.fromkeys(_keyword(element) for element in shorter))
            return Fitted(
                _written(dataset, character_set),
                f"text converted to {character_set}; of {left_out} the part that is not "
                "alphabetic was left out",
            )
    worst = next(e for e in _text_elements(dataset) if not _holds(character_sets[0], _text(e)))
    raise Unfit(
        f"{_named(worst)} can't be written in {' or '.join(character_sets)}. Add a set that the "
        "destination reads and that holds it to `character_sets`, or set report_language"
    )


def _declared(dataset: Dataset) -> str:
    value = dataset.get("SpecificCharacterSet") or ""
    return value if isinstance(value, str) else "\\".join(str(term) for term in value)


def _decode(dataset: Dataset) -> None:
    # Item by item: an item's own character set (PS3.3 C.12.1.1.2) goes over its parent's.
    dataset.decode()
    for element in _elements(dataset):
        for item in element.value if element.VR == "SQ" else ():
            item.pop("SpecificCharacterSet", None)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset:
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)


def _text_elements(dataset: Dataset) -> Iterator[DataElement]:
    return (element for element in _elements(dataset) if element.VR in _TEXT)


def _text(element: DataElement) -> str:
    value = element.value
    if value is None:
        return ""
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes | PersonName)
    return "\\".join(str(each) for each in value) if several else str(value)


def _holds(character_set: str, text: str) -> bool:
    if text.isascii():
        return True
    if character_set == _ASCII:
        return False
    codecs = convert_encodings(character_set.split("\\"))
    if len(codecs) == 1:
        try:
            return text.encode(codecs[0]).decode(codecs[0]) == text
        except UnicodeError:
            return False
    # Code extensions begin anew after each of these (PS3.5 6.1.2.5.3); what no set of them holds
    # comes back as question marks.
    parts = re.split(r"[\\^=\r\n\t\f]", text)
    return all(decode_bytes(encode_string(part, codecs), codecs, set()) == part for part in parts)


def _shortened(element: DataElement, character_set: str) -> PersonName | list[PersonName] | None:
    """A name without the groups that do not fit; None where that leaves no name."""
    if element.VR != "PN":
        return None
    several = not isinstance(element.value, PersonName)
    kept = []
    for name in element.value if several else (element.value,):
        groups = str(name).split("=")
        if not groups[0] or not _holds(character_set, groups[0]):
            return None
        fitting = [group if _holds(character_set, group) else "" for group in groups]
        kept.append(PersonName("=".join(fitting).rstrip("=")))
    return kept if several else kept[0]


def _written(dataset: Dataset, character_set: str) -> Dataset:
    """The data set in another character set, as it reads after it was written."""
    terms = character_set.split("\\")
    if character_set == _ASCII:  # the default repertoire, which is not named (PS3.3 C.12.1.1.2)
        dataset.pop("SpecificCharacterSet", None)
    else:
        dataset.SpecificCharacterSet = terms if len(terms) > 1 else character_set
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    written = dcmread(buffer)
    again = dcmread(io.BytesIO(buffer.getvalue()))
    again.decode()
    pairs = zip(_text_elements(dataset), _text_elements(again), strict=True)
    for element, read in pairs:
        if _text(element) != _text(read):
            raise Unfit(f"{_named(element)} does not come back from {character_set} as it was")
    return written


def _keyword(element: DataElement) -> str:
    return element.keyword or str(element.tag)


def _named(element: DataElement) -> str:
    return f"{_keyword(element)} {element.tag} = {_text(element)[:64]!r}"
