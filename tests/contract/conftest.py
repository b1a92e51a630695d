"""Fixtures of the contract tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.contract.liar import Liar


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
