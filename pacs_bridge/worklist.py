"""The worklist's one question: the newest reading of each study, newest study first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, literal, select

from pacs_bridge.records import Reading, reading_of
from pacs_bridge.states import State
from pacs_bridge.tables import instances, readings, studies


def newest_readings(db: Connection, states: Sequence[State], limit: int) -> list[Reading]:
    """At most ``limit`` studies with their newest reading, of these states (none: all).

    Plan and report are left in the database (empty, None): a list of hundreds is asked for every
    few seconds, and a report with its outlines can be half a megabyte.
    A study whose images are still coming in has no reading yet: RECEIVING, revision 0.
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
        select(
            *(column for column in readings.c if column.name not in ("plan", "report")),
            literal("").label("plan"),
            literal("").label("report"),
            studies,
            count.label("image_count"),
        )
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
    return [reading_of(row, row["image_count"]) for row in db.execute(query).mappings()]
