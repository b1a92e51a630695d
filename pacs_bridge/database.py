"""The database connection: SQLite or PostgreSQL by URL, alike in what a transaction means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateIndex

from pacs_bridge.errors import SettingsError
from pacs_bridge.tables import metadata

WRITES = "preread_writes"
"""Execution option of a connection whose transaction will write."""


def open_engine(url: str) -> Engine:
    """Connect and make the tables and indexes that are missing.

    Args:
        url: SQLAlchemy URL of an SQLite or PostgreSQL database.

    Raises:
        SettingsError: the URL can't be used or the database can't be reached.
    """
    try:
        engine = create_engine(url, pool_pre_ping=True)
        if engine.dialect.name not in ("sqlite", "postgresql"):
            raise SettingsError(
                f"storage.database = {url!r}: use sqlite:/// or postgresql+psycopg://"
            )
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _tune_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        metadata.create_all(engine)
        for index in (index for table in metadata.tables.values() for index in table.indexes):
            with engine.begin() as db:  # waits for no writer where the index is there
                db.execute(CreateIndex(index, if_not_exists=True))
    except (SQLAlchemyError, ImportError) as error:
        raise SettingsError(
            f"storage.database = {url!r} can't be used: {error}. Check the URL, that the server "
            "runs and that the user may create tables; PostgreSQL needs `pip install "
            "'preread[postgres]'`"
        ) from error
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that writes; committed when the block ends well."""
    # See _begin_sqlite: it takes the lock when it begins.
    with engine.connect() as db:
        db.execution_options(**{WRITES: True})
        with db.begin():
            yield db


def upsert(
    db: Connection, table: Any, row: dict[str, Any], keys: list[str], change: dict[str, Any] | None
) -> None:
    """Insert a row; where ``keys`` exist already, apply ``change`` (None: leave it)."""
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(row)
    if change is None:
        db.execute(statement.on_conflict_do_nothing(index_elements=keys))
    else:
        db.execute(statement.on_conflict_do_update(index_elements=keys, set_=change))


def _begin_sqlite(db: Connection) -> None:
    # A transaction that reads and then writes must hold the write lock from its beginning:
    # else two of them decide on the same rows, and SQLite answers the second "database is
    # locked" without waiting.
    writes = db.get_execution_options().get(WRITES, False)
    db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours to say, see _begin_sqlite
    # WAL lets the page read while the listener writes. An image's own file is fsynced before
    # its row is written, and rows lost with the power are made again from the files.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
