"""The listener tells when the last association of a sender is over, on every data path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import open_store
from tests.contract.listener_suite import wait
from tests.network.senders import association


@pytest.mark.parametrize(
    "path",
    [{"data_path": "own"}, {"data_path": "pynetdicom"}, {"data_path": "own", "processes": 2}],
    ids=["own", "pynetdicom", "processes"],
)
def test_a_sender_has_left_when_its_last_association_is_over(
    tmp_path: Path, path: dict[str, Any]
) -> None:
    inbox = Inbox(tmp_path / "inbox", open_store(f"sqlite:///{tmp_path}/s.sqlite"), 0)
    settings = ListenerSettings(host="127.0.0.1", port=0, maximum_associations=2, **path)
    left: list[str] = []
    with Listener(settings, inbox, on_left=left.append) as listener:
        with association(listener.port, calling="CT1") as first:
            with association(listener.port, calling="CT1") as second:
                second.release()
            wait(lambda: not second.is_alive())
            with association(listener.port, calling="MR") as other:
                other.abort()
            wait(lambda: left == ["MR"])
            first.release()
        wait(lambda: left == ["MR", "CT1"])
