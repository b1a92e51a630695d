"""Triton servers that answer late, wrongly or not at all. The sockets are real."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import EndpointFailed, OutOfMemory, SpecError
from models.runtime.source import OnnxFile, TritonModel
from models.runtime.triton import TritonRuntime, shared_memory
from models.runtime.triton.repository import TritonExport, export_triton
from tests.contract.runtime_suite import expected, write_network
from tests.contract.tritonserver import Triton, running_triton
from tests.network.orthanc import free_port

ONES = np.ones((2, 1, 4, 4, 4), np.float32)
SHORT_S = 0.4
DESCRIBED: dict[str, Any] = {
    "name": "one",
    "versions": ["1"],
    "platform": "onnxruntime_onnx",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, -1, -1, -1]}],
    "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [-1, 2, -1, -1, -1]},
        {"name": "z", "datatype": "FP32", "shape": [-1, 1, -1, -1, -1]},
    ],
}
LENGTH = "Inference-Header-Content-Length"


class Liar(ThreadingHTTPServer):
    """Describes a model as Triton does, and then does what a test wants with inferences."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.described: Any = DESCRIBED
        self.ready = 200
        self.infer: Callable[[_Handler], None] = lambda handler: handler.good()
        self.register = 200
        self.inferences = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Liar

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if self.path.endswith("/systemsharedmemory/status"):
            self.answer(b"[]")
        elif self.path.endswith("/ready"):
            self.answer(b"", self.server.ready)
        elif self.path.endswith("/config"):
            self.answer(json.dumps({"max_batch_size": 8}).encode())
        else:
            described = self.server.described
            self.answer(described if isinstance(described, bytes) else _dump(described))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/infer"):
            self.server.inferences += 1
            self.server.infer(self)
        else:
            self.answer(b'{"error": "Unable to open shared memory region"}', self.server.register)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def good(self, n: int = 2, **changes: Any) -> None:
        """A right answer, in which ``changes`` are made to output y, and ``drop`` leaves it out."""
        y = np.arange(n * 2 * 64, dtype=np.float32)
        z = np.ones(n * 64, np.float32)
        outputs: list[dict[str, Any]] = [
            _output("z", [n, 1, 4, 4, 4], z),
            _output("y", [n, 2, 4, 4, 4], y) | changes,
        ]
        header = _dump({"model_name": "one", "outputs": outputs})
        body = header + z.tobytes() + y.tobytes()
        self.answer(body, **{LENGTH: str(len(header))})


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _output(name: str, shape: list[int], data: np.ndarray) -> dict[str, Any]:
    size = {"binary_data_size": data.nbytes}
    return {"name": name, "datatype": "FP32", "shape": shape, "parameters": size}


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def opened(url: str, timeout_s: float = 5.0, **more: Any) -> TritonRuntime:
    return TritonRuntime(TritonModel(url, "one", timeout_s=timeout_s, **more))


# --- what it does with an inference ------------------------------------------------------------


def test_a_right_answer_is_taken_in_the_model_s_order(liar: Liar) -> None:
    """So that the wrong ones below are wrong for the reason that they name."""
    with closing(opened(liar.url)) as runtime:
        y, z = runtime.run(ONES)
    assert (y.shape, z.shape) == ((2, 2, 4, 4, 4), (2, 1, 4, 4, 4))
    assert np.array_equal(y.ravel(), np.arange(256))
    assert liar.inferences == 1


def _late(handler: _Handler) -> None:
    time.sleep(3 * SHORT_S)
    handler.good()


