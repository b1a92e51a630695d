"""A real Triton server behind a network that hangs or breaks."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from models.errors import EndpointFailed
from models.runtime.source import OnnxFile, TritonModel
from models.runtime.triton import TritonRuntime
from models.runtime.triton.repository import TritonExport, export_triton
from tests.contract.liar import ONES, opened
from tests.contract.runtime_suite import expected, write_network
from tests.contract.tritonserver import Triton, running_triton
from tests.patience import PATIENT_S


class Cable:
    """Carries bytes to a port, until it is cut or stuck."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.stuck = threading.Event()
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End what is open; new connections are carried again."""
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                self._open += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                while self.stuck.is_set():
                    time.sleep(0.02)
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Triton]:
    folder = tmp_path_factory.mktemp("triton")
    source = OnnxFile(write_network(folder / "one.onnx"))
    export_triton(source, folder / "repository", TritonExport("one", backend="python", threads=1))
    with running_triton(folder / "repository", folder) as server:
        yield server


@contextmanager
def cabled(url: str) -> Iterator[tuple[Cable, str]]:
    scheme, _, port = url.rpartition(":")
    cable = Cable(int(port))
    try:
        yield cable, f"{scheme}:{cable.port}"
    finally:
        cable.stuck.clear()
        cable.close()


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize("shared", [False, True])
def test_a_network_that_hangs_and_one_that_breaks(real: Triton, scheme: str, shared: bool) -> None:
    with cabled(getattr(real, scheme)) as (cable, url):
        runtime = opened(url, timeout_s=2.0, shared_memory=shared)
        for _ in range(2):
            assert runtime.run(ONES)[0] == pytest.approx(expected(ONES), abs=1e-3)
        cable.cut()
        assert runtime.run(ONES)[0] == pytest.approx(expected(ONES), abs=1e-3)
        cable.stuck.set()
        start = time.monotonic()
        with pytest.raises(EndpointFailed, match="no whole answer in time"):
            runtime.run(ONES)
        assert time.monotonic() - start < PATIENT_S / 2
        cable.stuck.clear()
        assert runtime.run(ONES)[0] == pytest.approx(expected(ONES), abs=1e-3)
        runtime.close()
    assert not list(Path("/dev/shm").glob(f"preread-{os.getpid()}-*"))


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize(("model", "version"), [("two", ""), ("one", "7")])
def test_a_model_that_is_not_served(real: Triton, scheme: str, model: str, version: str) -> None:
    url = getattr(real, scheme)
    with pytest.raises(EndpointFailed, match=f"model {model}"):
        TritonRuntime(TritonModel(url, model, version=version))
