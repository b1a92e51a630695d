"""A real tritonserver for tests: the one that PyPI's nvidia-pytriton carries.

``make test`` installs it into ``.venv-triton``; ``TRITON_VENV`` names another place. Only the
server and its Python backend are taken from there, not pytriton's own Python. Models are
written by :mod:`models.runtime.triton.repository`; ONNX Runtime runs them in that backend.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.network.orthanc import free_port

ROOT = Path(__file__).resolve().parents[2]
START_S = 90.0
_WHERE = "import sys, sysconfig; print(sys.version_info[1], sysconfig.get_config_var('LIBDIR'))"


@dataclass(frozen=True)
class Triton:
    """A running server."""

    http: str
    grpc: str
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class _Installed:
    venv: Path
    packages: Path
    minor: int
    libraries: str

    @property
    def server(self) -> Path:
        return self.packages / "pytriton" / "tritonserver"

    @property
    def stub(self) -> Path:
        """The program that runs a model's Python, built for one Python each."""
        name = "triton_python_backend_stub"
        return self.server / "python_backend_stubs" / f"3.{self.minor}" / name


def _installed() -> _Installed:
    venv = (ROOT / os.environ.get("TRITON_VENV", ".venv-triton")).absolute()
    packages = next(venv.glob("lib/python3.*/site-packages"), venv)
    if not (packages / "pytriton" / "tritonserver" / "bin" / "tritonserver").is_file():
        pytest.skip(f"no tritonserver in {venv.name}: `make test` installs one where there is one")
    told = subprocess.run(
        [venv / "bin" / "python", "-c", _WHERE], capture_output=True, text=True, check=True
    )
    minor, libraries = told.stdout.split()
    return _Installed(venv, packages, int(minor), libraries)


@contextmanager
def running_triton(repository: Path, folder: Path) -> Iterator[Triton]:
    """Serve ``repository``; the server's files and log lie in ``folder``. Gone at the end.

    Raises:
        RuntimeError: it was not ready in time; the message has its log.
    """
    installed = _installed()
    backends = folder / "backends"
    shutil.copytree(installed.server / "backends", backends)
    shutil.copy2(installed.stub, backends / "python")
    environment = {
        "PATH": f"{installed.venv / 'bin'}:/usr/bin:/bin",
        "VIRTUAL_ENV": str(installed.venv),
        "PYTHONPATH": str(installed.packages),
        # the wheel's own libraries, and Python's, which the stub embeds
        "LD_LIBRARY_PATH": f"{installed.packages / 'nvidia_pytriton.libs'}:{installed.libraries}",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    http, grpc = free_port(), free_port()
    prefix = f"preread-test-{http}-"
    command = [
        str(installed.server / "bin" / "tritonserver"),
        "--model-repository", str(repository),
        "--backend-directory", str(backends),
        "--http-address", "127.0.0.1", "--http-port", str(http),
        "--grpc-address", "127.0.0.1", "--grpc-port", str(grpc),
        "--allow-metrics", "false",
        "--exit-timeout-secs", "5",
        # its models' shared memory with the stubs; two servers must not share a name
        "--backend-config", f"python,shm-region-prefix-name={prefix}",
        "--backend-config", "python,shm-default-byte-size=1048576",
    ]  # fmt: skip
    log = folder / "triton.log"
    with log.open("wb") as sink:
        # A group of its own: the stubs outlive a server that fails to start.
        process = subprocess.Popen(
            command, stdout=sink, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    triton = Triton(f"http://127.0.0.1:{http}", f"grpc://127.0.0.1:{grpc}", process)
    try:
        _wait(triton, log)
        yield triton
    finally:
        _stop(process)
        for region in Path("/dev/shm").glob(f"{prefix}*"):
            region.unlink(missing_ok=True)


def _wait(triton: Triton, log: Path) -> None:
    deadline = time.monotonic() + START_S
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        with suppress(OSError, urllib.error.URLError):
            if opener.open(f"{triton.http}/v2/health/ready", timeout=5).status == 200:
                return
        if triton.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"tritonserver did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server, then end the whole group."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
