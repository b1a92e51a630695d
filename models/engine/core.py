"""Models kept warm and shared by the studies in flight; one engine to a process.

Threads share it. Loading, replacing and closing happen outside its lock, one load at a time.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from models.engine import footprint
from models.engine.batcher import BatcherOptions
from models.engine.changes import FolderState, look_at
from models.engine.footprint import MemoryState
from models.engine.memory import MemoryBudget, Reservation
from models.engine.pool import Pool
from models.engine.room import Room
from models.engine.settings import EngineSettings
from models.engine.status import EngineStatus, ModelState, ModelStatus, VersionStatus
from models.engine.warm import InUse, WarmModel
from models.errors import ModelError, OutOfMemory, SessionClosed, SpecError
from models.loaded import LoadedModel
from models.spec import ModelSpec, check_usable, read_spec

log = logging.getLogger(__name__)

__all__ = ["Engine", "EngineSettings"]

MEMORY_UNKNOWN = 8 * 2**30
"""Taken for the machine's memory where it can't be told."""


@dataclass
class _Entry:
    """A model that the engine knows; ``described`` and ``seen`` are its folder's states."""

    spec: ModelSpec
    described: str
    seen: FolderState
    warm: WarmModel | None = None
    loading: bool = False
    loads: int = 0
    failures: int = 0
    failure: str = ""


