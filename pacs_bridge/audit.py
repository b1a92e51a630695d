"""The audit trail: who did what to which study, in the order it happened."""

from __future__ import annotations

import time

from sqlalchemy import Connection, select

from pacs_bridge.records import Event
from pacs_bridge.tables import events


def write_event(db: Connection, who: str, what: str, study_uid: str | None, detail: str) -> None:
    """Add a line, in the transaction of what it tells of."""
    db.execute(
        events.insert().values(
            at=time.time(), who=who, what=what, study_uid=study_uid, detail=detail
        )
    )


def read_events(db: Connection, study_uid: str) -> list[Event]:
    """The lines about one study, oldest first."""
    query = select(events).where(events.c.study_uid == study_uid).order_by(events.c.id)
    return [
        Event(row["at"], row["who"], row["what"], row["study_uid"], row["detail"])
        for row in db.execute(query).mappings()
    ]
