"""The inbox's folders, ``root/<study uid>/<series uid>``, and the room that is left for them."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from pacs_bridge.errors import DiskFull

_GIGABYTE = 1_000_000_000
_GOOD_FOR_S = 0.2
"""How long room that was there is believed to be there still."""
_MOST_KNOWN = 10_000


class Shelves:
    """Where objects lie; used by all threads.

    Args:
        root: made when missing.
        minimum_free_gb: with less free space (10^9 bytes) than this left, nothing is taken.
        sync: False leaves it to the disk when what it was given is durable.
    """

    def __init__(self, root: Path, minimum_free_gb: float, *, sync: bool) -> None:
        self.root = root.absolute()
        self.minimum_free_gb = minimum_free_gb
        self.sync = sync
        self._minimum_free = int(minimum_free_gb * _GIGABYTE)
        self._looked_at = 0.0
        self._lock = threading.Lock()
        self._durable: set[Path] = set()
        self.root.mkdir(parents=True, exist_ok=True)

    def series(self, study_uid: str, series_uid: str) -> Path:
        """Where a series' objects belong; both UIDs are checked ones. It may not exist yet."""
        return self.root / study_uid / series_uid

    def make(self, series: Path) -> None:
        """Have a series' folder.

        Raises:
            OSError: it can't be made.
        """
        with self._lock:
            self._durable.discard(series)
        series.mkdir(parents=True, exist_ok=True)

    def settle(self, series: Path) -> None:
        """Make durable what the folder lists, and that it is there itself.

        Raises:
            OSError: it is not.
        """
        _sync(series)
        if series in self._durable:
            return
        _sync(series.parent)
        _sync(self.root)
        with self._lock:
            if len(self._durable) >= _MOST_KNOWN:
                self._durable.clear()
            self._durable.add(series)

    def check_room(self, size: int) -> None:
        """Look whether so many bytes more may be taken; what was seen is good for a moment.

        Raises:
            DiskFull: they may not.
        """
        now = time.monotonic()
        if now - self._looked_at < _GOOD_FOR_S and not size:
            return
        space = os.statvfs(self.root)
        free = space.f_bavail * space.f_frsize
        if free - size < self._minimum_free:
            raise DiskFull(
                f"{free / _GIGABYTE:.1f} GB free in {self.root}, storage.minimum_free_gb = "
                f"{self._minimum_free / _GIGABYTE:g}: nothing more is taken until there is room"
            )
        self._looked_at = now


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
