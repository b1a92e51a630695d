"""What is known: the only reader and writer of the tables.

Every method is one transaction and can be called from any thread. Values come out frozen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, func, select, update

from imaging.language import Text
from imaging.report import Report, Stage
from pacs_bridge.arrival_groups import Arrival, ArrivalGroups
from pacs_bridge.arrivals import take_up
from pacs_bridge.audit import read_events, write_event
from pacs_bridge.database import open_engine, upsert
from pacs_bridge.errors import UnknownStudy, WrongState
from pacs_bridge.headlines import keep_headline
from pacs_bridge.reader_edits import ReaderEdits
from pacs_bridge.records import (
    WAITING,
    Delivery,
    Event,
    Instance,
    Reading,
    Study,
    delivery_of,
    instance_of,
    reading_of,
    row_of,
    study_of,
)
from pacs_bridge.states import SIGNED, DeliveryState, State
from pacs_bridge.tables import deliveries, instances, readings, studies, waits
from pacs_bridge.urgencies import keep_urgency
from pacs_bridge.withdrawals import stopped, want_again
from pacs_bridge.worklist import newest_readings

__all__ = ["Delivery", "Event", "Instance", "Reading", "Store", "Study", "open_store"]


@dataclass(frozen=True)
class Store(ReaderEdits):
    """The database; ``engine`` comes from :func:`open_store`."""

    engine: Engine = field(repr=False)
    _arrivals: ArrivalGroups = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_arrivals", ArrivalGroups(self.engine))

    # receiving ---------------------------------------------------------------------------

    def record_instance(
        self,
        instance: Instance,
        study: Study,
        *,
        fetched: bool | None = None,
        arrived_at: float | None = None,
    ) -> bool:
        """Keep that an object arrived; True when it is new or differs from what was held.

        See :func:`pacs_bridge.arrivals.record_arrival` for ``fetched``.
        """
        at = time.time() if arrived_at is None else arrived_at
        return self._arrivals.record(Arrival(instance, study, fetched, at))

    def instances_of(self, study_uid: str) -> list[Instance]:
        """Every object held of a study, by series then SOP Instance UID."""
        query = (
            select(instances)
            .where(instances.c.study_uid == study_uid)
            .order_by(instances.c.series_uid, instances.c.sop_instance_uid)
        )
        with self.engine.connect() as db:
            return [instance_of(row) for row in db.execute(query).mappings()]

    def known_paths(self) -> set[str]:
        """Paths of all recorded objects (to find files that were kept but not recorded)."""
        with self.engine.connect() as db:
            return set(db.execute(select(instances.c.path)).scalars())

    def unread_studies(self) -> list[str]:
        """Studies that hold images no reading has taken up yet."""
        query = select(instances.c.study_uid).where(instances.c.revision.is_(None)).distinct()
        with self.engine.connect() as db:
            return list(db.execute(query).scalars())

    def has_unread(self, study_uid: str) -> bool:
        """Whether the study holds images no reading has taken up yet."""
        unread = (instances.c.study_uid == study_uid) & instances.c.revision.is_(None)
        with self.engine.connect() as db:
            return (
                db.execute(select(instances.c.study_uid).where(unread).limit(1)).scalar()
                is not None
            )

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
        return study_of(row)

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
                    readings.c.state.not_in(SIGNED),
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
    ) -> bool:
        """Move a reading on; one that is superseded or withdrawn stays where it is.

        Returns whether it moved.

        Raises:
            UnknownStudy: no such reading.
        """
        reason = reason or Text(en="", zh="")
        values = {"state": state, "reason_en": reason.en, "reason_zh": reason.zh}
        return self._change(study_uid, revision, **values)

    def set_complete_because(self, study_uid: str, revision: int, because: Text) -> None:
        """Keep why the study was taken for complete."""
        self._change(study_uid, revision, complete_en=because.en, complete_zh=because.zh)

    def set_plan(self, study_uid: str, revision: int, plan: str) -> None:
        """Keep which series was chosen, and each refusal with its reason (JSON)."""
        self._change(study_uid, revision, plan=plan)

    def set_report(self, study_uid: str, revision: int, report: Report) -> None:
        """Keep the report."""
        positive = len(report.standing_findings)
        with self._writing() as db:
            keep_headline(db, study_uid, revision, report)
            keep_urgency(db, study_uid, revision, report)
        self._change(study_uid, revision, report=report.model_dump_json(), positive=positive)

    def reading(self, study_uid: str, revision: int | None = None) -> Reading:
        """One reading; the newest when no revision is named.

        Raises:
            UnknownStudy: no such study or revision.
        """
        query = select(readings, studies, *WAITING)
        query = query.join(studies, readings.c.study_uid == studies.c.study_uid)
        query = query.outerjoin(waits, waits.c.study_uid == studies.c.study_uid)
        query = query.where(readings.c.study_uid == study_uid)
        if revision is not None:
            query = query.where(readings.c.revision == revision)
        query = query.order_by(readings.c.revision.desc()).limit(1)
        with self.engine.connect() as db:
            row = db.execute(query).mappings().first()
            if row is None:
                which = "" if revision is None else f", revision {revision}"
                raise UnknownStudy(f"no reading of study {study_uid}{which} is held here")
            return reading_of(row, self._image_count(db, study_uid))

    def worklist(self, states: Sequence[State] = (), limit: int = 200) -> list[Reading]:
        """The newest reading of each study: unsigned urgent ones first, then the newest study.

        A study whose images are still coming in is listed too, as RECEIVING, revision 0. Plan
        and report are left out; :meth:`reading` has them.
        """
        with self.engine.connect() as db:
            return newest_readings(db, states, limit)

    # beginning again ----------------------------------------------------------------------

    def reopen(self, study_uid: str, revision: int, who: str) -> bool:
        """Begin a reading that came to nothing again, over the same images.

        Returns whether it was signed already: then only its final objects are to be made.
        Raises UnknownStudy; WrongState when it neither failed nor was left unanalysed.
        """
        found = self.reading(study_uid, revision)
        if found.state not in (State.FAILED, State.NOT_ANALYSED):
            raise WrongState(f"study {study_uid} is {found.state}; nothing to begin again")
        signed = found.report is not None and found.report.stage is Stage.FINAL
        with self._writing() as db:
            want_again(db, study_uid, revision)
        self.set_state(study_uid, revision, State.FINALISING if signed else State.PLANNING)
        self.record(who, "begun-again", study_uid, f"revision {revision}")
        return signed

    def take_up_prior(self, study_uid: str, who: str) -> None:
        """Have a study read that was fetched only to compare with.

        Raises:
            WrongState: no image of it is held back from being read.
        """
        with self._writing() as db:
            if not take_up(db, study_uid):
                raise WrongState(f"study {study_uid} has no image that waits to be asked for")
            write_event(db, who, "prior-taken-up", study_uid, "")

    # deliveries --------------------------------------------------------------------------

    def add_deliveries(self, wanted: Iterable[Delivery]) -> None:
        """Enter objects to be delivered; those already entered stay as they are."""
        with self._writing() as db:
            for delivery in wanted:
                upsert(db, deliveries, row_of(delivery), ["sop_instance_uid", "destination"], None)

    def deliveries_of(self, study_uid: str, revision: int | None = None) -> list[Delivery]:
        """Where the results of a study stand with every destination."""
        query = select(deliveries).where(deliveries.c.study_uid == study_uid)
        if revision is not None:
            query = query.where(deliveries.c.revision == revision)
        query = query.order_by(deliveries.c.destination, deliveries.c.stage, deliveries.c.kind)
        with self.engine.connect() as db:
            return [delivery_of(row) for row in db.execute(query).mappings()]

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
        return delivery_of(row)

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
            return [delivery_of(row) for row in db.execute(query).mappings()]

    def update_delivery(self, delivery: Delivery) -> None:
        """Keep how an attempt went."""
        row = row_of(delivery)
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
            write_event(db, who, what, study_uid, detail)

    def events_of(self, study_uid: str) -> list[Event]:
        """The audit trail of one study, oldest first."""
        with self.engine.connect() as db:
            return read_events(db, study_uid)

    # inside ------------------------------------------------------------------------------

    def _change(self, study_uid: str, revision: int, **values: Any) -> bool:
        with self._writing() as db:
            done = db.execute(
                update(readings)
                .where(
                    readings.c.study_uid == study_uid,
                    readings.c.revision == revision,
                    readings.c.state != State.SUPERSEDED,
                    ~stopped(),
                )
                .values(changed_at=time.time(), **values)
            )
            if done.rowcount == 0 and revision > self._last_revision(db, study_uid):
                raise UnknownStudy(f"no reading of study {study_uid}, revision {revision}")
            return done.rowcount > 0

    def _last_revision(self, db: Connection, study_uid: str) -> int:
        of_it = readings.c.study_uid == study_uid
        return db.execute(select(func.max(readings.c.revision)).where(of_it)).scalar() or 0

    def _image_count(self, db: Connection, study_uid: str) -> int:
        of_it = instances.c.study_uid == study_uid
        return db.execute(select(func.count()).where(of_it)).scalar_one()


def open_store(url: str) -> Store:
    """Connect, make the tables that are missing, and hand out the store.

    Raises:
        SettingsError: see :func:`pacs_bridge.database.open_engine`.
    """
    return Store(open_engine(url))
