"""DCMTK's storescp for tests: keeps what it is sent in a folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.network.orthanc import free_port
from tests.patience import PATIENT_S


@contextmanager
def running_storescp(folder: Path, *options: str) -> Iterator[int]:
    """On a free port, any AE title; what comes lies in ``folder`` as it was sent."""
    elsewhere = [each for each in os.get_exec_path() if Path(each) != Path(sys.executable).parent]
    program = shutil.which("storescp", path=os.pathsep.join(elsewhere))
    if program is None:
        pytest.skip("no storescp here: apt-get install dcmtk")
    port = free_port()
    folder.mkdir()
    process = subprocess.Popen(
        [program, "-od", str(folder), "+B", *options, str(port)],
        env=os.environ | {"TCP_NODELAY": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + PATIENT_S
        while True:
            try:  # no C-ECHO: over TLS each one that fails asks at length why
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < until, "storescp did not come up"
                time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
