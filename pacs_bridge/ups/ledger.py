"""The workitems themselves, in the database; each call is a part of the caller's transaction."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from sqlalchemy import Connection, RowMapping, delete, exists, select, update
from sqlalchemy.dialects import postgresql, sqlite

from pacs_bridge.database import upsert
from pacs_bridge.dicomweb.server.query import Query
from pacs_bridge.tables import workitem_watchers as watchers
from pacs_bridge.tables import workitems as table
from pacs_bridge.tables import workitems_gone as gone
from pacs_bridge.ups.order import order_of
from pacs_bridge.ups.states import FINAL, UpsState, is_uid, not_here, removed


@dataclass(frozen=True)
class Workitem:
    """One workitem as it stands."""

    uid: str
    attributes: Dataset
    """Without the Transaction UID, which only whoever claimed it may know."""
    transaction_uid: str = ""

    @property
    def state(self) -> UpsState:
        """Where it is."""
        return UpsState(str(self.attributes.ProcedureStepState))


def insert(db: Connection, workitem: Workitem, ours: bool, who: str) -> bool:
    """Keep a new one; False: there is one with its UID."""
    now = time.time()
    row = _row(workitem) | {"ours": int(ours), "created_by": who, "created_at": now}
    dialect = postgresql if db.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(workitem_uid=workitem.uid, **row)
    if_new = statement.on_conflict_do_nothing(index_elements=["workitem_uid"])
    return db.execute(if_new.returning(table.c.workitem_uid)).first() is not None


def of(db: Connection, uid: str, *, to_change: bool = False) -> Workitem:
    """The workitem of a UID.

    Args:
        db: a connection, in a transaction that writes where it is ``to_change``.
        uid: which.
        to_change: nobody else may change it until the transaction ends.

    Raises:
        WorkitemRefused: 404 there was none, 410 it has been removed.
    """
    if not is_uid(uid):
        raise not_here(uid)
    query = select(table).where(table.c.workitem_uid == uid)
    row = db.execute(query.with_for_update() if to_change else query).mappings().first()
    if row is None:
        known = db.execute(select(gone.c.at).where(gone.c.workitem_uid == uid)).first()
        raise not_here(uid) if known is None else removed(uid)
    return _workitem(row)


def put(db: Connection, workitem: Workitem, *, ours: bool | None = None) -> None:
    """Keep it as it stands now."""
    row = _row(workitem) | ({} if ours is None else {"ours": int(ours)})
    db.execute(update(table).where(table.c.workitem_uid == workitem.uid).values(**row))


def all_of(
    db: Connection, query: Query, state: str = "", study_uid: str = ""
) -> Iterator[dict[str, Any]]:
    """The workitems that match, as DICOM JSON, the newest first.

    Only what the query names is made a data set of: a workitem may name a thousand images.

    Args:
        db: a connection.
        query: what has to match.
        state: only of this one; empty: any.
        study_uid: only of this study; empty: any.
    """
    named = {f"{tag_for_keyword(name):08X}" for name in query.names}
    wanted = select(table.c.attributes).order_by(table.c.created_at.desc(), table.c.workitem_uid)
    if state:
        wanted = wanted.where(table.c.state == state)
    if study_uid:
        wanted = wanted.where(table.c.study_uid == study_uid)
    for text in db.execute(wanted).scalars():
        told = json.loads(text)
        if query.matches(Dataset.from_json({tag: told[tag] for tag in named & told.keys()})):
            yield told


def due(db: Connection) -> list[Workitem]:
    """What we are to perform now: urgent ones first, then by their time."""
    query = (
        select(table)
        .where(
            table.c.state == UpsState.SCHEDULED,
            table.c.ours == 1,
            table.c.due_at <= time.time(),
        )
        .order_by(table.c.urgent.desc(), table.c.due_at, table.c.created_at)
    )
    return [_workitem(row) for row in db.execute(query).mappings()]


def forget(db: Connection, before: float) -> int:
    """Remove what ended before a time and nobody has locked; how many.

    That they were here is remembered as long again.
    """
    db.execute(delete(gone).where(gone.c.at < before))
    locked = exists().where(watchers.c.workitem_uid == table.c.workitem_uid, watchers.c.locked == 1)
    old = table.c.state.in_(FINAL) & (table.c.changed_at < before) & ~locked
    uids = list(db.execute(select(table.c.workitem_uid).where(old)).scalars())
    for uid in uids:
        db.execute(delete(watchers).where(watchers.c.workitem_uid == uid))
        db.execute(delete(table).where(table.c.workitem_uid == uid))
        row = {"workitem_uid": uid, "at": time.time()}
        upsert(db, gone, row, ["workitem_uid"], row)
    return len(uids)


def _row(workitem: Workitem) -> dict[str, object]:
    order = order_of(workitem.attributes)
    return {
        "state": workitem.state,
        "transaction_uid": workitem.transaction_uid,
        "study_uid": order.study_uid[:64],
        "urgent": int(order.urgent),
        "due_at": None if math.isinf(order.due_at) else order.due_at,
        "attributes": workitem.attributes.to_json(),
        "changed_at": time.time(),
    }


def _workitem(row: RowMapping) -> Workitem:
    attributes = Dataset.from_json(json.loads(row["attributes"]))
    return Workitem(row["workitem_uid"], attributes, row["transaction_uid"])
