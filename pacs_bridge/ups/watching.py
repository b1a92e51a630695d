"""Who watches which workitems, and what they have yet to hear (PS3.4 CC.2.3).

What is reported to an AE waits in the database until its notification channel has sent it, so
that a watcher that was away, or a restart, loses nothing. The newest :data:`MOST_WAITING` of the
last :data:`WAIT_S` are kept.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from sqlalchemy import Connection, delete, func, select

from pacs_bridge.database import upsert
from pacs_bridge.dicomweb.server.query import Query, parse
from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.tables import workitem_events as events
from pacs_bridge.tables import workitem_watchers as table
from pacs_bridge.ups.event import EVERY

FILTERED = "1.2.840.10008.5.1.4.34.5.1"
"""The well-known UID of all workitems that match."""
GLOBAL = (EVERY, FILTERED)
MOST_WAITING = 2000
WAIT_S = 7 * 86400.0


_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")


def checked_ae(ae_title: str) -> str:
    """An AE title that a request named, without spaces around it.

    Raises:
        WorkitemRefused: 400, it is none.
    """
    name = ae_title.strip(" ")
    if not _AE_TITLE.fullmatch(name):
        raise WorkitemRefused(400, f"{name[:40]!r} is no AE title.", code=0xC308)
    return name


@dataclass(frozen=True)
class GlobalWatcher:
    """An AE that watches every workitem, or every one that matches."""

    ae_title: str
    locked: bool
    query: Query

    def wants(self, workitem: Dataset) -> bool:
        """Whether a workitem is among them."""
        return self.query.matches(workitem)


def watch(
    db: Connection, uid: str, ae_title: str, locked: bool, keys: Iterable[tuple[str, str]] = ()
) -> None:
    """Have an AE watch a workitem, or everything."""
    row = {
        "workitem_uid": uid, "ae_title": ae_title, "locked": int(locked),
        "wanted": json.dumps([list(key) for key in keys]),
    }  # fmt: skip
    upsert(db, table, row, ["workitem_uid", "ae_title"], row)


def watches(db: Connection, uid: str, ae_title: str) -> bool:
    """Whether an AE watches a workitem by itself."""
    mine = (table.c.workitem_uid == uid) & (table.c.ae_title == ae_title)
    return db.execute(select(table.c.locked).where(mine)).first() is not None


def unwatch(db: Connection, uid: str, ae_title: str) -> int:
    """Have an AE watch it no more; how many such there were."""
    mine = (table.c.workitem_uid == uid) & (table.c.ae_title == ae_title)
    return db.execute(delete(table).where(mine)).rowcount


def unwatch_all(db: Connection, ae_title: str) -> int:
    """Have an AE watch nothing any more; how many there were."""
    return db.execute(delete(table).where(table.c.ae_title == ae_title)).rowcount


def watchers_of(db: Connection, uid: str) -> list[str]:
    """AE titles that watch a workitem."""
    return list(db.execute(select(table.c.ae_title).where(table.c.workitem_uid == uid)).scalars())


def global_watchers(db: Connection) -> Iterator[GlobalWatcher]:
    """Those that watch what is yet to be created."""
    query = select(table).where(table.c.workitem_uid.in_(GLOBAL)).order_by(table.c.ae_title)
    for row in db.execute(query).mappings().all():
        keys = [(str(name), str(value)) for name, value in json.loads(row["wanted"])]
        yield GlobalWatcher(row["ae_title"], bool(row["locked"]), parse(keys))


def everybody(db: Connection) -> list[str]:
    """All AE titles that watch anything."""
    return list(db.execute(select(table.c.ae_title).distinct()).scalars())


def tell(db: Connection, ae_titles: Iterable[str], reports: Iterable[Dataset]) -> None:
    """Have something reported to AEs."""
    texts = [report.to_json() for report in reports]
    for ae_title in ae_titles:
        for text in texts:
            row = {"ae_title": ae_title, "at": time.time(), "report": text}
            db.execute(events.insert().values(**row))


def waiting_for(db: Connection, ae_title: str, most: int = 100) -> list[tuple[int, Dataset]]:
    """What an AE has yet to hear, the oldest first, with its number."""
    query = (
        select(events.c.id, events.c.report)
        .where(events.c.ae_title == ae_title)
        .order_by(events.c.id)
        .limit(most)
    )
    return [(number, Dataset.from_json(json.loads(text))) for number, text in db.execute(query)]


def heard(db: Connection, number: int) -> None:
    """An AE was told."""
    db.execute(delete(events).where(events.c.id == number))


def forget(db: Connection) -> None:
    """Give up what nobody fetched."""
    db.execute(delete(events).where(events.c.at < time.time() - WAIT_S))
    count = func.count()
    crowded = select(events.c.ae_title).group_by(events.c.ae_title).having(count > MOST_WAITING)
    for ae_title in list(db.execute(crowded).scalars()):
        mine = events.c.ae_title == ae_title
        kept = select(events.c.id).where(mine).order_by(events.c.id.desc()).limit(MOST_WAITING)
        least = db.execute(select(func.min(kept.subquery().c.id))).scalar_one()
        db.execute(delete(events).where(mine & (events.c.id < least)))
