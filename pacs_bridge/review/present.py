"""How values look on the page: names, dates, ages, sizes."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from imaging.language import Language
from pacs_bridge.review.labels import label

_CJK = re.compile(r"[\u2e80-\u9fff\uac00-\ud7af]")


def person_name(pn: str) -> str:
    """A DICOM PN (PS3.5 6.2.1.2) for people: ``ZHANG^SAN=张^三`` as ``ZHANG San`` would be read.

    The groups are separated by a dot, ideographic ones first, their parts not spaced.
    """
    groups: list[str] = []
    for group in pn.split("="):
        parts = [part.strip() for part in group.split("^") if part.strip()]
        joint = "" if parts and all(_CJK.search(part) for part in parts) else " "
        text = joint.join(parts)
        if text and text not in groups:
            groups.append(text)
    return " · ".join(sorted(groups, key=lambda group: not _CJK.search(group)))


def dicom_date(da: str) -> str:
    """``20260115`` as ``2026-01-15``; anything else as it stands."""
    return f"{da[:4]}-{da[4:6]}-{da[6:]}" if re.fullmatch(r"\d{8}", da) else da


def moment(at: float | datetime | None) -> str:
    """A time in the server's own time zone, to the second."""
    if at is None:
        return ""
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso(at: float | datetime) -> str:
    """The same time for machines."""
    if not isinstance(at, datetime):
        at = datetime.fromtimestamp(at, UTC)
    return at.astimezone().isoformat(timespec="seconds")


def span(at: float, language: Language) -> str:
    """How long ago (or ahead) a time is, in its largest unit."""
    seconds = abs(time.time() - at)
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size:
            return label(unit, language, n=int(seconds // size))
    return label("seconds", language, n=int(seconds))


def duration(seconds: float, language: Language) -> str:
    """How long something takes or took, in its two largest units."""
    left = int(seconds)
    parts: list[str] = []
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60), ("seconds", 1)):
        if left >= size or (size == 1 and not parts):
            parts.append(label(unit, language, n=left // size))
            left %= size
    return " ".join(parts[:2])


def memory(count: int) -> str:
    """Bytes in MB, from 1 GB on in GB."""
    return f"{count / 1e6:,.0f} MB" if count < 1e9 else f"{count / 1e9:,.1f} GB"
