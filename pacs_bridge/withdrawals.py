"""Readings that are wanted no longer: whoever ordered one has cancelled the order.

What has not yet been handed to the destinations is stopped: the reading becomes NOT_ANALYSED with
the reason, and whatever a worker still makes of it is discarded. A person may have it begun again.
"""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Connection, Engine, and_, delete, exists, func, select, update

from imaging.language import Text
from pacs_bridge.database import upsert
from pacs_bridge.states import State
from pacs_bridge.tables import instances, readings, studies
from pacs_bridge.tables import withdrawals as table

HOLDS_S = 3600.0
"""A reading that is only begun later than this was not what had been ordered."""
_CAN_STOP = (State.PLANNING, State.ANALYSING, State.COMPOSING)


def withdraw(db: Connection, study_uid: str, because: Text, *, images_come: bool) -> bool:
    """Stop what is made of a study; whether there was something that could be stopped.

    Args:
        db: a transaction that writes.
        study_uid: which study.
        because: shown where people look for its result.
        images_come: whether images of it are still being fetched, or may be.
    """
    held = select(studies.c.study_uid).where(studies.c.study_uid == study_uid)
    db.execute(held.with_for_update()).first()  # as Store.open_reading does
    now = time.time()
    of_it = readings.c.study_uid == study_uid
    last = db.execute(select(func.max(readings.c.revision)).where(of_it)).scalar() or 0
    told = {"reason_en": because.en, "reason_zh": because.zh}
    under_way = of_it & (readings.c.revision == last) & readings.c.state.in_(_CAN_STOP)
    ended = update(readings).where(under_way)
    ended = ended.values(state=State.NOT_ANALYSED, changed_at=now, **told)
    revisions = [last] if db.execute(ended).rowcount else []
    unread = (instances.c.study_uid == study_uid) & instances.c.revision.is_(None)
    if images_come or db.execute(select(instances.c.path).where(unread).limit(1)).first():
        revisions.append(last + 1)
    for revision in revisions:
        row = {"study_uid": study_uid, "revision": revision, "at": now, **told}
        upsert(db, table, row, ["study_uid", "revision"], row)
    return bool(revisions)


def withdrawn(engine: Engine, study_uid: str, revision: int) -> Text | None:
    """Why a reading is wanted no longer; None: it is wanted."""
    query = (
        select(table.c.reason_en, table.c.reason_zh)
        .join(readings, _of_reading())
        .where(readings.c.study_uid == study_uid, readings.c.revision == revision)
        .where(readings.c.opened_at <= table.c.at + HOLDS_S)
    )
    with engine.connect() as db:
        row = db.execute(query).first()
    return None if row is None else Text(en=row[0], zh=row[1])


def stopped() -> ColumnElement[bool]:
    """The readings that were stopped, and stay as they are unless they are wanted again."""
    return (readings.c.state == State.NOT_ANALYSED) & exists().where(_of_reading())


def want_again(db: Connection, study_uid: str, revision: int | None = None) -> None:
    """A reading is wanted after all; without ``revision`` those that are yet to be begun."""
    mine = table.c.study_uid == study_uid
    if revision is None:
        begun = select(func.max(readings.c.revision)).where(readings.c.study_uid == study_uid)
        mine &= table.c.revision > func.coalesce(begun.scalar_subquery(), 0)
    else:
        mine &= table.c.revision == revision
    db.execute(delete(table).where(mine))


def _of_reading() -> ColumnElement[bool]:
    return and_(table.c.study_uid == readings.c.study_uid, table.c.revision == readings.c.revision)
