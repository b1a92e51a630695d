"""Deliveries in the database, beyond one row: what waits where, and what was asked of whom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    case,
    delete,
    exists,
    func,
    select,
    update,
)

from pacs_bridge.database import writing
from pacs_bridge.records import Delivery, delivery_of, row_of
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store
from pacs_bridge.tables import circuits, commitments_asked, deliveries, studies, urgencies

MOST_DUE = 50
"""Deliveries that are taken up before the database is asked again."""
_AFTER_SEG = ("SR", "RTSTRUCT")
"""Kinds that refer to the SEG of their reading."""


@dataclass(frozen=True)
class Tally:
    """How many objects stand how with one destination."""

    counts: dict[DeliveryState, int] = field(default_factory=dict)
    delivered_at: float | None = None
    """The last one, UTC, seconds since the epoch."""


@dataclass(frozen=True)
class DeadLetter:
    """A delivery that was given up on, with whose it is."""

    delivery: Delivery
    patient_name: str
    patient_id: str


@dataclass(frozen=True)
class DeliveryLedger:
    """The ``deliveries`` and ``commitments_asked`` tables."""

    store: Store = field(repr=False)

    # deliveries --------------------------------------------------------------------------

    def change(self, delivery: Delivery, was: DeliveryState) -> bool:
        """Keep a delivery as it is now if it was in state ``was`` until now; returns whether.

        A result that comes through the listener, and the courier, may both want to.
        """
        with writing(self.store.engine) as db:
            done = db.execute(
                update(deliveries).where(*_named(delivery), deliveries.c.state == was)
                .values(row_of(delivery))
            )  # fmt: skip
            return done.rowcount > 0

    def due(self, now: float, destination: str, *, tried_once: bool = False) -> list[Delivery]:
        """What waits there and whose next attempt has come, in the order it is to be sent.

        Urgent studies first; then study by study, the one that came first before the others. What
        refers to a SEG that still waits is left out.

        Args:
            now: UTC, seconds since the epoch.
            destination: its name.
            tried_once: no more than one, the least tried, so that none pays for all the trying.

        Returns:
            At most :data:`MOST_DUE`.
        """
        seg = deliveries.alias("seg")
        held = exists().where(
            deliveries.c.kind.in_(_AFTER_SEG),
            seg.c.study_uid == deliveries.c.study_uid,
            seg.c.revision == deliveries.c.revision,
            seg.c.destination == deliveries.c.destination,
            seg.c.kind == "SEG",
            seg.c.state == DeliveryState.WAITING,
        )
        urgent = (
            (urgencies.c.study_uid == deliveries.c.study_uid)
            & (urgencies.c.revision == deliveries.c.revision)
            & (urgencies.c.stands == 1)
        )
        in_turn = (
            case((urgencies.c.stands == 1, 0), else_=1),
            studies.c.last_received_at,
            deliveries.c.study_uid,
            deliveries.c.revision,
            case((deliveries.c.kind == "SEG", 0), else_=1),
        )
        query = (
            select(deliveries)
            .outerjoin(urgencies, urgent)
            .outerjoin(studies, studies.c.study_uid == deliveries.c.study_uid)
            .where(
                deliveries.c.state == DeliveryState.WAITING,
                deliveries.c.destination == destination,
                deliveries.c.next_attempt_at <= now,
                ~held,
            )
            .order_by(*((deliveries.c.attempts,) if tried_once else ()), *in_turn)
            .limit(1 if tried_once else MOST_DUE)
        )
        with self.store.engine.connect() as db:
            return [delivery_of(row) for row in db.execute(query).mappings()]

    def hurry(self, destination: str) -> None:
        """Whatever waits for its next attempt there is due now."""
        waiting = deliveries.c.state == DeliveryState.WAITING
        with writing(self.store.engine) as db:
            db.execute(
                update(deliveries).where(deliveries.c.destination == destination, waiting)
                .values(next_attempt_at=0.0)
            )  # fmt: skip

    def sent(self, now: float, destination: str | None = None) -> list[Delivery]:
        """What was taken, and whose commitment is to be asked for by ``now``."""
        query = select(deliveries).where(
            deliveries.c.state == DeliveryState.SENT, deliveries.c.next_attempt_at <= now
        )
        if destination is not None:
            query = query.where(deliveries.c.destination == destination)
        with self.store.engine.connect() as db:
            rows = db.execute(query.order_by(deliveries.c.next_attempt_at)).mappings()
            return [delivery_of(row) for row in rows]

    def given_up(self, destination: str | None = None, limit: int | None = 500) -> list[DeadLetter]:
        """What was given up on, those of the newest studies first; ``limit`` None: all of it."""
        query = (
            select(deliveries, studies.c.patient_name, studies.c.patient_id)
            .outerjoin(studies, studies.c.study_uid == deliveries.c.study_uid)
            .where(deliveries.c.state == DeliveryState.GIVEN_UP)
            .order_by(studies.c.last_received_at.desc(), deliveries.c.destination)
            .limit(limit)
        )
        if destination is not None:
            query = query.where(deliveries.c.destination == destination)
        with self.store.engine.connect() as db:
            return [
                DeadLetter(delivery_of(row), row["patient_name"] or "", row["patient_id"] or "")
                for row in db.execute(query).mappings()
            ]

    def given_up_count(self) -> int:
        """How many deliveries were given up on."""
        query = select(func.count()).where(deliveries.c.state == DeliveryState.GIVEN_UP)
        with self.store.engine.connect() as db:
            return db.execute(query).scalar_one()

    def failures(self) -> dict[str, int]:
        """How many tries in a row found nobody, by destination; none: those that were found."""
        query = select(circuits.c.destination, circuits.c.failures)
        with self.store.engine.connect() as db:
            return {row.destination: row.failures for row in db.execute(query)}

    def tallies(self) -> dict[str, Tally]:
        """How many objects stand how, by destination."""
        query = select(
            deliveries.c.destination,
            deliveries.c.state,
            func.count().label("objects"),
            func.max(deliveries.c.delivered_at).label("delivered_at"),
        ).group_by(deliveries.c.destination, deliveries.c.state)
        found: dict[str, Tally] = {}
        with self.store.engine.connect() as db:
            for row in db.execute(query):
                tally = found.get(row.destination, Tally())
                last = max(filter(None, (tally.delivered_at, row.delivered_at)), default=None)
                counts = tally.counts | {DeliveryState(row.state): int(row.objects)}
                found[row.destination] = Tally(counts, last)
        return found

    # storage commitment -------------------------------------------------------------------

    def asked(self, transaction_uid: str, objects: Sequence[tuple[Delivery, str]]) -> None:
        """Keep, before it goes out, which objects a request names.

        Args:
            transaction_uid: of the request.
            objects: each with its SOP class.
        """
        with writing(self.store.engine) as db:
            for delivery, sop_class_uid in objects:
                db.execute(
                    commitments_asked.insert().values(
                        transaction_uid=transaction_uid,
                        sop_instance_uid=delivery.sop_instance_uid,
                        sop_class_uid=sop_class_uid,
                        destination=delivery.destination,
                        sending=delivery.attempts,
                        asked_at=time.time(),
                    )
                )

    def unasked(self, transaction_uid: str) -> None:
        """A request did not go out after all."""
        of_it = commitments_asked.c.transaction_uid == transaction_uid
        with writing(self.store.engine) as db:
            db.execute(delete(commitments_asked).where(of_it))

    def times_asked(self, delivery: Delivery) -> int:
        """How often commitment was asked for since the object was last sent."""
        query = select(func.count()).where(
            commitments_asked.c.sop_instance_uid == delivery.sop_instance_uid,
            commitments_asked.c.destination == delivery.destination,
            commitments_asked.c.sending == delivery.attempts,
        )
        with self.store.engine.connect() as db:
            return db.execute(query).scalar_one()

    def forget_asking(self, delivery: Delivery) -> None:
        """Begin to count anew how often commitment was asked for."""
        with writing(self.store.engine) as db:
            db.execute(
                delete(commitments_asked).where(
                    commitments_asked.c.sop_instance_uid == delivery.sop_instance_uid,
                    commitments_asked.c.destination == delivery.destination,
                )
            )

    def answered(self, transaction_uid: str) -> list[tuple[Delivery, str]]:
        """The objects that a request named, each with its SOP class; and that it was answered.

        An object that was sent again since is left out: the answer is not of that sending.
        """
        of_it = commitments_asked.c.transaction_uid == transaction_uid
        with writing(self.store.engine) as db:
            rows = self._asked_for(db, transaction_uid)
            db.execute(update(commitments_asked).where(of_it).values(answered_at=time.time()))
        return [(delivery_of(row), row["sop_class_uid"]) for row in rows]

    def _asked_for(self, db: Connection, transaction_uid: str) -> Sequence[RowMapping]:
        query = (
            select(deliveries, commitments_asked.c.sop_class_uid)
            .join(
                deliveries,
                (deliveries.c.sop_instance_uid == commitments_asked.c.sop_instance_uid)
                & (deliveries.c.destination == commitments_asked.c.destination)
                & (deliveries.c.attempts == commitments_asked.c.sending),
            )
            .where(commitments_asked.c.transaction_uid == transaction_uid)
        )
        return db.execute(query).mappings().all()


def _named(delivery: Delivery) -> tuple[ColumnElement[bool], ...]:
    return (
        deliveries.c.sop_instance_uid == delivery.sop_instance_uid,
        deliveries.c.destination == delivery.destination,
    )
