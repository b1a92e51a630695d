"""DCMTK's archive for tests: started on a free port of the loopback, gone at the end."""

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

from pacs_bridge.settings import PeerSettings
from tests.network.conftest import dcmtk
from tests.network.orthanc import free_port
from tests.patience import PATIENT_S


@contextmanager
def dcmqrscp(folder: Path, preread_port: int) -> Iterator[PeerSettings]:
    """DCMTK's archive, titled DCMTK, knowing us as PREREAD."""
    elsewhere = [each for each in os.get_exec_path() if Path(each) != Path(sys.executable).parent]
    program = shutil.which("dcmqrscp", path=os.pathsep.join(elsewhere))
    if program is None:
        pytest.skip("no dcmqrscp here: apt-get install dcmtk")
    port = free_port()
    (folder / "db").mkdir()
    (folder / "dcmqrscp.cfg").write_text(
        f"""
NetworkTCPPort = {port}
MaxPDUSize = 16384
MaxAssociations = 16
HostTable BEGIN
preread = (PREREAD, 127.0.0.1, {preread_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
DCMTK {folder / "db"} RW (200, 1024mb) ANY
AETable END
"""
    )
    with (folder / "dcmqrscp.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-c", str(folder / "dcmqrscp.cfg")],
            stdout=log, stderr=log, env=os.environ | {"TCP_NODELAY": "1"},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "dcmqrscp.log").read_text()
                time.sleep(0.05)
        yield PeerSettings(ae_title="DCMTK", host="127.0.0.1", port=port)
    finally:
        process.kill()
        process.wait()


def send(archive: PeerSettings, *folders: Path) -> None:
    """Store all files of folders in an archive, by storescu."""
    for folder in folders:
        sent = dcmtk("storescu", "-aet", "PREREAD", "-aec", archive.ae_title, archive.host,
                     str(archive.port), "+sd", str(folder))  # fmt: skip
        assert sent.returncode == 0, sent.stderr
