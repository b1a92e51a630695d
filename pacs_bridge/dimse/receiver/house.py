"""What every association of a listener works with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pacs_bridge.dimse.accepted import Door
from pacs_bridge.dimse.normalised import Normalised
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance


class House:
    """The listener's side of a conversation; used by all its threads.

    Args:
        settings: AE title, rules and limits.
        inbox: where objects are kept.
        on_stored: called for every object kept, before the sender is told success.
        normalised: answers DIMSE-N.
        door: who may enter.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        inbox: Inbox,
        on_stored: Callable[[Instance], None],
        normalised: Normalised,
        door: Door,
    ) -> None:
        self.settings = settings
        self.inbox = inbox
        self.on_stored = on_stored
        self.normalised = normalised
        self.door = door
        self._busy = 0
        self._quiet = threading.Condition()

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Something is being kept or answered, which a stop waits for."""
        with self._quiet:
            self._busy += 1
        try:
            yield
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()

    def wait_until_quiet(self, seconds: float) -> None:
        """Until nothing is being kept, at most so long."""
        until = time.monotonic() + seconds
        with self._quiet:
            while self._busy and (left := until - time.monotonic()) > 0:
                self._quiet.wait(left)
