"""Triton servers that answer late, wrongly or not at all. The sockets are real."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.errors import EndpointFailed, OutOfMemory, SpecError
from models.runtime.triton import shared_memory
from tests.contract.liar import DESCRIBED, LENGTH, ONES, Handler, Liar, dump, opened, output
from tests.network.orthanc import free_port
from tests.patience import PATIENT_S

SHORT_S = 0.4


# --- what it does with an inference ------------------------------------------------------------


def test_a_right_answer_is_taken_in_the_model_s_order(liar: Liar) -> None:
    """So that the wrong ones below are wrong for the reason that they name."""
    with closing(opened(liar.url)) as runtime:
        y, z = runtime.run(ONES)
    assert (y.shape, z.shape) == ((2, 2, 4, 4, 4), (2, 1, 4, 4, 4))
    assert np.array_equal(y.ravel(), np.arange(256))
    assert liar.inferences == 1


def _late(handler: Handler) -> None:
    time.sleep(3 * SHORT_S)
    handler.good()


def _drips(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    with suppress(OSError):
        for _ in range(5000):
            handler.wfile.write(b" ")
            time.sleep(SHORT_S / 4)


def _drips_its_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    with suppress(OSError):
        for number in range(5000):
            handler.wfile.write(f"X-{number}: 1\r\n".encode())
            time.sleep(SHORT_S / 4)


@pytest.mark.parametrize("how", [_late, _drips, _drips_its_headers])
def test_a_late_answer_is_not_waited_for(liar: Liar, how: Callable[[Handler], None]) -> None:
    """Not twice either: the study would stand for double the time."""
    liar.infer = how
    with closing(opened(liar.url, SHORT_S)) as runtime:
        start = time.monotonic()
        with pytest.raises(EndpointFailed, match="no whole answer in time") as caught:
            runtime.run(ONES)
        assert time.monotonic() - start < PATIENT_S / 2
        assert liar.inferences == 1
        for words in (liar.url, "model one", "network.timeout_s", f"{SHORT_S:g} s"):
            assert words in str(caught.value)
        assert caught.value.retryable
        liar.infer = lambda handler: handler.good()
        assert len(runtime.run(ONES)) == 2


def _closes(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def _stops_in_the_middle(handler: Handler) -> None:
    handler.answer(b"{", **{"Content-Length": "5000"})
    _closes(handler)


@pytest.mark.parametrize("how", [_closes, _stops_in_the_middle])
def test_a_lost_connection_is_tried_once_more(liar: Liar, how: Callable[[Handler], None]) -> None:
    liar.infer = how
    with closing(opened(liar.url)) as runtime:
        with pytest.raises(EndpointFailed, match="check that the server runs"):
            runtime.run(ONES)
        assert liar.inferences == 2

        def once(handler: Handler) -> None:
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


HEADER = dump({"outputs": [output("y", [2, 2, 4, 4, 4], np.zeros(256, np.float32))]})
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
def test_a_wrong_answer_is_refused(liar: Liar, how: Callable[[Handler], None], words: str) -> None:
    """None of them may become a result."""

    def last(handler: Handler) -> None:
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
        assert time.monotonic() - start < PATIENT_S / 2
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
