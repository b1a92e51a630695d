"""The hours of the day at which a rule works, and the days that it asks for; pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta


def open_at(hours: Sequence[str], now: datetime) -> bool:
    """Whether a rule works at a time.

    Args:
        hours: spans as ``19:00-07:00``, which go over midnight where they end before they begin;
            one of equal ends is the whole day; none: always.
        now: by the server's clock.
    """
    minute = now.hour * 60 + now.minute
    return not hours or any(_holds(*_minutes(span), minute) for span in hours)


def date_range(days: int, now: datetime) -> str:
    """StudyDate (DA, range matching, PS3.4 C.2.2.2.5) of so many days with today; 0: any date."""
    if not days:
        return ""
    first = (now - timedelta(days=days - 1)).strftime("%Y%m%d")
    last = now.strftime("%Y%m%d")
    return last if first == last else f"{first}-{last}"


def _minutes(span: str) -> tuple[int, int]:
    first, _, last = span.partition("-")
    return _of_day(first), _of_day(last)


def _of_day(text: str) -> int:
    hour, _, minute = text.partition(":")
    return int(hour) * 60 + int(minute)


def _holds(first: int, last: int, minute: int) -> bool:
    if first == last:
        return True
    if first < last:
        return first <= minute < last
    return minute >= first or minute < last