def _drips(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with suppress(OSError):
        for _ in range(50):
            handler.wfile.write(b" ")
            time.sleep(SHORT_S / 4)


def _drips_its_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    with suppress(OSError):
        for number in range(50):
            handler.wfile.write(f"X-{number}: 1\r\n".encode())
            time.sleep(SHORT_S / 4)


@pytest.mark.parametrize("how", [_late, _drips, _drips_its_headers])
def test_a_late_answer_is_not_waited_for(liar: Liar, how: Callable[[_Handler], None]) -> None:
    """Not twice either: the study would stand for double the time."""
    liar.infer = how
    with closing(opened(liar.url, SHORT_S)) as runtime:
        start = time.monotonic()
        with pytest.raises(EndpointFailed, match="no whole answer in time") as caught:
            runtime.run(ONES)
        assert time.monotonic() - start < 2.5 * SHORT_S
        assert liar.inferences == 1
        for words in (liar.url, "model one", "network.timeout_s", f"{SHORT_S:g} s"):
            assert words in str(caught.value)
        assert caught.value.retryable
        liar.infer = lambda handler: handler.good()
        assert len(runtime.run(ONES)) == 2


def _closes(handler: _Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _stops_in_the_middle(handler: _Handler) -> None:
    handler.answer(b"{", **{"Content-Length": "5000"})
    _closes(handler)


@pytest.mark.parametrize("how", [_closes, _stops_in_the_middle])
def test_a_lost_connection_is_tried_once_more(liar: Liar, how: Callable[[_Handler], None]) -> None:
    liar.infer = how
    with closing(opened(liar.url)) as runtime:
        with pytest.raises(EndpointFailed, match="check that the server runs"):
            runtime.run(ONES)
        assert liar.inferences == 2

        def once(handler: _Handler) -> None:
            liar.infer = lambda again: again.good()
            how(handler)

        liar.infer = once
        assert len(runtime.run(ONES)) == 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b'{"error": "inference failed: bad weather"}', "HTTP 500: inference failed: bad w"),
        (503, b"<html>busy</html>", "HTTP 503: <html>busy</html>"),
        (400, b"", "HTTP 400: no reason given"),
        (502, b"\xff\xfe\x00", "HTTP 502"),
        (500, b'["odd"]', "HTTP 500"),
    ],
)
def test_a_refusal_is_passed_on(liar: Liar, status: int, body: bytes, words: str) -> None:
    liar.infer = lambda handler: handler.answer(body, status)
    with (
        closing(opened(liar.url)) as runtime,
        pytest.raises(EndpointFailed, match=words) as caught,
    ):
        runtime.run(ONES)
    assert liar.inferences == 1
    assert "log says more" in str(caught.value)


def test_no_memory_over_there_is_told_apart(liar: Liar) -> None:
    error = b'{"error": "[ONNXRuntimeError] : CUDA failure 2: out of memory ; GPU=0"}'
    liar.infer = lambda handler: handler.answer(error, 500)
    with closing(opened(liar.url)) as runtime, pytest.raises(OutOfMemory, match="model one"):
        runtime.run(ONES)


HEADER = _dump({"outputs": [_output("y", [2, 2, 4, 4, 4], np.zeros(256, np.float32))]})
NESTED = b"[" * 100_000


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (lambda h: h.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "BadStatusLine|SSH"),
        (lambda h: h.answer(b"<html>Please log in</html>"), "JSONDecodeError"),
        (lambda h: h.answer(b"{}"), "KeyError"),
        (lambda h: h.answer(b"[1]"), "TypeError"),
        (lambda h: h.answer(b'{"outputs": 3}'), "TypeError"),
        (lambda h: h.answer(NESTED), "RecursionError|JSONDecodeError"),
        (lambda h: h.answer(b"\xff\xfe\xfd"), "UnicodeDecodeError"),
        (lambda h: h.answer(HEADER, **{LENGTH: "lots"}), "ValueError"),
        (lambda h: h.answer(HEADER, **{LENGTH: str(len(HEADER))}), "ends after the answer"),
        (lambda h: h.good(n=1), r"\[1, 2, 4, 4, 4\] for 2 patches"),
        (lambda h: h.good(name="w"), "output y is missing"),
        (lambda h: h.good(datatype="INT64"), "INT64"),
        (lambda h: h.good(shape=[2, 3, 4, 4, 4]), r"FP32 \[-1, 2, -1, -1, -1\]"),
        (lambda h: h.good(shape=[2, 2, 4, 4]), r"\[2, 2, 4, 4\]"),
        (lambda h: h.good(shape=[2, 2, 4, 4, 8]), "256 values came"),
        (lambda h: h.good(shape=[2, 2, -4, 4, -4]), r"-4"),
        (lambda h: h.good(shape="big"), "ValueError"),
        (lambda h: h.good(parameters={"binary_data_size": -4}), "ends after the answer"),
        (lambda h: h.good(parameters={"binary_data_size": 3}), "0 values came"),
        (lambda h: h.good(parameters={}), "0 values came"),
        (lambda h: h.good(parameters={}, data=["a"]), "ValueError"),
        (lambda h: h.good(parameters={}, data=[1.0, 2.0]), "2 values came"),
    ],
)
def test_a_wrong_answer_is_refused(liar: Liar, how: Callable[[_Handler], None], words: str) -> None:
    """None of them may become a result."""

    def last(handler: _Handler) -> None:
        how(handler)
        handler.close_connection = True

    liar.infer = last
    with closing(opened(liar.url)) as runtime, pytest.raises(EndpointFailed, match=words) as caught:
        runtime.run(ONES)
    assert "check that this is Triton's own port" in str(caught.value)
    assert liar.inferences == 1


