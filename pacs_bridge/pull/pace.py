"""How fast images may be asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Pace:
    """No more than so many images a minute, however many threads ask; safe to share.

    What was asked for is paid for afterwards: a request of 60 images at 60 a minute is let go at
    once, the next one a minute later. So a request larger than a minute's worth is possible.

    Args:
        images_a_minute: 0: no limit.
        clock: monotonic seconds.
    """

    def __init__(self, images_a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 60.0 / images_a_minute if images_a_minute else 0.0
        self._clock = clock
        self._free_at = clock()
        self._lock = threading.Lock()

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all."""
        return self._seconds_each > 0

    @property
    def images_a_request(self) -> int:
        """Images to ask for in one request, so that a pause is never longer than some seconds."""
        return max(1, int(10.0 / self._seconds_each)) if self.limited else 0

    def reserve(self, images: int) -> float:
        """Take the right to ask for so many; the seconds to wait before it is done."""
        with self._lock:
            now = self._clock()
            wait = max(0.0, self._free_at - now)
            self._free_at = max(now, self._free_at) + images * self._seconds_each
            return wait
