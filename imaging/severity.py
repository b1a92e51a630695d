"""How far a notice reaches."""

from __future__ import annotations

from enum import StrEnum


class Severity(StrEnum):
    """How far a notice reaches."""

    WARNING = "warning"
    """A result exists; the reader should weigh it with this in mind."""
    REFUSAL = "refusal"
    """This file, series or study was not used."""
