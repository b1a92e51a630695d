"""Coded words of workitems (DICOM's own codes, PS3.16 CID 9231, 9300, 9301)."""

from __future__ import annotations

from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

UNSPECIFIED = ("110513", "DCM", "Discontinued for unspecified reason")
FAILURE = ("110501", "DCM", "Equipment failure")
NOT_SUPPORTED = ("110522", "DCM", "Object Types not supported")
INCOMPLETE = ("110523", "DCM", "Object Set incomplete")
DETECTION = ("110004", "DCM", "Computer Aided Detection")

Word = tuple[str, str, str]
"""Code value, coding scheme designator, code meaning."""


def coded(*words: Word) -> Sequence:
    """A code sequence."""
    return Sequence([_item(word) for word in words])


def codes_in(sequence: Sequence | None) -> set[tuple[str, str]]:
    """Code value and scheme of each item of a code sequence."""
    return {
        (
            str(item.get("CodeValue") or item.get("LongCodeValue") or ""),
            str(item.get("CodingSchemeDesignator") or ""),
        )
        for item in sequence or ()
    }


def now() -> str:
    """The time as a DT with its offset from UTC."""
    return datetime.now().astimezone().strftime("%Y%m%d%H%M%S%z")


def _item(word: Word) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = word
    return item
