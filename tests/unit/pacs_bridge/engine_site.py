"""Worker processes on models that need no training, for tests of the engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pacs_bridge.settings import Settings
from pacs_bridge.workers import StudyTask, Workers
from pacs_bridge.workers.devices import Device
from tests.patience import PATIENT_S

TWO_CPUS = [Device("cpu 0", "cpu"), Device("cpu 1", "cpu")]


def engine_settings(folder: Path, *enabled: str, **models: Any) -> Settings:
    """Settings whose models lie in ``folder``/models, everything on the CPU."""
    values = {"enabled": enabled, "folder": str(folder / "models"), "threads": 1, "device": "cpu"}
    return Settings.model_validate(
        {"storage": {"folder": str(folder / "data")}, "models": values | models}
    )


def task(
    files: Sequence[Path], folder: Path | None, *models: str, uid: str = "1.2.3", **more: Any
) -> StudyTask:
    """A study to be read, first revision."""
    return StudyTask(uid, 1, tuple(files), folder, models or ("bright",), **more)


def pids(workers: Workers) -> list[int]:
    """The processes that live now."""
    return [state.pid for state in workers.state().workers if state.pid is not None]


def kill_all(workers: Workers) -> None:
    """End every worker process, as the kernel does when memory runs out."""
    for pid in pids(workers):
        os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process still runs (a zombie doesn't)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def until(true: Callable[[], object], what: str, seconds: float = PATIENT_S) -> None:
    """Until ``true()``; fails the test when that takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.02)
