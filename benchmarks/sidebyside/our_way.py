"""Our way: the product's own path from DICOM files to a report, the network warm in an engine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from benchmarks.sidebyside.timed import Timed
from models.engine.core import Engine, EngineSettings
from models.engine.warm import InUse
from models.loaded import LoadedModel, load_model
from models.opening import open_networks
from models.runtime.source import Precision, RuntimeName
from models.spec import ModelSpec, read_spec
from models.study.plan import StudyPlan
from models.study.reading import StudyReading, plan_study, read_together
from pacs_bridge.workers.footprint import bytes_needed

STAGES = {"load": "read", "prepare": "prepare", "network": "network", "finish": "finish"}
"""The product's steps by the names that both ways share; every other step makes findings."""


class Ours:
    """A model, warm.

    Args:
        bundle: the model's folder.
        device, runtime, precision: see :func:`models.loaded.load_model`; a reduced precision
            needs no gate here, since no patient is read.
    """

    def __init__(
        self, bundle: Path, device: str, runtime: RuntimeName, precision: Precision
    ) -> None:
        def load(spec: ModelSpec) -> LoadedModel:
            sources = open_networks(spec).sources
            return load_model(
                spec, device=device, runtime=runtime, precision=precision, unjudged=sources
            )

        self._spec = read_spec(bundle)
        self._engine = Engine(EngineSettings(), load)
        self._engine.load(self._spec)

    @property
    def runtime(self) -> str:
        """What runs the network."""
        (status,) = self._engine.status().models
        return status.versions[0].networks[0].runtime

    def run(self, study: Path) -> Timed:
        """One study, from its files to its report."""
        began = time.perf_counter()
        reading, planned = self._read(study)
        total = time.perf_counter() - began
        seconds = {"read": planned}
        for step, took in reading.seconds.items():
            stage = STAGES.get(step, "findings")
            seconds[stage] = seconds.get(stage, 0.0) + took
        seconds["findings"] = seconds.get("findings", 0.0) + total - sum(seconds.values())
        return Timed(total, seconds, _upright(reading))

    def together(self, studies: Sequence[Path]) -> float:
        """Seconds for studies that are sent at the same time, one thread each."""
        began = time.perf_counter()
        with ThreadPoolExecutor(len(studies)) as threads:
            list(threads.map(self._read, studies))
        return time.perf_counter() - began

    def one_by_one(self, studies: Sequence[Path]) -> float:
        """Seconds for the same studies one after another."""
        began = time.perf_counter()
        for study in studies:
            self._read(study)
        return time.perf_counter() - began

    def close(self) -> None:
        """Give the memory back."""
        self._engine.close()

    def _read(self, study: Path) -> tuple[StudyReading, float]:
        def opened(name: str) -> AbstractContextManager[InUse]:
            return self._engine.use(name, study.name)

        began = time.perf_counter()
        scan, plan = plan_study(sorted(p for p in study.rglob("*") if p.is_file()), self._spec)
        planned = time.perf_counter() - began
        together = StudyPlan(plans=(plan,))
        # As the server does: a study begins when there is memory for it.
        with self._engine.reserve(bytes_needed(scan, together), study.name):
            return read_together(scan, together, opened), planned


def _upright(reading: StudyReading) -> np.ndarray:
    """The union of the masks; our volumes grow to the head, an axial scan's to back and left."""
    mask = np.zeros(reading.volume.grid.shape, np.uint8)
    for region in reading.regions.values():
        mask[region.box] |= region.voxels
    return mask
