"""The listener tells when the last association of a sender is over, on every data path."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import open_store
from tests.contract.listener_suite import wait
from tests.network.senders import association


@pytest.mark.parametrize("path", ["own", "pynetdicom"])
def test_a_sender_has_left_when_its_last_association_is_over(
    tmp_path: Path, path: Literal["own", "pynetdicom"]
) -> None:
    inbox = Inbox(tmp_path / "inbox", open_store(f"sqlite:///{tmp_path}/s.sqlite"), 0)
    settings = ListenerSettings(host="127.0.0.1", port=0, data_path=path)
    left: list[str] = []
    with Listener(settings, inbox, on_left=left.append) as listener:
        leave_one_by_one(listener.port, left)


def leave_one_by_one(port: int, left: list[str]) -> None:
    """Two senders, one of them twice; ``left`` is who the listener says has left."""
    with association(port, calling="CT1") as first:
        with association(port, calling="CT1") as second:
            second.release()
        wait(lambda: not second.is_alive())
        with association(port, calling="MR") as other:
            other.abort()
        wait(lambda: _these(left) == ["MR"])
        first.release()
    wait(lambda: _these(left) == ["MR", "CT1"])


def _these(left: list[str]) -> list[str]:
    return [title for title in left if title in ("CT1", "MR")]
