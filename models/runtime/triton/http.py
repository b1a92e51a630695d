"""Requests to Triton over HTTP.

Written on the standard library: connections that threads share, and a deadline for the whole
answer, also from a server that sends a byte now and then.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import quote

import numpy as np

from models.runtime.failures import in_short
from models.runtime.triton.wire import Answer, Description, Port, Request, Trouble, WireError

_LARGEST = 2**31
"""No answer is longer, bytes; gRPC has the same limit."""
_HEADER_LENGTH = "Inference-Header-Content-Length"


class HttpWire:
    """One model on a server, over HTTP.

    Args:
        address: ``host:port``.
        model: its name there.
        version: empty: the server's choice.
    """

    def __init__(self, address: str, model: str, version: str) -> None:
        self._address = address
        self._path = f"/v2/models/{quote(model, safe='')}"
        if version:
            self._path += f"/versions/{quote(version, safe='')}"
        self._idle: SimpleQueue[http.client.HTTPConnection] = SimpleQueue()

    def describe(self, seconds: float) -> Description:
        """See :class:`models.runtime.triton.wire.Wire`."""
        deadline = time.monotonic() + seconds
        self._ask("GET", f"{self._path}/ready", deadline=deadline)
        metadata = self._json("GET", self._path, deadline)
        config = self._json("GET", f"{self._path}/config", deadline)
        with _reading():
            return Description(
                tuple(_port(item) for item in metadata["inputs"]),
                tuple(_port(item) for item in metadata["outputs"]),
                int(config.get("max_batch_size", 0)),
            )

    def infer(self, request: Request, seconds: float) -> list[Answer]:
        """See :class:`models.runtime.triton.wire.Wire`."""
        places = request.places or {}
        tensor: dict[str, Any] = {
            "name": request.input,
            "shape": list(request.batch.shape),
            "datatype": "FP32",
            "parameters": _parameters(places, request.input, request.batch.nbytes),
        }
        outputs = [
            {"name": name, "parameters": _parameters(places, name, None)}
            for name in request.outputs
        ]
        header = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
        body: list[bytes | memoryview] = [header]
        if request.input not in places:
            body.append(request.batch.data.cast("B"))
        answer, told = self._ask(
            "POST",
            f"{self._path}/infer",
            body,
            {_HEADER_LENGTH: str(len(header)), "Content-Type": "application/octet-stream"},
            deadline=time.monotonic() + seconds,
        )
        with _reading():
            return _answers(answer, int(told.get(_HEADER_LENGTH) or len(answer)))

    def register(self, region: str, size: int, seconds: float) -> None:
        """See :class:`models.runtime.triton.wire.Wire`."""
        place = {"key": f"/{region}", "offset": 0, "byte_size": size}
        self._region(region, "register", json.dumps(place).encode(), seconds)

    def unregister(self, region: str, seconds: float) -> None:
        """See :class:`models.runtime.triton.wire.Wire`."""
        self._region(region, "unregister", b"", seconds)

    def regions(self, seconds: float) -> list[str]:
        """See :class:`models.runtime.triton.wire.Wire`."""
        path = "/v2/systemsharedmemory/status"
        answer, _ = self._ask("GET", path, deadline=time.monotonic() + seconds)
        with _reading():
            return [str(region["name"]) for region in json.loads(answer)]

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _region(self, region: str, verb: str, body: bytes, seconds: float) -> None:
        path = f"/v2/systemsharedmemory/region/{quote(region, safe='')}/{verb}"
        self._ask("POST", path, [body], deadline=time.monotonic() + seconds)

    def _json(self, method: str, path: str, deadline: float) -> dict[str, Any]:
        answer, _ = self._ask(method, path, deadline=deadline)
        with _reading():
            read = json.loads(answer)
            if not isinstance(read, dict):
                raise ValueError("no JSON object")
            return read

    def _ask(
        self,
        method: str,
        path: str,
        body: Sequence[bytes | memoryview] = (),
        headers: Mapping[str, str] | None = None,
        *,
        deadline: float,
    ) -> tuple[bytes, Mapping[str, str]]:
        """The body and headers of a good answer.

        Raises:
            WireError: there was none.
        """
        length = {"Content-Length": str(sum(len(part) for part in body))}
        connection, late = self._connection(), threading.Event()
        try:
            connection.timeout = max(0.001, deadline - time.monotonic())
            if connection.sock is None:
                connection.connect()
                assert connection.sock is not None
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with _cut_at(deadline, connection.sock, late):
                connection.request(method, path, iter(body), {**(headers or {}), **length})
                response = connection.getresponse()
                # With a length, reading all of it notices when it ends early.
                known = response.length is not None and response.length <= _LARGEST
                answer = response.read(None if known else _LARGEST + 1)
            if late.is_set():
                raise WireError(Trouble.LATE, "no whole answer in time")
            if response.status != 200:
                words = _said(answer)
                raise WireError(Trouble.REFUSED, f"HTTP {response.status}: {words}")
            if len(answer) > _LARGEST:
                raise WireError(Trouble.GARBLED, f"the answer is longer than {_LARGEST} bytes")
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            self.close()  # the idle ones have most likely gone the same way
            if late.is_set() or isinstance(error, TimeoutError):
                raise WireError(Trouble.LATE, "no whole answer in time") from error
            # A line that is no HTTP is an answer of something else; a closed socket is none.
            closed = isinstance(error, (OSError, http.client.IncompleteRead))
            trouble = Trouble.UNREACHED if closed else Trouble.GARBLED
            raise WireError(trouble, in_short(error) or type(error).__name__) from error
        except WireError:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            self._idle.put(connection)
        return answer, dict(response.headers)

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.get_nowait()
        except Empty:
            return http.client.HTTPConnection(self._address)


@contextmanager
def _cut_at(deadline: float, sock: socket.socket, late: threading.Event) -> Iterator[None]:
    """End whatever waits on the socket when the time is over."""

    def cut() -> None:
        late.set()
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)

    left = max(0.001, deadline - time.monotonic())
    sock.settimeout(left)
    timer = threading.Timer(left, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _reading() -> Iterator[None]:
    """What was answered is somebody else's; anything may be wrong with it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise WireError(Trouble.GARBLED, f"{type(error).__name__}: {in_short(error)}") from error


