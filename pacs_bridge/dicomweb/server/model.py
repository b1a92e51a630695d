"""DICOM JSON (PS3.18 annex F) of data sets, large values left to be fetched (BulkDataURI)."""

from __future__ import annotations

import base64
import json
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

from pacs_bridge.dicomweb.server.reading import read

_log = logging.getLogger(__name__)

LARGEST_VALUE = 1024
"""Bytes of a binary value that stands in the metadata itself."""
_BINARY = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_CHARACTER_SET = Tag("SpecificCharacterSet")
PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def encoded(datasets: Iterable[dict[str, Any]]) -> bytes:
    """A list of them as application/dicom+json."""
    return json.dumps(list(datasets), ensure_ascii=False, separators=(",", ":")).encode()


def as_json(dataset: Dataset, bulk_url: str = "") -> dict[str, Any]:
    """A data set as DICOM JSON.

    Args:
        dataset: file meta information is left out.
        bulk_url: large values are found under it, by tags and item numbers; empty: they are
            left out.
    """
    return _items(dataset, bulk_url)


def metadata_of(path: Path, bulk_url: str) -> dict[str, Any]:
    """All of a file but what is large.

    Raises:
        OSError, Unreadable: it can't be read.
    """
    with path.open("rb") as file:
        dataset = read(file)
        syntax = dataset.file_meta.get("TransferSyntaxUID")
        told = as_json(dataset, bulk_url)
        if "Rows" in dataset and file.read(4):
            told["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{bulk_url}/7FE00010"}
    if syntax:
        told["00083002"] = {"vr": "UI", "Value": [str(syntax)]}  # AvailableTransferSyntaxUID
    return dict(sorted(told.items()))


def value_at(dataset: Dataset, place: str) -> bytes:
    """The value that a BulkDataURI names.

    Args:
        dataset: that the metadata was made of.
        place: tags and item numbers, as ``00081140/0/00091010``.

    Raises:
        LookupError: there is no such value.
    """
    steps = place.split("/")
    try:
        for tag, item in zip(steps[:-1:2], steps[1:-1:2], strict=True):
            dataset = dataset[Tag(tag)].value[int(item)]
        value = dataset[Tag(steps[-1])].value
    except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
        raise LookupError(f"no value at {place[:80]}") from error
    if not isinstance(value, bytes):
        raise LookupError(f"{place[:80]} is not binary")
    return value


def _items(dataset: Dataset, url: str) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        if tag.group == 0x0002 or tag in PIXELS:
            continue
        name = f"{tag:08X}"
        if tag == _CHARACTER_SET:  # JSON is in UTF-8 (F.2), whatever the object is in
            told[name] = {"vr": "CS", "Value": ["ISO_IR 192"]}
            continue
        try:
            told[name] = _told(dataset, tag, f"{url}/{name}" if url else "")
        except _Damaged as error:  # told of without a value; the object itself still has it
            _log.warning("%s can't be shown as JSON: %s", tag, error)
            told[name] = {"vr": "UN"}
    return told


class _Damaged(Exception):
    """A value that can't be read."""


def _told(dataset: Dataset, tag: BaseTag, url: str) -> dict[str, Any]:
    try:
        return _element(dataset[tag], url)
    except Exception as error:
        # Nothing narrower: pydicom raises anything over a damaged value.
        raise _Damaged(str(error)) from error


def _element(element: DataElement, url: str) -> dict[str, Any]:
    if element.VR == "SQ":
        items = [
            _items(item, f"{url}/{number}" if url else "")
            for number, item in enumerate(element.value or ())
        ]
        return {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    if element.VR in _BINARY:
        value = element.value
        if not value:
            return {"vr": element.VR}
        if isinstance(value, bytes) and len(value) <= LARGEST_VALUE:
            return {"vr": element.VR, "InlineBinary": base64.b64encode(value).decode()}
        return {"vr": element.VR, "BulkDataURI": url} if url else {"vr": element.VR}
    told: dict[str, Any] = element.to_json_dict(None, LARGEST_VALUE)
    if "Value" in told:
        told["Value"] = [_finite(each) for each in told["Value"]]
    return told


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
