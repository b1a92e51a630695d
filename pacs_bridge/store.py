"""What is known: the only reader and writer of the tables, and the audit trail.

Every method is one transaction and can be called from any thread. Values come out frozen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    create_engine,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from imaging.language import Text
from imaging.report import FindingReview, Report, Signature, Stage
from pacs_bridge.dimse.images import is_image_class
from pacs_bridge.errors import SettingsError, UnknownStudy, WrongState
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.tables import deliveries, events, instances, metadata, readings, studies


@dataclass(frozen=True)
class Instance:
    """One received object: what it is and where it lies."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    path: Path
    sha256: str
    bytes: int
    source_ae: str


@dataclass(frozen=True)
class Study:
    """A study as its images name it."""

    study_uid: str
    patient_id: str = ""
    patient_name: str = ""
    accession_number: str = ""
    study_date: str = ""
    description: str = ""
    source_ae: str = ""
    first_received_at: float = 0.0
    last_received_at: float = 0.0


@dataclass(frozen=True)
class Reading:
    """One revision of a study and where it stands."""

    study: Study
    revision: int
    state: State
    reason: Text
    complete_because: str
    plan: str
    report: Report | None
    positive: int
    opened_at: float
    changed_at: float
    image_count: int = 0


@dataclass(frozen=True)
class Delivery:
    """One object on its way to one destination."""

    sop_instance_uid: str
    destination: str
    study_uid: str
    revision: int
    stage: Stage
    kind: str
    path: Path
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    last_error: str = ""
    next_attempt_at: float = 0.0
    delivered_at: float | None = None


@dataclass(frozen=True)
class Event:
    """One line of the audit trail."""

    at: float
    who: str
    what: str
    study_uid: str | None
    detail: str


