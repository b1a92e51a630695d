"""What a listener works with, whichever data path takes the objects in."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pacs_bridge.dimse.accepted import Door
from pacs_bridge.dimse.normalised import Normalised
from pacs_bridge.dimse.services import Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance


class House:
    """The listener's side of every conversation; used by all its threads.

    Args:
        settings: AE title, rules and limits.
        inbox: where objects are kept.
        on_stored: called for every object kept, before the sender is told success.
        services: what else is answered, of DIMSE-N.
        door: who may enter.
    """

    def __init__(
        self,
        settings: ListenerSettings,
        inbox: Inbox,
        on_stored: Callable[[Instance], None],
        services: Sequence[Service],
        door: Door,
    ) -> None:
        self.settings = settings
        self.inbox = inbox
        self.on_stored = on_stored
        self.services = tuple(services)
        self.normalised = Normalised(services)
        self.door = door
        self._busy = 0
        self._quiet = threading.Condition()
        # pydicom logs what it warns of; Python would remember each such text for ever
        warnings.filterwarnings("ignore", message="Invalid value for VR", category=UserWarning)

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
