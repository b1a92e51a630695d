"""What the server and a worker say to one another; pickled, over a socket that only they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imaging.notices import Notice
from imaging.report import Report
from models.engine.status import EngineStatus
from models.engine.turns import Priority
from models.study.plan import StudyPlan
from models.study.priors import PriorImages
from pacs_bridge.workers.failures import Failure
from pacs_bridge.workers.setup import Setup


@dataclass(frozen=True)
class StudyTask:
    """One study to be read.

    Args:
        study_uid: for messages.
        revision: of the reading.
        paths: the study's images.
        folder: where the masks and pictures are kept; None: they are not (a shadow).
        models: by name, in order.
        priority: how soon.
        give_up: the last try; see :func:`models.study.reading.read_together`.
        priors: earlier examinations to compare with.
    """

    study_uid: str
    revision: int
    paths: tuple[Path, ...]
    folder: Path | None
    models: tuple[str, ...]
    priority: Priority = Priority.ROUTINE
    give_up: bool = False
    priors: tuple[PriorImages, ...] = ()


@dataclass(frozen=True)
class TaskOutcome:
    """What became of a study.

    Attributes:
        plan: which series each model took.
        report: None where none of them takes a series of it, or all refused it.
        refusal: why they refused it.
        seconds: how long each step took.
        worker: who read it.
    """

    plan: StudyPlan
    report: Report | None = None
    refusal: tuple[Notice, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    worker: str = ""


@dataclass(frozen=True)
class Begin:
    """Server: read this study."""

    number: int
    task: StudyTask


@dataclass(frozen=True)
class Refresh:
    """Server: descriptions of models may have changed; take up what is new."""


@dataclass(frozen=True)
class Stop:
    """Server: end."""


@dataclass(frozen=True)
class Ready:
    """Worker: models are loaded, or why not, by name."""

    device: str
    failures: dict[str, Failure]


@dataclass(frozen=True)
class Step:
    """Worker: a study has come to this step."""

    number: int
    step: str


@dataclass(frozen=True)
class Done:
    """Worker: a study is read."""

    number: int
    outcome: TaskOutcome


@dataclass(frozen=True)
class Failed:
    """Worker: a study could not be read."""

    number: int
    failure: Failure


@dataclass(frozen=True)
class Pulse:
    """Worker, every few seconds: it lives, and how it stands."""

    engine: EngineStatus


ToWorker = Setup | Begin | Refresh | Stop
FromWorker = Ready | Step | Done | Failed | Pulse
