"""How the engine stands: values for the page, the JSON API and the log."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from imaging.language import Text
from models.engine.status import EngineStatus


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class StudyState(_Value):
    """One study that a worker reads."""

    study_uid: str
    step: str
    seconds: float = Field(description="since it was handed over")
    urgent: bool = False
    shadow: bool = False


class WorkerState(_Value):
    """One worker process."""

    name: str
    device: str = Field(description="what it runs on, as the runtime calls it")
    hardware: str = Field(default="", description="the GPU's name")
    state: Literal["starting", "ready", "restarting", "stopped"]
    pid: int | None = None
    seconds: float = Field(default=0.0, description="since this process started")
    restarts: int = 0
    studies_at_once: int = 1
    studies: tuple[StudyState, ...] = ()
    done: int = Field(default=0, description="studies read since the server started")
    failed: int = 0
    engine: EngineStatus | None = Field(
        default=None, description="its models, batches and memory; null until it is first heard of"
    )
    problem: str = Field(default="", description="why the last process ended, or could not start")


class EnabledModel(_Value):
    """A model that the settings name."""

    name: str
    version: str = ""
    title: Text | None = None
    reports: bool = Field(description="false: a shadow, its findings go nowhere")
    problem: str = Field(default="", description="why it can't be used")


class EngineState(_Value):
    """All workers, and what waits for them."""

    models: tuple[EnabledModel, ...] = ()
    workers: tuple[WorkerState, ...] = ()
    waiting: int = Field(default=0, description="studies that no worker has taken yet")
    urgent_waiting: int = 0
    shadows_waiting: int = 0