@dataclass(frozen=True)
class Store:
    """The database.

    Args:
        engine: from :func:`open_store`.
    """

    engine: Engine = field(repr=False)

    # receiving ---------------------------------------------------------------------------

    def record_instance(self, instance: Instance, study: Study) -> bool:
        """Keep that an object arrived; True when it is new or differs from what was held."""
        now = time.time()
        with self._writing() as db:
            known = db.execute(
                select(instances.c.sha256).where(
                    instances.c.study_uid == instance.study_uid,
                    instances.c.sop_instance_uid == instance.sop_instance_uid,
                )
            ).scalar()
            if known == instance.sha256:
                return False
            row = _row(study) | {"first_received_at": now, "last_received_at": now}
            self._upsert(db, studies, row, ["study_uid"], {"last_received_at": now})
            # Reports and segmentations, our own among them when a PACS routes them back, begin
            # no reading.
            revision = None if is_image_class(instance.sop_class_uid) else 0
            row = _row(instance) | {"received_at": now, "revision": revision}
            self._upsert(db, instances, row, ["study_uid", "sop_instance_uid"], row)
            return True

    def instances_of(self, study_uid: str) -> list[Instance]:
        """Every object held of a study, by series then SOP Instance UID."""
        query = (
            select(instances)
            .where(instances.c.study_uid == study_uid)
            .order_by(instances.c.series_uid, instances.c.sop_instance_uid)
        )
        with self.engine.connect() as db:
            return [_instance(row) for row in db.execute(query).mappings()]

    def known_paths(self) -> set[str]:
        """Paths of all recorded objects (to find files that were kept but not recorded)."""
        with self.engine.connect() as db:
            return set(db.execute(select(instances.c.path)).scalars())

    def unread_studies(self) -> list[str]:
        """Studies that hold images no reading has taken up yet."""
        query = select(instances.c.study_uid).where(instances.c.revision.is_(None)).distinct()
        with self.engine.connect() as db:
            return list(db.execute(query).scalars())

    def study(self, study_uid: str) -> Study:
        """A study as its images name it.

        Raises:
            UnknownStudy: nothing of it was ever received.
        """
        with self.engine.connect() as db:
            query = select(studies).where(studies.c.study_uid == study_uid)
            row = db.execute(query).mappings().first()
        if row is None:
            raise UnknownStudy(f"study {study_uid} was never received")
        return _study(row)

    # readings ----------------------------------------------------------------------------

    def open_reading(self, study_uid: str, opened_by: str) -> int | None:
        """Begin the next revision of a study over all images held; returns its number.

        None when no image came since the last one. Asking again with the same ``opened_by``
        (a workflow that was interrupted) returns the revision it opened. An older revision
        that nobody signed becomes SUPERSEDED.

        Raises:
            UnknownStudy: nothing of it was ever received.
        """
        now = time.time()
        with self._writing() as db:
            held = select(studies.c.study_uid).where(studies.c.study_uid == study_uid)
            if not db.execute(held.with_for_update()).first():
                raise UnknownStudy(f"study {study_uid} was never received")
            mine = db.execute(
                select(readings.c.revision).where(
                    readings.c.study_uid == study_uid, readings.c.opened_by == opened_by
                )
            ).scalar()
            if mine is not None:
                return int(mine)
            unread = (instances.c.study_uid == study_uid) & instances.c.revision.is_(None)
            if not db.execute(select(func.count()).where(unread)).scalar_one():
                return None
            revision = self._last_revision(db, study_uid) + 1
            db.execute(
                update(readings)
                .where(
                    readings.c.study_uid == study_uid,
                    readings.c.state.not_in([State.FINALISING, State.FINAL]),
                )
                .values(state=State.SUPERSEDED, changed_at=now)
            )
            db.execute(
                readings.insert().values(
                    study_uid=study_uid, revision=revision, state=State.PLANNING,
                    opened_by=opened_by, opened_at=now, changed_at=now,
                )
            )  # fmt: skip
            db.execute(update(instances).where(unread).values(revision=revision))
            return revision

    def set_state(
        self, study_uid: str, revision: int, state: State, reason: Text | None = None
    ) -> None:
        """Move a reading on; a superseded one stays where it is.

        Raises:
            UnknownStudy: no such reading.
        """
        reason = reason or Text(en="", zh="")
        values = {"state": state, "reason_en": reason.en, "reason_zh": reason.zh}
        self._change(study_uid, revision, **values)

    def set_complete_because(self, study_uid: str, revision: int, because: str) -> None:
        """Keep why the study was taken for complete."""
        self._change(study_uid, revision, complete_because=because)

    def set_plan(self, study_uid: str, revision: int, plan: str) -> None:
        """Keep which series was chosen, and each refusal with its reason (JSON)."""
        self._change(study_uid, revision, plan=plan)

    def set_report(self, study_uid: str, revision: int, report: Report) -> None:
        """Keep the report."""
        positive = len(report.standing_findings)
        self._change(study_uid, revision, report=report.model_dump_json(), positive=positive)

    def reading(self, study_uid: str, revision: int | None = None) -> Reading:
        """One reading; the newest when no revision is named.

        Raises:
            UnknownStudy: no such study or revision.
        """
        query = select(readings, studies).join(studies, readings.c.study_uid == studies.c.study_uid)
        query = query.where(readings.c.study_uid == study_uid)
        if revision is not None:
            query = query.where(readings.c.revision == revision)
        query = query.order_by(readings.c.revision.desc()).limit(1)
        with self.engine.connect() as db:
            row = db.execute(query).mappings().first()
            if row is None:
                which = "" if revision is None else f", revision {revision}"
                raise UnknownStudy(f"no reading of study {study_uid}{which} is held here")
            return _reading(row, self._image_count(db, study_uid))

    def worklist(self, states: Sequence[State] = (), limit: int = 200) -> list[Reading]:
        """The newest reading of each study, newest study first.

        A study whose images are still coming in is listed too, as RECEIVING, revision 0.
        """
        newest = (
            select(readings.c.study_uid, func.max(readings.c.revision).label("revision"))
            .group_by(readings.c.study_uid)
            .subquery()
        )
        count = (
            select(func.count())
            .where(instances.c.study_uid == studies.c.study_uid)
            .correlate(studies)
            .scalar_subquery()
        )
        query = (
            select(readings, studies, count.label("image_count"))
            .select_from(studies)
            .outerjoin(newest, newest.c.study_uid == studies.c.study_uid)
            .outerjoin(
                readings,
                (readings.c.study_uid == studies.c.study_uid)
                & (readings.c.revision == newest.c.revision),
            )
            .order_by(studies.c.last_received_at.desc())
            .limit(limit)
        )
        if states:
            wanted: ColumnElement[bool] = readings.c.state.in_(states)
            if State.RECEIVING in states:
                wanted = wanted | readings.c.state.is_(None)
            query = query.where(wanted)
        with self.engine.connect() as db:
            return [_reading(row, row["image_count"]) for row in db.execute(query).mappings()]

    # the reader --------------------------------------------------------------------------

    def save_review(self, study_uid: str, revision: int, review: FindingReview, who: str) -> Report:
        """Keep a reader's verdict on one finding; returns the changed report.

        Raises:
            UnknownStudy: no such reading or finding.
            WrongState: the reading does not await a signature.
        """

        def change(report: Report) -> Report:
            if all(f.tracking_uid != review.tracking_uid for f in report.findings):
                raise UnknownStudy(f"study {study_uid} has no finding {review.tracking_uid}")
            others = [r for r in report.reviews if r.tracking_uid != review.tracking_uid]
            return report.model_copy(update={"reviews": (*others, review)})

        detail = f"finding {review.tracking_uid}: {review.verdict}, text {review.text!r}"
        return self._edit(study_uid, revision, change, who, "finding-reviewed", detail)

    def save_impression(self, study_uid: str, revision: int, text: str, who: str) -> Report:
        """Keep the reader's impression. Raises as :meth:`save_review`."""

        def change(report: Report) -> Report:
            return report.model_copy(update={"impression": text})

        return self._edit(study_uid, revision, change, who, "impression-edited", text)

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> Report:
        """Put the signature under the report and move the reading to FINALISING.

        The report kept becomes the final one (stage FINAL). Raises as :meth:`save_review`.
        """

        def change(report: Report) -> Report:
            return report.model_copy(update={"signature": signature, "stage": Stage.FINAL})

        detail = f"{signature.name}, {signature.organization}"
        return self._edit(
            study_uid, revision, change, who, "report-signed", detail, State.FINALISING
        )

    # deliveries --------------------------------------------------------------------------

    def add_deliveries(self, wanted: Iterable[Delivery]) -> None:
        """Enter objects to be delivered; those already entered stay as they are."""
        with self._writing() as db:
            for delivery in wanted:
                self._upsert(
                    db, deliveries, _row(delivery), ["sop_instance_uid", "destination"], None
                )

    def deliveries_of(self, study_uid: str, revision: int | None = None) -> list[Delivery]:
        """Where the results of a study stand with every destination."""
        query = select(deliveries).where(deliveries.c.study_uid == study_uid)
        if revision is not None:
            query = query.where(deliveries.c.revision == revision)
        query = query.order_by(deliveries.c.destination, deliveries.c.stage, deliveries.c.kind)
        with self.engine.connect() as db:
            return [_delivery(row) for row in db.execute(query).mappings()]

    def delivery(self, sop_instance_uid: str, destination: str) -> Delivery:
        """Where one object stands with one destination.

        Raises:
            UnknownStudy: it was never to go there.
        """
        query = select(deliveries).where(
            deliveries.c.sop_instance_uid == sop_instance_uid,
            deliveries.c.destination == destination,
        )
        with self.engine.connect() as db:
            row = db.execute(query).mappings().first()
        if row is None:
            raise UnknownStudy(f"{sop_instance_uid} was never to be delivered to {destination}")
        return _delivery(row)

    def deliveries_due(self, now: float, destination: str | None = None) -> list[Delivery]:
        """Everything waiting whose next attempt has come, oldest first; of one destination."""
        query = (
            select(deliveries)
            .where(deliveries.c.state == DeliveryState.WAITING, deliveries.c.next_attempt_at <= now)
            .order_by(deliveries.c.next_attempt_at)
        )
        if destination is not None:
            query = query.where(deliveries.c.destination == destination)
        with self.engine.connect() as db:
            return [_delivery(row) for row in db.execute(query).mappings()]

    def update_delivery(self, delivery: Delivery) -> None:
        """Keep how an attempt went."""
        row = _row(delivery)
        with self._writing() as db:
            db.execute(
                update(deliveries)
                .where(
                    deliveries.c.sop_instance_uid == delivery.sop_instance_uid,
                    deliveries.c.destination == delivery.destination,
                )
                .values(row)
            )

    # audit -------------------------------------------------------------------------------

    def record(self, who: str, what: str, study_uid: str | None = None, detail: str = "") -> None:
        """Add a line to the audit trail."""
        with self._writing() as db:
            _record(db, who, what, study_uid, detail)

    def events_of(self, study_uid: str) -> list[Event]:
        """The audit trail of one study, oldest first."""
        query = select(events).where(events.c.study_uid == study_uid).order_by(events.c.id)
        with self.engine.connect() as db:
            return [
                Event(row["at"], row["who"], row["what"], row["study_uid"], row["detail"])
                for row in db.execute(query).mappings()
            ]

    # inside ------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        # See _begin_sqlite: a transaction that will write takes the lock when it begins.
        with self.engine.connect() as db:
            db.execution_options(preread_writes=True)
            with db.begin():
                yield db

    def _edit(
        self, study_uid: str, revision: int, change: Any, who: str, what: str, detail: str,
        state: State | None = None,
    ) -> Report:  # fmt: skip
        where = (readings.c.study_uid == study_uid) & (readings.c.revision == revision)
        with self._writing() as db:
            query = select(readings.c.state, readings.c.report).where(where).with_for_update()
            row = db.execute(query).mappings().first()
            if row is None or not row["report"]:
                raise UnknownStudy(f"no report on study {study_uid}, revision {revision}")
            if row["state"] != State.AWAITING_SIGNATURE:
                raise WrongState(
                    f"study {study_uid} is {row['state']}; only a study that is "
                    f"{State.AWAITING_SIGNATURE} can be reviewed"
                )
            report: Report = change(Report.model_validate_json(row["report"]))
            values: dict[str, Any] = {
                "report": report.model_dump_json(),
                "positive": len(report.standing_findings),
                "changed_at": time.time(),
            }
            if state is not None:
                values["state"] = state
            done = db.execute(
                update(readings)
                .where(where, readings.c.report == row["report"], readings.c.state == row["state"])
                .values(values)
            )
            if done.rowcount != 1:
                raise WrongState(f"study {study_uid} was changed by somebody else; load it again")
            _record(db, who, what, study_uid, detail)
            return report

    def _change(self, study_uid: str, revision: int, **values: Any) -> None:
        with self._writing() as db:
            done = db.execute(
                update(readings)
                .where(
                    readings.c.study_uid == study_uid,
                    readings.c.revision == revision,
                    readings.c.state != State.SUPERSEDED,
                )
                .values(changed_at=time.time(), **values)
            )
            if done.rowcount == 0 and revision > self._last_revision(db, study_uid):
                raise UnknownStudy(f"no reading of study {study_uid}, revision {revision}")

    def _last_revision(self, db: Connection, study_uid: str) -> int:
        query = select(func.max(readings.c.revision)).where(readings.c.study_uid == study_uid)
        return db.execute(query).scalar() or 0

    def _image_count(self, db: Connection, study_uid: str) -> int:
        query = select(func.count()).where(instances.c.study_uid == study_uid)
        return db.execute(query).scalar_one()

    def _upsert(
        self, db: Connection, table: Any, row: dict[str, Any], keys: list[str],
        change: dict[str, Any] | None,
    ) -> None:  # fmt: skip
        dialect = postgresql if self.engine.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(table).values(row)
        if change is None:
            db.execute(statement.on_conflict_do_nothing(index_elements=keys))
        else:
            db.execute(statement.on_conflict_do_update(index_elements=keys, set_=change))


