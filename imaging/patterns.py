"""Regular expressions on descriptions, of rules and our own: capitals or not, anywhere in them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator


def holds(pattern: str, text: str) -> bool:
    """Whether a text holds a pattern."""
    return re.search(pattern, text, re.IGNORECASE) is not None


def one_of(*patterns: str) -> re.Pattern[str]:
    """What holds where any of several does."""
    return re.compile("|".join(patterns), re.IGNORECASE)


def _compiles(value: str) -> str:
    try:
        re.compile(value, re.IGNORECASE)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression: {error}") from error
    return value


Pattern = Annotated[str, AfterValidator(_compiles)]
"""A field that holds one; empty: whatever there is."""
