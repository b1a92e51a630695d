"""Workitems that we perform, from the claim to the end; they survive a restart."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, delete, select, update

from pacs_bridge.tables import workitem_tasks as table


class Step(StrEnum):
    """How far we are with one."""

    FETCHING = "fetching"
    """Its images are not all here."""
    READING = "reading"
    """The study is in the workflow."""
    SENDING = "sending"
    """It is read; the results are on their way."""


@dataclass(frozen=True)
class Task:
    """One of them."""

    workitem_uid: str
    study_uid: str
    step: Step
    since: float
    """When it came to this step, seconds since the epoch."""
    taken_at: float
    begun_again: bool
    """A reading that had come to nothing before was begun again for it."""


def add(db: Connection, workitem_uid: str, study_uid: str) -> None:
    """We took one."""
    now = time.time()
    db.execute(
        table.insert().values(
            workitem_uid=workitem_uid, study_uid=study_uid, step=Step.FETCHING, since=now,
            taken_at=now, begun_again=0,
        )
    )  # fmt: skip


def of(db: Connection, workitem_uid: str) -> Task | None:
    """The task of a workitem; None: we don't perform it."""
    query = select(table).where(table.c.workitem_uid == workitem_uid)
    row = db.execute(query).mappings().first()
    return None if row is None else _task(dict(row))


def others_want(db: Connection, task: Task) -> bool:
    """Whether another workitem that we took is about the same study."""
    others = (table.c.study_uid == task.study_uid) & (table.c.workitem_uid != task.workitem_uid)
    return db.execute(select(table.c.workitem_uid).where(others).limit(1)).first() is not None


def under_way(db: Connection) -> list[Task]:
    """All of them, the oldest first."""
    rows = db.execute(select(table).order_by(table.c.taken_at)).mappings()
    return [_task(dict(row)) for row in rows]


def move(db: Connection, task: Task, step: Step) -> None:
    """It comes to its next step."""
    mine = (table.c.workitem_uid == task.workitem_uid) & (table.c.step == task.step)
    db.execute(update(table).where(mine).values(step=step, since=time.time()))


def begin_again(db: Connection, task: Task) -> bool:
    """Whether it is ours to begin the reading again, which is done once."""
    mine = (table.c.workitem_uid == task.workitem_uid) & (table.c.begun_again == 0)
    return db.execute(update(table).where(mine).values(begun_again=1)).rowcount == 1


def end(db: Connection, workitem_uid: str) -> None:
    """It is done with."""
    db.execute(delete(table).where(table.c.workitem_uid == workitem_uid))


def _task(row: dict[str, object]) -> Task:
    values = row | {"step": Step(str(row["step"])), "begun_again": bool(row["begun_again"])}
    return Task(**values)  # type: ignore[arg-type]
