"""A server that describes a model as Triton does, and answers as a test wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from models.runtime.source import TritonModel
from models.runtime.triton import TritonRuntime

ONES = np.ones((2, 1, 4, 4, 4), np.float32)
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
        super().__init__(("127.0.0.1", 0), Handler)
        self.described: Any = DESCRIBED
        self.ready = 200
        self.infer: Callable[[Handler], None] = lambda handler: handler.good()
        self.register = 200
        self.inferences = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are what this is about."""


class Handler(BaseHTTPRequestHandler):
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
            self.answer(described if isinstance(described, bytes) else dump(described))

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
            output("z", [n, 1, 4, 4, 4], z),
            output("y", [n, 2, 4, 4, 4], y) | changes,
        ]
        header = dump({"model_name": "one", "outputs": outputs})
        body = header + z.tobytes() + y.tobytes()
        self.answer(body, **{LENGTH: str(len(header))})


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def output(name: str, shape: list[int], data: np.ndarray) -> dict[str, Any]:
    size = {"binary_data_size": data.nbytes}
    return {"name": name, "datatype": "FP32", "shape": shape, "parameters": size}


def opened(url: str, timeout_s: float = 5.0, **more: Any) -> TritonRuntime:
    return TritonRuntime(TritonModel(url, "one", timeout_s=timeout_s, **more))
