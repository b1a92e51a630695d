"""The warm models of a process: who uses them, and which leave when memory is short."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable
from itertools import count

from models.engine import footprint
from models.engine.footprint import MemoryState
from models.engine.warm import WarmModel

log = logging.getLogger(__name__)


class Pool:
    """Loaded models. The least recently used leave; one that is used never does.

    Args:
        most: models kept at the same time, unless more are in use.
        ceiling: bytes of this process above which idle models leave.
        least_free: bytes of the machine's memory below which they leave, too.
        process_bytes: what this process takes.
        host_memory: what the machine has; None: can't be told.
    """

    def __init__(
        self,
        most: int,
        ceiling: int,
        least_free: int,
        process_bytes: Callable[[], int],
        host_memory: Callable[[], MemoryState | None],
    ) -> None:
        self._most = most
        self._ceiling = ceiling
        self._least_free = least_free
        self._process_bytes = process_bytes
        self._host_memory = host_memory
        self._lock = threading.Lock()
        self._models: dict[WarmModel, bool] = {}  # whether it leaves
        self._clock = count(1)
        self._evictions: Counter[str] = Counter()
        self._closed = False

    @property
    def evictions(self) -> Counter[str]:
        """How often a model of a name left because memory was short."""
        with self._lock:
            return Counter(self._evictions)

    def leaving(self, name: str) -> list[WarmModel]:
        """Versions of a model that studies in flight finish on."""
        with self._lock:
            return [w for w, leaves in self._models.items() if leaves and w.name == name]

    def holds(self, warm: WarmModel) -> bool:
        """Whether it is here and may be taken."""
        with self._lock:
            return self._models.get(warm) is False and warm.usable

    def adopt(self, warm: WarmModel, users: int = 0) -> bool:
        """Keep a model that was just loaded; False: the pool is closed, and so is the model.

        Args:
            warm: not in the pool yet.
            users: studies that use it from the start, so that it isn't gone before they come.
        """
        with self._lock:
            closed = self._closed
            if not closed:
                self._models[warm] = False
                warm.users = users
                warm.last_used = next(self._clock)
        if closed:
            warm.close()
        return not closed

    def take(self, warm: WarmModel) -> bool:
        """One user more; False: it is gone or leaves, load it again."""
        with self._lock:
            if self._models.get(warm) is not False or not warm.usable:
                return False
            warm.users += 1
            warm.last_used = next(self._clock)
            return True

    def give_back(self, warm: WarmModel) -> None:
        """One user less; the last one of a model that leaves closes it."""
        with self._lock:
            warm.users -= 1
            done = not warm.users and self._models.get(warm) is True
            if done:
                del self._models[warm]
        if done:
            self._close(warm)
        self.trim(but=warm)

    def retire(self, warm: WarmModel) -> None:
        """Nobody takes it any more; it is closed when the last study has finished on it."""
        with self._lock:
            if warm not in self._models:
                return
            self._models[warm] = True
            if warm.users:
                return
            del self._models[warm]
        self._close(warm)

    def evict(self, device: str | None = None, but: WarmModel | None = None) -> bool:
        """The least recently used idle model leaves; False: there is none.

        Args:
            device: only one that has a network there.
            but: not this one.
        """
        with self._lock:
            idle = [
                warm
                for warm, leaves in self._models.items()
                if not warm.users and not leaves and warm is not but
                and (device is None or device in warm.devices)
            ]  # fmt: skip
            if not idle:
                return False
            oldest = min(idle, key=lambda warm: warm.last_used)
            del self._models[oldest]
            self._evictions[oldest.name] += 1
        log.info("model %s leaves: memory or places are short", oldest.name)
        self._close(oldest)
        return True

    def make_place(self) -> None:
        """Before one more model is loaded: idle ones leave until there is place for it."""
        while len(self._models) >= self._most and self.evict():
            pass
        self.trim()

    def trim(self, but: WarmModel | None = None) -> None:
        """Idle models leave while memory is short."""
        while self._short() and self.evict(but=but):
            pass

    def close(self) -> None:
        """Close every model, those in use too: their studies get ``SessionClosed``."""
        with self._lock:
            self._closed = True
            models = list(self._models)
            self._models.clear()
        self._close(*models)

    def _short(self) -> bool:
        if self._process_bytes() > self._ceiling:
            return True
        host = self._host_memory()
        return host is not None and host.available < self._least_free

    def _close(self, *models: WarmModel) -> None:
        for warm in models:  # all at once: none waits for another's last batch
            warm.stop()
        for warm in models:
            warm.close()
        if models:
            footprint.return_to_system()