def _port(item: Mapping[str, Any]) -> Port:
    return Port(str(item["name"]), str(item["datatype"]), tuple(int(n) for n in item["shape"]))


def _parameters(places: Mapping[str, Any], name: str, size: int | None) -> dict[str, Any]:
    """How a tensor travels: in a region, or as bytes behind the header."""
    if name in places:
        place = places[name]
        return {
            "shared_memory_region": place.region,
            "shared_memory_byte_size": place.size,
            "shared_memory_offset": place.offset,
        }
    return {"binary_data": True} if size is None else {"binary_data_size": size}


def _answers(body: bytes, header_length: int) -> list[Answer]:
    outputs = json.loads(body[:header_length])["outputs"]
    answers, at = [], header_length
    for output in outputs:
        port, parameters = _port(output), output.get("parameters", {})
        size = parameters.get("binary_data_size")
        if size is None:
            # As numbers in the JSON; one in shared memory has neither.
            data = output.get("data")
            flat = None if data is None else np.asarray(data, np.float32).ravel()
            answers.append(Answer(port, flat))
            continue
        if not 0 <= int(size) <= len(body) - at:
            raise ValueError(f"output {port.name} ends after the answer")
        data = np.frombuffer(body, np.float32, int(size) // 4, at) if port.kind == "FP32" else None
        answers.append(Answer(port, data))
        at += int(size)
    return answers


def _said(answer: bytes) -> str:
    """The server's own words in a refusal."""
    try:
        return in_short(str(json.loads(answer)["error"]))
    except (ValueError, KeyError, TypeError):
        return in_short(answer[:300].decode(errors="replace")) if answer else "no reason given"
