"""The receivers compared, each a process in an empty folder of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
STORESCP = shutil.which("storescp")


@dataclass(frozen=True)
class Running:
    """A receiver that listens."""

    pid: int
    port: int
    title: str


@dataclass(frozen=True)
class Receiver:
    """How one is started; ``command`` is given its folder and a free port."""

    name: str
    command: Callable[[Path, int], list[str]]
    title: str = "BENCH"
    tells_port: bool = False
    """It prints the port that it chose."""

    @contextmanager
    def running(self, folder: Path) -> Iterator[Running]:
        """Started, and ended at the end; its folder stays."""
        folder.mkdir(parents=True)
        port = _free_port()
        process = subprocess.Popen(
            self.command(folder, port),
            stdout=subprocess.PIPE if self.tells_port else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TCP_NODELAY": "1"},
            text=True,
        )
        try:
            if self.tells_port:
                assert process.stdout is not None
                port = int(process.stdout.readline())
            _wait_for(port, process)
            yield Running(process.pid, port, self.title)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def ours(name: str, data_path: str, *, sync: bool, processes: int = 1) -> Receiver:
    """Ours, by data path."""
    module = "benchmarks.receive_parts.ours"
    said = "sync" if sync else "no-sync"
    return Receiver(
        name,
        lambda folder, _: [
            sys.executable, "-m", module, str(folder), data_path, said, str(processes)
        ],
        title="PREREAD",
        tells_port=True,
    )  # fmt: skip


def plain_pynetdicom(kind: str) -> Receiver:
    """pynetdicom as its documentation has it, or tuned."""
    module = "benchmarks.receive_parts.plain_pynetdicom"
    return Receiver(
        f"pynetdicom {kind}",
        lambda folder, _: [sys.executable, "-m", module, str(folder), kind],
        tells_port=True,
    )


def storescp(name: str, *more: str) -> Receiver:
    """DCMTK's, a process an association (``--fork``)."""
    return Receiver(
        name,
        lambda folder, port: [
            str(STORESCP), "--fork", "--accept-all", "-aet", "BENCH", "-od", str(folder), *more,
            str(port),
        ],
    )  # fmt: skip


def orthanc() -> Receiver:
    """Orthanc as it comes, its index in SQLite."""

    def command(folder: Path, port: int) -> list[str]:
        settings = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "DicomPort": port,
            "DicomAet": "BENCH",
            "DicomAlwaysAllowStore": True,
            "HttpServerEnabled": False,
            "Plugins": [],
        }
        path = folder / "orthanc.json"
        path.write_text(json.dumps(settings))
        return [str(ORTHANC), str(path)]

    return Receiver("Orthanc", command)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            time.sleep(0.3)
            return
    raise RuntimeError(f"{process.args} does not listen")
