"""The engine of one worker, filled with the models that the settings name."""

from __future__ import annotations

from contextlib import AbstractContextManager

from models.engine.core import Engine, EngineSettings
from models.engine.status import EngineStatus
from models.engine.turns import Priority
from models.engine.warm import InUse
from models.errors import ModelError
from models.loaded import LoadedModel, load_model
from models.spec import ModelSpec, check_research, find_spec
from pacs_bridge.workers.messages import StudyTask
from pacs_bridge.workers.setup import Setup


class WarmModels:
    """Every enabled and shadow model of a worker; see :class:`pacs_bridge.workers.task.Models`.

    Args:
        setup: which models, from which folders, run how.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        settings = EngineSettings(memory_bytes=setup.memory_bytes, batch_wait_s=setup.batch_wait_s)
        self._engine = Engine(settings, self._load)

    def _load(self, spec: ModelSpec) -> LoadedModel:
        setup = self._setup
        return load_model(
            spec.at_site(setup.series_rules),
            runtime=setup.runtime,
            device=setup.device,
            precision=setup.precision,
            threads=setup.threads,
        )

    @property
    def enabled(self) -> tuple[str, ...]:
        """Those that report."""
        return self._setup.enabled

    @property
    def research(self) -> tuple[str, ...]:
        """Those whose research maps are shown."""
        return self._setup.research

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return (*self._setup.enabled, *self._setup.shadow)

    @property
    def device(self) -> str:
        """Where the networks run; of several places, one that is not the CPU."""
        places = [
            network.device
            for model in self._engine.status().models
            for version in model.versions
            for network in version.networks
        ]
        return next((place for place in places if place != "cpu"), "cpu")

    def load(self) -> dict[str, ModelError]:
        """Load every model; why some could not be, by name."""
        return self.refresh()

    def refresh(self) -> dict[str, ModelError]:
        """Take up what is new on disk; why some could not be, by name.

        A model that was in use stays as it was where its new version can't be used.
        """
        failures: dict[str, ModelError] = {}
        self._engine.refresh()
        for name in self.names:
            try:
                spec = find_spec(name, self._setup.folders)
                if name in self.research:
                    check_research(spec)
                if name not in self._engine.names:
                    self._engine.load(spec)
                elif self._engine.spec(name).folder != spec.folder:
                    # A folder that is looked at earlier has the model now, or has it no more.
                    self._engine.replace(spec)
            except ModelError as error:
                failures[name] = error
        return failures

    def spec(self, name: str) -> ModelSpec:
        """The version in use.

        Raises:
            SpecError: it can't be used, and why.
        """
        if name not in self._engine.names:
            spec = find_spec(name, self._setup.folders)
        else:
            spec = self._engine.spec(name)
        return spec.at_site(self._setup.series_rules)

    def use(self, name: str, task: StudyTask) -> AbstractContextManager[InUse]:
        """See :meth:`models.engine.core.Engine.use`."""
        return self._engine.use(
            name, task.study_uid, _urgent(task), shadow=task.priority is Priority.SHADOW
        )

    def reserve(self, needed: int, task: StudyTask) -> AbstractContextManager[object]:
        """See :meth:`models.engine.core.Engine.reserve`."""
        return self._engine.reserve(
            needed, task.study_uid, _urgent(task), shadow=task.priority is Priority.SHADOW
        )

    def status(self) -> EngineStatus:
        """What is warm, what waits, what was done."""
        return self._engine.status()

    def close(self) -> None:
        """Close every model."""
        self._engine.close()


def _urgent(task: StudyTask) -> bool:
    return task.priority is Priority.URGENT
