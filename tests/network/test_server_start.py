"""A server that can't start leaves nothing running."""

from __future__ import annotations

import logging
import socket
import threading
from pathlib import Path

import pytest

from pacs_bridge.errors import BridgeError
from pacs_bridge.server import Server
from pacs_bridge.settings import Settings


@pytest.mark.slow  # it loads a model
def test_a_port_that_is_taken_ends_what_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # DBOS flushes them all, and those that a command set up in another test are closed
    monkeypatch.setattr(logging.root, "handlers", [])
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = Settings.model_validate(
            {
                "storage": {"folder": tmp_path, "minimum_free_gb": 0},
                "listener": {"host": "127.0.0.1", "port": other.getsockname()[1]},
                "review": {"port": 0},
                "dicomweb": {"enabled": True},
                "ups": {"enabled": True},
                "commitment": {"peers": [{"ae_title": "CT1", "host": "ct", "port": 104}]},
                "destinations": [{"name": "a", "ae_title": "A", "host": "a", "port": 104}],
            }
        )
        with pytest.raises(BridgeError, match=r"listener\.port"):
            Server(settings).start()
    assert set(threading.enumerate()) <= before
