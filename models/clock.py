"""How long each step of an analysis took."""

from __future__ import annotations

import time


class Clock:
    """Writes down how long each step took, seconds."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self._last = time.perf_counter()

    def lap(self, step: str) -> None:
        """The step that ends now is called ``step``."""
        now = time.perf_counter()
        self._seconds[step] = round(now - self._last, 3)
        self._last = now
