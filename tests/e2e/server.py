"""The real server as a process of its own, for tests of whole journeys."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from models.spec import CATALOG
from models.training.seal import seal
from pacs_bridge.store import Store, open_store
from tests.patience import PATIENT_S, wait_for
from tests.unit.models.made import write_bright_model

MODEL = "lung_nodule_reference"


@dataclass(frozen=True)
class RunningServer:
    """A `preread serve` process."""

    process: subprocess.Popen[bytes]
    url: str
    store: Store
    log: Path


def sensitive_model(folder: Path, score_threshold: float) -> Path:
    """A copy of the shipped model at another operating point, so that a scan has findings.

    Returns the folder for ``models.folders``.
    """
    target = folder / "models" / MODEL
    shutil.copytree(CATALOG / MODEL, target)
    spec = target / "preread.toml"
    text = spec.read_text(encoding="utf-8")
    changed = re.sub(r"(?m)^score_threshold = .*$", f"score_threshold = {score_threshold}", text)
    assert changed != text
    spec.write_text(changed, encoding="utf-8")
    seal(target)
    return target.parent


def bright_model(folder: Path, **changes: str) -> Path:
    """The model "bright", which reads a study in a second; the folder for ``models.folders``."""
    write_bright_model(folder / "models" / "bright", **changes)
    return folder / "models"


def write_config(
    folder: Path,
    *,
    dicom_port: int,
    page_port: int,
    models: Path,
    more: str = "",
    quiet_s: float = 2,
    database: str = "",
    enabled: str = "",
) -> Path:
    """A preread.toml with everything inside ``folder``; ``more`` is appended.

    ``enabled`` is a model of the folder ``models``, on the CPU; empty: those that ship.
    """
    chosen = f'enabled = ["{enabled}"]\ndevice = "cpu"\nthreads = 1\n' if enabled else ""
    path = folder / "preread.toml"
    path.write_text(
        f"""
[storage]
folder = "{folder / "data"}"
minimum_free_gb = 0
database = "{database}"
[listener]
host = "127.0.0.1"
port = {dicom_port}
[review]
port = {page_port}
[models]
{chosen}folders = ["{models}"]
[assembly]
quiet_s = {quiet_s}
{more}
""",
        encoding="utf-8",
    )
    return path


@contextmanager
def running_server(
    config: Path, page_port: int, command: list[str] | None = None, database: str = ""
) -> Iterator[RunningServer]:
    """Start the server and wait until it is healthy; it is killed at the end.

    ``database`` is the URL that the settings name; empty: the embedded one.
    """
    folder = config.parent
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(command or [sys.executable, "-m", "pacs_bridge.cli", "serve"]),
                "--config",
                str(config),
            ],
            stdout=output,
            stderr=output,
            env=os.environ | {"TCP_NODELAY": "1"},
        )
    url = f"http://127.0.0.1:{page_port}"
    try:
        wait_until(lambda: process.poll() is not None or _healthy(url), 90, "the server to start")
        assert process.poll() is None, log.read_text()
        store = open_store(database or f"sqlite:///{folder / 'data' / 'preread.sqlite'}")
        yield RunningServer(process, url, store, log)
        store.engine.dispose()
    finally:
        process.kill()
        process.wait()


def killed(config: Path, where: str) -> None:
    """One life of the server, ended by itself in the step ``where``: -9 is nobody else's doing.

    See :mod:`tests.e2e.killed_server`.
    """
    log = config.parent / f"killed-{where.replace(':', '-')}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.killed_server", "--config", str(config)],
            stdout=output,
            stderr=output,
            env=os.environ | {"TCP_NODELAY": "1", "KILL_AFTER": where},
        )
    try:
        ended = process.wait(180)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"never came to {where}:\n{log.read_text()}") from None
    assert ended == -signal.SIGKILL, f"{where}:\n{log.read_text()}"


def _healthy(url: str) -> bool:
    try:
        return httpx.get(url + "/healthz", timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def wait_until(true: Callable[[], object], seconds: float, what: str) -> None:
    """Until ``true()``; fails the test when it takes longer than ``seconds``, a busy machine's."""
    wait_for(true, what, max(seconds, PATIENT_S))