class Engine:
    """Keeps models warm and lets studies use them; a context manager that closes it.

    Args:
        settings: see there.
        loader: loads a model; its ``OutOfMemory`` makes idle models leave, and it is asked again.
        process_bytes: what this process takes.
        host_memory: what the machine has; None: can't be told.

    Attributes:
        budget: host memory of the studies in flight.
    """

    def __init__(
        self,
        settings: EngineSettings,
        loader: Callable[[ModelSpec], LoadedModel],
        *,
        process_bytes: Callable[[], int] = footprint.process_bytes,
        host_memory: Callable[[], MemoryState | None] = footprint.host_memory,
    ) -> None:
        self.settings = settings
        self._loader = loader
        self._process_bytes = process_bytes
        self._host_memory = host_memory
        host = host_memory()
        total = host.total if host else MEMORY_UNKNOWN
        ceiling = settings.memory_bytes or total // 2
        self.budget = MemoryBudget(
            max(1, ceiling // 2), host.total if host else None, settings.patience
        )
        self._pool = Pool(
            settings.most_models,
            ceiling,
            settings.minimum_free_bytes or total // 20,
            process_bytes,
            host_memory,
        )
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._entries: dict[str, _Entry] = {}
        self._rooms: dict[str, Room] = {}
        self._closed = False

    @property
    def names(self) -> tuple[str, ...]:
        """The models it knows."""
        with self._lock:
            return tuple(self._entries)

    def spec(self, name: str) -> ModelSpec:
        """The present version's; a study that is planned now may be read by a newer one.

        Raises:
            SpecError: no model of that name is known.
        """
        return self._entry(name).spec

    def add(self, spec: ModelSpec) -> None:
        """Know a model; the first study that needs it loads it.

        Raises:
            ValueError: a model of that name is known; :meth:`replace` it.
        """
        seen = look_at(spec.folder)
        with self._lock:
            if spec.name in self._entries:
                raise ValueError(f"model {spec.name} is known already; replace it")
            self._entries[spec.name] = _Entry(spec, seen.described, seen)

    def load(self, spec: ModelSpec) -> None:
        """Know a model and load it now.

        Raises:
            ModelError: it can't be loaded; it is known all the same.
            ValueError: a model of that name is known.
        """
        self.add(spec)
        self._pool.give_back(self._take(spec.name))

    def replace(self, spec: ModelSpec) -> None:
        """Swap a new version in: loaded first, used by the studies that begin from then on.

        Studies in flight finish on the old version, which is closed with the last of them.

        Raises:
            ModelError: the new version can't be loaded; the old one stays.
            SpecError: no model of that name is known.
        """
        with self._loading:
            entry = self._entry(spec.name)
            described = look_at(spec.folder).described
            new = self._open(entry, spec, users=0)
            with self._lock:
                old, entry.warm = entry.warm, new
                entry.spec, entry.described = spec, described
        if old is not None:
            self._pool.retire(old)
        log.info("model %s: version %s is used from now on", spec.name, spec.version)

    def remove(self, name: str) -> None:
        """Forget a model; studies in flight finish on it.

        Raises:
            SpecError: no model of that name is known.
        """
        with self._loading:
            entry = self._entry(name)
            with self._lock:
                del self._entries[name]
        if entry.warm is not None:
            self._pool.retire(entry.warm)

    def refresh(self) -> tuple[str, ...]:
        """Look at the models' folders and swap in what has changed; returns their names.

        A folder that can't be used leaves the version in use as it is; the failure is logged
        and shown by :meth:`status`, and tried again when the folder changes again.
        """
        return tuple(name for name in self.names if self._refresh(name))

    @contextmanager
    def use(
        self, name: str, study: str, urgent: bool = False, *, shadow: bool = False
    ) -> Iterator[InUse]:
        """A model for one study, for as long as the block runs; loaded when it isn't warm.

        Args:
            name: a model that was added or loaded.
            study: for messages.
            urgent: its patches go first.
            shadow: its patches go last: a model that runs without reporting.

        Raises:
            SpecError: no model of that name is known, or its folder can't be used.
            ModelError: it can't be loaded.
            SessionClosed: the engine is closed.
        """
        warm = self._take(name)
        try:
            use = warm.open(study, urgent, shadow)
            try:
                yield use
            finally:
                for session in use.sessions:
                    session.close()
        finally:
            self._pool.give_back(warm)

    def reserve(
        self, needed: int, study: str = "", urgent: bool = False, *, shadow: bool = False
    ) -> AbstractContextManager[Reservation]:
        """Host memory for a study in flight; see :meth:`MemoryBudget.reserve`."""
        return self.budget.reserve(needed, study, urgent, shadow=shadow)

    def status(self) -> EngineStatus:
        """What there is and what was done."""
        with self._lock:
            models = list(self._entries.items())
            devices = sorted(self._rooms)
        memory = {device: footprint.device_memory(device) for device in devices}
        return EngineStatus(
            models=tuple(self._status(name, entry) for name, entry in models),
            process_bytes=self._process_bytes(),
            host=self._host_memory(),
            devices={device: state for device, state in memory.items() if state is not None},
            budget_bytes=self.budget.limit,
            reserved_bytes=self.budget.used,
            studies_waiting=self.budget.waiting,
        )

    def close(self) -> None:
        """Stop everything; studies in flight get ``SessionClosed``."""
        with self._lock:
            self._closed = True
        self.budget.close()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _entry(self, name: str) -> _Entry:
        with self._lock:
            if self._closed:
                raise SessionClosed("the engine was stopped")
            entry = self._entries.get(name)
            if entry is None:
                known = ", ".join(sorted(self._entries)) or "none"
                raise SpecError(f"no model called {name!r} is enabled; there are: {known}")
            return entry

    def _take(self, name: str) -> WarmModel:
        """The present version, with one user more."""
        while True:
            entry = self._entry(name)
            warm = entry.warm
            if warm is not None and self._pool.take(warm):
                return warm
            with self._loading:
                if entry.warm is warm and self._entry(name) is entry:  # not loaded meanwhile
                    entry.warm = new = self._open(entry, entry.spec, users=1)
                    return new

    def _open(self, entry: _Entry, spec: ModelSpec, users: int) -> WarmModel:
        """Load a version; idle models leave for it. ``_loading`` is held."""
        entry.loading = True
        try:
            self._pool.make_place()
            model = self._load(spec)
        except ModelError as error:
            entry.failures += 1
            entry.failure = str(error)
            raise
        finally:
            entry.loading = False
        entry.loads += 1
        entry.failure = ""
        maximum = spec.runtime.maximum_batch
        new = WarmModel(
            model, lambda device: self._options(maximum, device), self._room, self._make_room
        )
        if not self._pool.adopt(new, users):
            raise SessionClosed("the engine was stopped")
        return new

    def _load(self, spec: ModelSpec) -> LoadedModel:
        while True:
            try:
                return self._loader(spec)
            except (OutOfMemory, MemoryError) as error:
                if self._pool.evict():
                    continue
                if isinstance(error, MemoryError):
                    raise OutOfMemory(f"model {spec.name}: no host memory: {error}") from error
                raise
            except ModelError:
                raise
            except Exception as error:  # a bundle's own code raises anything; named here
                raise SpecError(
                    f"model {spec.name}: can't be loaded: {type(error).__name__}: {error}"
                ) from error

    def _make_room(self, warm: WarmModel, device: str) -> bool:
        """A batch found no memory on the device: an idle model there leaves."""
        return self._pool.evict(device, but=warm)

    def _refresh(self, name: str) -> bool:
        try:
            entry = self._entry(name)
            seen = look_at(entry.spec.folder)
            if seen == entry.seen:
                return False
            entry.seen = seen
            spec = read_spec(entry.spec.folder)
            check_usable(spec)
            if spec == entry.spec and seen.described == entry.described:
                return False
            if entry.warm is not None and self._pool.holds(entry.warm):
                self.replace(spec)
            else:
                with self._loading:
                    entry.spec, entry.described = spec, seen.described
        except ModelError as error:
            log.error("model %s: the change of its folder is not used: %s", name, error)
            entry.failure = str(error)
            return False
        return True

    def _room(self, device: str) -> Room:
        with self._lock:
            if device not in self._rooms:
                cpu = device == "cpu"
                places = self.settings.cpu_batches if cpu else self.settings.gpu_batches
                self._rooms[device] = Room(places, self.settings.patience)
            return self._rooms[device]

    def _options(self, maximum_batch: int, device: str) -> BatcherOptions:
        settings = self.settings
        return BatcherOptions(
            maximum_batch=maximum_batch,
            maximum_wait_s=settings.batch_wait_s,
            batch_voxels=settings.cpu_batch_voxels if device == "cpu" else 0,
            most_waiting=settings.most_waiting,
            most_waiting_bytes=settings.most_waiting_bytes,
            patience=settings.patience,
        )

    def _status(self, name: str, entry: _Entry) -> ModelStatus:
        versions = []
        warm = entry.warm
        if warm is not None and self._pool.holds(warm):
            versions.append(warm.status(ModelState.WARM))
        else:
            cold = ModelState.FAILED if entry.failure else ModelState.COLD
            state = ModelState.LOADING if entry.loading else cold
            versions.append(VersionStatus(version=entry.spec.version, state=state))
        versions += [old.status(ModelState.LEAVING) for old in self._pool.leaving(name)]
        return ModelStatus(
            name=name,
            versions=tuple(versions),
            loads=entry.loads,
            evictions=self._pool.evictions[name],
            failures=entry.failures,
            failure=entry.failure,
        )
