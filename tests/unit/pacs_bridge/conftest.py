"""Fixtures of the tests that keep objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_bridge.inbox import Inbox
from pacs_bridge.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{tmp_path / 'db.sqlite'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def inbox(tmp_path: Path, store: Store) -> Inbox:
    return Inbox(tmp_path / "inbox", store, minimum_free_gb=0)
