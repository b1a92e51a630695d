"""The store's promises on SQLite and on a real PostgreSQL of our own."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from pacs_bridge.store import Store, open_store
from tests.contract.store_suite import StoreSuite
from tests.network.orthanc import free_port


class TestSQLite(StoreSuite):
    """The embedded database."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = open_store(f"sqlite:///{tmp_path / 'preread.sqlite'}")
        yield store
        store.engine.dispose()


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A PostgreSQL with its data in a temporary folder; its URL without the database's name."""
    binaries = _binaries()
    if binaries is None or not (binaries / "initdb").exists():
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("no psycopg here: pip install 'preread[postgres]'")
    as_user: list[str] = []
    folder = Path(tempfile.mkdtemp(prefix="preread-postgresql-"))
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        try:
            pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("run by root, and there is no user postgres to run PostgreSQL as")
        shutil.chown(folder, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    data, port = folder / "data", free_port()

    def run(tool: str, *arguments: str) -> None:
        done = subprocess.run(
            [*as_user, str(binaries / tool), "-D", str(data), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    try:
        run("initdb", "-U", "preread", "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        run("pg_ctl", "-w", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql+psycopg://preread@127.0.0.1:{port}"
        run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TestPostgreSQL(StoreSuite):
    """The shared database."""

    count = 0

    @pytest.fixture
    def store(self, cluster: str) -> Iterator[Store]:
        type(self).count += 1
        name = f"preread_{self.count}"
        admin = create_engine(f"{cluster}/postgres", isolation_level="AUTOCOMMIT")
        with admin.connect() as db:
            db.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        store = open_store(f"{cluster}/{name}")
        yield store
        store.engine.dispose()
