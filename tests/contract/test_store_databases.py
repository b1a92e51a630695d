"""The store's promises on SQLite and on a real PostgreSQL of our own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pacs_bridge.store import Store, open_store
from tests.contract.arrivals_suite import ArrivalsSuite
from tests.contract.delivery_suite import DeliverySuite
from tests.contract.postgresql import new_database, running_postgresql
from tests.contract.prior_suite import PriorSuite
from tests.contract.pull_suite import PullSuite
from tests.contract.revisions_suite import RevisionsSuite
from tests.contract.search_suite import SearchSuite
from tests.contract.services_suite import ServicesSuite
from tests.contract.store_suite import StoreSuite
from tests.contract.ups_suite import UpsSuite


class TestSQLite(
    StoreSuite,
    ArrivalsSuite,
    PriorSuite,
    ServicesSuite,
    DeliverySuite,
    PullSuite,
    UpsSuite,
    SearchSuite,
    RevisionsSuite,
):
    """The embedded database."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
        yield store
        store.engine.dispose()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with running_postgresql() as url:
        yield url


class TestPostgreSQL(
    StoreSuite,
    ArrivalsSuite,
    PriorSuite,
    ServicesSuite,
    DeliverySuite,
    PullSuite,
    UpsSuite,
    SearchSuite,
    RevisionsSuite,
):
    """The shared database."""

    count = 0

    @pytest.fixture
    def store(self, cluster: str) -> Iterator[Store]:
        type(self).count += 1
        name = f"preread_{self.count}"
        store = open_store(new_database(cluster, name))
        yield store
        store.engine.dispose()
