"""Recording arrivals many at a time: who waits for a transaction shares the next one.

While one thread writes, others queue; when it is done the first of them writes for all. A lone
sender's object is recorded by the thread that brought it, without a hand-over.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from imaging.image_classes import is_image_class
from pacs_bridge.arrivals import NO_READING, is_plain, record_arrival
from pacs_bridge.database import WRITES, writing
from pacs_bridge.records import Instance, Study, row_of
from pacs_bridge.tables import instances, priors, studies

_MOST = 64


@dataclass(frozen=True)
class Arrival:
    """An object that came; see :func:`pacs_bridge.arrivals.record_arrival`."""

    instance: Instance
    study: Study
    fetched: bool | None
    at: float


@dataclass
class _Waiting:
    arrival: Arrival
    woken: threading.Lock = field(default_factory=threading.Lock)
    leads: bool = False
    result: bool | None = None
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.woken.acquire()  # released when there is a result, or the lead to take over

    def outcome(self) -> bool:
        if self.error is not None:
            raise self.error
        if self.result is None:  # whoever wrote for it was ended before it could
            raise RuntimeError("the transaction of this object's record did not end")
        return self.result


class ArrivalGroups:
    """Records arrivals; any number of threads.

    Args:
        engine: the database.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._statements = _Statements(engine.dialect)
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []
        self._led = False
        self._kept: Connection | None = None

    def record(self, arrival: Arrival) -> bool:
        """Keep that an object arrived; when this returns it is committed.

        Returns:
            True when there is something new to do with it.

        Raises:
            SQLAlchemyError: it is not recorded.
        """
        mine = _Waiting(arrival)
        with self._lock:
            self._queue.append(mine)
            lead = not self._led
            self._led = True
        if not lead:
            mine.woken.acquire()
            if not mine.leads:
                return mine.outcome()
        self._lead()
        return mine.outcome()

    def _lead(self) -> None:
        """Write for everybody who waits, oneself first, then hand over."""
        with self._lock:
            group, self._queue = self._queue[:_MOST], self._queue[_MOST:]
        try:
            self._write(group)
        finally:
            with self._lock:
                successor = self._queue[0] if self._queue else None
                self._led = successor is not None
            for waiting in group[1:]:
                waiting.woken.release()
            if successor is not None:
                successor.leads = True
                successor.woken.release()

    def _write(self, group: Sequence[_Waiting]) -> None:
        try:
            with self._writing() as db:
                results = self._statements.record(db, [each.arrival for each in group])
        except Exception as error:  # noqa: BLE001 - the boundary: raised to each whose it is
            if len(group) == 1:
                group[0].error = error
                return
            for each in group:  # one of them may be what can't be written
                self._write([each])
            return
        for each, result in zip(group, results, strict=True):
            each.result = result

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction of whoever leads; a file's connection is kept, which is half the cost.

        That of a server is asked for anew: it may have been ended meanwhile.
        """
        if self._engine.dialect.name != "sqlite":
            with writing(self._engine) as db:
                yield db
            return
        if self._kept is None:
            self._kept = self._engine.connect().execution_options(**{WRITES: True})
        try:
            with self._kept.begin():
                yield self._kept
        except BaseException:
            self._kept.close()
            self._kept = None
            raise


class _Statements:
    """The usual case by few statements, compiled once; the others as ``arrivals`` says."""

    def __init__(self, dialect: Dialect) -> None:
        insert: Callable[..., Any] = (
            postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        )
        self._expected = _Compiled(
            select(priors.c.study_uid).where(priors.c.study_uid == bindparam("study_uid")), dialect
        )
        study = insert(studies)
        latest = {"last_received_at": study.excluded.last_received_at}
        study = study.on_conflict_do_update(index_elements=["study_uid"], set_=latest)
        self._study = _Compiled(study, dialect)
        self._instance = _Compiled(insert(instances).on_conflict_do_nothing(), dialect)

    def record(self, db: Connection, arrivals: Sequence[Arrival]) -> list[bool]:
        """Each arrival's result, in order; in the transaction given."""
        expected: dict[str, bool] = {}
        touched: dict[str, Arrival] = {}
        results = []
        for arrival in arrivals:
            study_uid = arrival.instance.study_uid
            plain = is_plain(arrival.instance)
            if plain and study_uid not in expected:
                found = self._expected.run(db, {"study_uid": study_uid}).fetchone()
                expected[study_uid] = found is not None
            if plain and not expected[study_uid] and self._is_new(db, arrival):
                touched[study_uid] = arrival
                results.append(True)
                continue
            results.append(
                record_arrival(db, arrival.instance, arrival.study, arrival.fetched, arrival.at)
            )
        for study_uid in sorted(touched):  # in one order everywhere: no two wait for each other
            at = touched[study_uid].at
            times = {"first_received_at": at, "last_received_at": at}
            self._study.run(db, row_of(touched[study_uid].study) | times)
        return results

    def _is_new(self, db: Connection, arrival: Arrival) -> bool:
        image = is_image_class(arrival.instance.sop_class_uid)
        revision = None if image else NO_READING
        row = row_of(arrival.instance) | {"received_at": arrival.at, "revision": revision}
        return bool(self._instance.run(db, row).rowcount)


class _Compiled:
    """A statement as the driver takes it: SQLAlchemy's own way costs more than the database."""

    def __init__(self, statement: Any, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._dialect = dialect
        self._text = str(compiled)
        self._names: Sequence[str] | None = compiled.positiontup

    def run(self, db: Connection, values: dict[str, Any]) -> Any:
        """The driver's cursor after it.

        Raises:
            DBAPIError: it failed.
        """
        names = self._names
        given = values if names is None else [values[name] for name in names]
        driver: Any = db.connection.driver_connection
        error_class: Any = self._dialect.loaded_dbapi.Error
        try:
            return driver.execute(self._text, given)
        except error_class as error:
            raise DBAPIError.instance(self._text, given, error, error_class) from error