# --- what it says of itself --------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_nobody_there(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(EndpointFailed, match=rf"{url}: model one: .*check that the server runs"):
        opened(url)


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize("words", [b"", b"SSH-2.0-OpenSSH_9.2\r\n\r\n"])
def test_something_else_there(scheme: str, words: bytes) -> None:
    """It accepts, and says nothing or something foreign."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepted: list[socket.socket] = []

        def greet() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    accepted.append(connection)
                    if words:
                        connection.sendall(words)

        threading.Thread(target=greet, daemon=True).start()
        url = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(EndpointFailed, match=url):
            opened(url, timeout_s=SHORT_S)
        assert time.monotonic() - start < 10 * SHORT_S
        listener.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000", "http://", "ftp://host:8000", "http://host", "http://host:8000/v2",
            "grpc://host:port", "http://host:99999999"],
)  # fmt: skip
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SpecError, match=r"http://host:port or grpc://host:port"):
        opened(url)


def test_a_model_that_is_not_ready_may_be_later(liar: Liar) -> None:
    liar.ready = 400
    with pytest.raises(EndpointFailed, match="HTTP 400") as caught:
        opened(liar.url)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": []}, "it has none"),
        ({"inputs": DESCRIBED["inputs"] * 2}, "one FP32 input"),
        ({"inputs": [{"name": "x", "datatype": "UINT8", "shape": [-1, 1, 2, 2, 2]}]}, "UINT8"),
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 10]}]}, r"\[-1, 10\]"),
        ({"outputs": []}, "there is none"),
        ({"outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}]}, "y: INT64"),
    ],
)
def test_a_model_that_takes_no_images(liar: Liar, changes: dict[str, Any], words: str) -> None:
    liar.described = DESCRIBED | changes
    with pytest.raises(SpecError, match=words):
        opened(liar.url)


@pytest.mark.parametrize("described", [b"hello", b"[]", {"inputs": 3}, {"inputs": [{"name": "x"}]}])
def test_a_description_that_is_none(liar: Liar, described: Any) -> None:
    liar.described = described
    with pytest.raises(EndpointFailed, match="Triton's own port"):
        opened(liar.url)


# --- shared memory -----------------------------------------------------------------------------


def test_a_server_that_can_t_see_our_memory_is_refused_when_opened(liar: Liar) -> None:
    liar.register = 400
    before = set(Path("/dev/shm").glob("preread-*"))
    with pytest.raises(EndpointFailed, match=r"--ipc=host.*network\.shared_memory"):
        opened(liar.url, shared_memory=True)
    assert set(Path("/dev/shm").glob("preread-*")) <= before


def test_memory_that_is_not_there_is_not_promised() -> None:
    """Writing to a region beyond the mount's size would kill the process."""
    mount = os.statvfs("/dev/shm")
    with pytest.raises(OSError, match="shm-size"):
        shared_memory._allocated(mount.f_blocks * mount.f_frsize + 2**20)


def test_without_room_for_shared_memory_the_network_carries_it(
    liar: Liar, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(opened(liar.url, shared_memory=True)) as runtime:
        runtime.run(ONES)

        def full(size: int) -> Any:
            raise OSError(28, "no room")

        monkeypatch.setattr(shared_memory, "_allocated", full)
        with caplog.at_level(logging.WARNING):
            assert len(runtime.run(ONES)) == 2
    assert "sent over the network" in caplog.text


# --- a network between us and a real server ----------------------------------------------------


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
        assert time.monotonic() - start < 6
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
