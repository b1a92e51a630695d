"""The models that the settings name, as they stand on disk now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from models.engine.changes import FolderState, look_at
from models.errors import SpecError
from models.spec import ModelSpec, find_spec
from pacs_bridge.settings import Settings
from pacs_bridge.workers.state import EnabledModel

log = logging.getLogger(__name__)

LOOK_S = 5.0


class ModelWatch:
    """Descriptions of the enabled and the shadow models, looked at again and again.

    A description that becomes unusable leaves the last usable one in force.

    Args:
        settings: its ``models`` name them.
        changed: called, in a thread of this watch, when a folder has changed.

    Raises:
        SpecError: one of them can't be used.
    """

    def __init__(self, settings: Settings, changed: Callable[[], None] = lambda: None) -> None:
        self._enabled = settings.models.enabled
        self._shadow = settings.models.shadow
        self._rules = settings.series_rules
        self._folders = tuple(folder.absolute() for folder in settings.model_folders)
        self._changed = changed
        self._lock = threading.Lock()
        self._problems: dict[str, str] = {}
        self._specs = {name: find_spec(name, self._folders) for name in self._names}
        self._seen = self._look()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="models", daemon=True)

    @property
    def _names(self) -> tuple[str, ...]:
        return (*self._enabled, *self._shadow)

    @property
    def enabled(self) -> tuple[ModelSpec, ...]:
        """Those that report, in the settings' order."""
        with self._lock:
            return tuple(self._specs[name].at_site(self._rules) for name in self._enabled)

    @property
    def all(self) -> tuple[ModelSpec, ...]:
        """Those that report, and the shadows."""
        with self._lock:
            return tuple(self._specs[name].at_site(self._rules) for name in self._names)

    def state(self) -> tuple[EnabledModel, ...]:
        """All of them, for the page."""
        with self._lock:
            return tuple(
                EnabledModel(
                    name=name,
                    version=self._specs[name].version,
                    title=self._specs[name].title,
                    reports=name in self._enabled,
                    problem=self._problems.get(name, ""),
                )
                for name in self._names
            )

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def refresh(self) -> None:
        """Read all descriptions anew."""
        for name in self._names:
            try:
                spec = find_spec(name, self._folders)
            except SpecError as error:
                with self._lock:
                    told, self._problems[name] = self._problems.get(name), str(error)
                if told != str(error):
                    log.error("model %s: going on with the version in use: %s", name, error)
                continue
            with self._lock:
                self._problems.pop(name, None)
                if spec != self._specs[name]:
                    log.info("model %s: version %s from now on", name, spec.version)
                self._specs[name] = spec

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            now = self._look()
            if now != self._seen:
                self._seen = now
                self.refresh()
                self._changed()

    def _look(self) -> dict[Path, FolderState]:
        """Every folder a model of ours lies in, or could lie in first."""
        places = [folder / name for folder in self._folders for name in self._names]
        with self._lock:
            places += [spec.folder for spec in self._specs.values()]
        return {place: look_at(place) for place in dict.fromkeys(places) if place.is_dir()}
