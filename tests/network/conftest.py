"""Fixtures of the tests that speak DICOM over real sockets, on the loopback only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store, open_store
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc
from tests.network.review_site import Site, make_site


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def inbox(tmp_path: Path, store: Store) -> Inbox:
    return Inbox(tmp_path / "inbox", store, minimum_free_gb=0)


@pytest.fixture
def stored() -> list[Instance]:
    """What the listener announced, in order."""
    return []


@pytest.fixture
def listener(inbox: Inbox, stored: list[Instance]) -> Iterator[Listener]:
    settings = ListenerSettings(host="127.0.0.1", port=0)
    with Listener(settings, inbox, stored.append) as listener:
        yield listener


@pytest.fixture
def preread_port() -> int:
    """A port for our listener that Orthanc is told beforehand."""
    return free_port()


@pytest.fixture
def orthanc(tmp_path: Path, preread_port: int) -> Iterator[Orthanc]:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    with running_orthanc(tmp_path / "orthanc", preread_port) as orthanc:
        yield orthanc


def dcmtk(tool: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK tool; skip where DCMTK is missing.

    pynetdicom brings programs of the same names, which an environment that is switched on puts
    before them.
    """
    elsewhere = [each for each in os.get_exec_path() if Path(each) != Path(sys.executable).parent]
    program = shutil.which(tool, path=os.pathsep.join(elsewhere))
    if program is None:
        pytest.skip(f"no {tool} here: apt-get install dcmtk")
    return subprocess.run(
        [program, *arguments],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        env=os.environ | {"TCP_NODELAY": "1"},
        check=False,
    )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Loopback, nobody logs in."""
    return make_site(tmp_path)
