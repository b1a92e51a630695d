"""Both data paths of the listener under one contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.services import Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store, open_store
from tests.contract.listener_negotiation_suite import NegotiationSuite
from tests.contract.listener_suite import ListenerSuite, Running
from tests.contract.listener_tls_suite import ListenerTlsSuite, authority, ours, theirs

__all__ = ["authority", "ours", "theirs"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def inbox(tmp_path: Path, store: Store) -> Inbox:
    return Inbox(tmp_path / "inbox", store, minimum_free_gb=0)


def _runner(inbox: Inbox, **chosen: Any) -> Running:
    @contextmanager
    def running(
        on_stored: Callable[[Instance], None] = lambda instance: None,
        services: Sequence[Service] = (),
        **settings: Any,
    ) -> Iterator[Listener]:
        values = {"host": "127.0.0.1", "port": 0} | chosen | settings
        with Listener(ListenerSettings(**values), inbox, on_stored, services) as listener:
            yield listener

    return running


class TestOwn(ListenerSuite, NegotiationSuite, ListenerTlsSuite):
    """From the connection straight to the file."""

    @pytest.fixture
    def running(self, inbox: Inbox) -> Running:
        return _runner(inbox, data_path="own")


class TestLibrary(ListenerSuite, NegotiationSuite, ListenerTlsSuite):
    """pynetdicom alone."""

    @pytest.fixture
    def running(self, inbox: Inbox) -> Running:
        return _runner(inbox, data_path="pynetdicom")
