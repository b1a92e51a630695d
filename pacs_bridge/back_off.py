"""How long to wait before a failure is tried again."""

from __future__ import annotations

from typing import Protocol


class Waits(Protocol):
    """Settings of whatever is tried again."""

    @property
    def first_wait_s(self) -> float:
        """After the first failure."""

    @property
    def longest_wait_s(self) -> float:
        """The wait grows no longer than this."""


def back_off_s(waits: Waits, failures: int) -> float:
    """The wait after so many failures: doubling from ``first_wait_s`` to ``longest_wait_s``."""
    doublings = min(failures - 1, 60)
    return float(min(waits.first_wait_s * 2**doublings, waits.longest_wait_s))
