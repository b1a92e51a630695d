"""What an engine is told before it begins: which models, run how, with how much memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from imaging.series_rules import SeriesRule
from models.engine.footprint import host_memory
from models.runtime.source import Precision, RuntimeName
from pacs_bridge.settings import Settings


@dataclass(frozen=True)
class Setup:
    """All an engine needs to know; the first message that a worker gets.

    Args:
        name: what the log and the page call it.
        enabled: models that report, by name, in order.
        shadow: models that only run.
        research: enabled models whose research maps are shown.
        folders: where models are looked for before the catalogue.
        runtime, device, precision, threads: see :func:`models.loaded.load_model`.
        memory_bytes: what models and studies may take together; 0: half of the machine's.
        batch_wait_s: how long a patch waits for others.
        studies_at_once: how many studies may come at the same time.
        log_level: least severity that is logged.
        series_rules: the site's exceptions to the choice of series.
    """

    name: str
    enabled: tuple[str, ...]
    shadow: tuple[str, ...]
    research: tuple[str, ...]
    folders: tuple[Path, ...]
    runtime: RuntimeName
    device: str
    precision: Precision | Literal["auto"]
    threads: int
    memory_bytes: int
    batch_wait_s: float
    studies_at_once: int
    log_level: str
    series_rules: tuple[SeriesRule, ...] = ()

    @classmethod
    def of(cls, settings: Settings, name: str, device: str, workers: int = 1) -> Setup:
        """What the settings say, for one of ``workers`` that share the machine's memory."""
        models = settings.models
        memory = int(models.memory_gb * 2**30)
        host = host_memory() if workers > 1 else None
        if not memory and host is not None:
            memory = host.total // 2
        return cls(
            name=name,
            enabled=models.enabled,
            shadow=models.shadow,
            research=models.research,
            folders=tuple(folder.absolute() for folder in settings.model_folders),
            runtime=models.runtime,
            device=device,
            precision=models.precision,
            threads=models.threads,
            memory_bytes=memory // workers,
            batch_wait_s=models.batch_wait_ms / 1000,
            studies_at_once=models.studies_at_once,
            log_level=settings.log.level,
            series_rules=settings.series_rules,
        )
