"""What a worker does with a study: headers, plan, analysis, and what is kept of it."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from typing import Protocol

from imaging.errors import SeriesError
from imaging.headers import Scan, scan_files
from imaging.notices import Notice, notice
from models.engine.warm import InUse
from models.errors import InputRefused
from models.spec import ModelSpec
from models.study.plan import StudyPlan, plan_together
from models.study.priors import PriorScan, not_compared
from models.study.reading import Progress, StudyReading, read_together
from pacs_bridge.results import save_analysis
from pacs_bridge.workers.footprint import bytes_needed, most_needed
from pacs_bridge.workers.messages import StudyTask, TaskOutcome

log = logging.getLogger(__name__)


class Models(Protocol):
    """Where a worker's models come from."""

    @property
    def research(self) -> tuple[str, ...]:
        """Those whose research maps the site switched on."""

    def spec(self, name: str) -> ModelSpec:
        """The version in use.

        Raises:
            SpecError: it can't be used.
        """

    def use(self, name: str, task: StudyTask) -> AbstractContextManager[InUse]:
        """The model for as long as a block runs; raises a ``ModelError``."""

    def reserve(self, needed: int, task: StudyTask) -> AbstractContextManager[object]:
        """Host memory, bytes, for as long as a block runs; waits for it.

        Raises:
            InputRefused: this machine will never have so much.
        """


def read_task(task: StudyTask, models: Models, progress: Progress) -> TaskOutcome:
    """Read a study's headers, plan it, and analyse it.

    Raises:
        ModelError: a model can't be used, or a network could not be run.
        OSError: the result could not be kept.
    """
    progress("headers")
    scan = scan_files(task.paths)
    plan = plan_together(scan, [models.spec(name) for name in task.models])
    if plan.chosen is None:
        return TaskOutcome(plan)
    try:
        reading = analyse(scan, plan, task, models, progress)
    except InputRefused as error:
        return TaskOutcome(plan, refusal=(error.reason,))
    except SeriesError as error:
        refusal = notice("irregular-geometry", problem=str(error))
        return TaskOutcome(plan, refusal=(refusal,))
    return TaskOutcome(plan, reading.report, seconds=reading.seconds)


def analyse(
    scan: Scan, plan: StudyPlan, task: StudyTask, models: Models, progress: Progress
) -> StudyReading:
    """Analyse a study as soon as there is memory for it, and keep masks and pictures.

    Raises:
        InputRefused, SeriesError: see :func:`models.study.reading.read_together`.
        ModelError: a model can't be used, or a network could not be run.
        OSError: the result could not be kept.
    """
    priors, told = [PriorScan.of(images) for images in task.priors], list[Notice]()
    progress("memory")
    with ExitStack() as held:
        needed = bytes_needed(scan, plan)
        if priors:
            try:
                more = most_needed(priors, [models.spec(one.model) for one in plan.reading])
                held.enter_context(models.reserve(needed + more, task))
            except InputRefused as error:
                log.warning("study %s: compared with nothing: %s", task.study_uid, error)
                told = [not_compared(prior, error.reason.text) for prior in priors]
                priors = []
        if not priors:
            held.enter_context(models.reserve(needed, task))
        reading = read_together(
            scan, plan, lambda name: models.use(name, task),
            revision=task.revision, progress=progress, give_up=task.give_up, priors=priors,
            research=models.research,
        )  # fmt: skip
        if told:
            warnings = (*reading.report.warnings, *told)
            report = reading.report.model_copy(update={"warnings": warnings})
            reading = replace(reading, report=report)
        if task.folder is not None:
            progress("keep")
            save_analysis(task.folder, reading.report, reading.regions, reading.volume, reading.why)
    return reading