def open_store(url: str) -> Store:
    """Connect, make the tables that are missing, and hand out the store.

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
    except (SQLAlchemyError, ImportError) as error:
        raise SettingsError(
            f"storage.database = {url!r} can't be used: {error}. Check the URL, that the server "
            "runs and that the user may create tables; PostgreSQL needs `pip install "
            "'preread[postgres]'`"
        ) from error
    return Store(engine)


def _begin_sqlite(db: Connection) -> None:
    # A transaction that reads and then writes must hold the write lock from its beginning:
    # else two of them decide on the same rows, and SQLite answers the second "database is
    # locked" without waiting.
    writes = db.get_execution_options().get("preread_writes", False)
    db.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _tune_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # BEGIN is ours to say, see _begin_sqlite
    # WAL lets the page read while the listener writes. An image's own file is fsynced before
    # its row is written, and rows lost with the power are made again from the files.
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _record(db: Connection, who: str, what: str, study_uid: str | None, detail: str) -> None:
    db.execute(
        events.insert().values(
            at=time.time(), who=who, what=what, study_uid=study_uid, detail=detail
        )
    )


def _row(value: Any) -> dict[str, Any]:
    row = dict(vars(value))
    if "path" in row:
        row["path"] = str(row["path"])
    return row


def _study(row: RowMapping) -> Study:
    return Study(**{name: row[studies.c[name]] for name in Study.__dataclass_fields__})


def _instance(row: RowMapping) -> Instance:
    values = {name: row[name] for name in Instance.__dataclass_fields__}
    return Instance(**(values | {"path": Path(row["path"])}))


def _reading(row: RowMapping, image_count: int) -> Reading:
    study = _study(row)
    if row[readings.c.revision] is None:
        nothing = Text(en="", zh="")
        at = study.first_received_at
        return Reading(study, 0, State.RECEIVING, nothing, "", "", None, 0, at, at, image_count)
    return Reading(
        study=study,
        revision=row["revision"],
        state=State(row["state"]),
        reason=Text(en=row["reason_en"], zh=row["reason_zh"]),
        complete_because=row["complete_because"],
        plan=row["plan"],
        report=Report.model_validate_json(row["report"]) if row["report"] else None,
        positive=row["positive"],
        opened_at=row["opened_at"],
        changed_at=row["changed_at"],
        image_count=image_count,
    )


def _delivery(row: RowMapping) -> Delivery:
    values = {name: row[name] for name in Delivery.__dataclass_fields__}
    return Delivery(
        **(values | {"path": Path(row["path"]), "state": DeliveryState(row["state"]),
                     "stage": Stage(row["stage"])})
    )  # fmt: skip
