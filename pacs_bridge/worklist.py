"""The worklist's one question: the newest reading of each study, urgent ones first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, case, exists, func, literal, select

from pacs_bridge.records import WAITING, Reading, reading_of
from pacs_bridge.states import SIGNED, State
from pacs_bridge.tables import headlines, instances, priors, readings, studies, urgencies, waits


def newest_readings(db: Connection, states: Sequence[State], limit: int) -> list[Reading]:
    """At most ``limit`` studies with their newest reading, of these states (none: all).

    Those flagged as urgent that nobody has signed come first, however old; then the newest.
    Plan and report are left in the database (empty, None): a list of hundreds is asked for every
    few seconds, and a report with its outlines can be half a megabyte.
    A study whose images are still coming in has no reading yet: RECEIVING, revision 0. One that
    was fetched only to compare with is PRIOR, and listed where that state is asked for.
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
    unread = exists().where(
        instances.c.study_uid == studies.c.study_uid, instances.c.revision.is_(None)
    )
    expected = exists().where(priors.c.study_uid == studies.c.study_uid)
    held_back = readings.c.state.is_(None) & expected & ~unread
    unsigned = (urgencies.c.stands == 1) & readings.c.state.not_in(SIGNED)
    query = (
        select(
            *(column for column in readings.c if column.name not in ("plan", "report")),
            literal("").label("plan"),
            literal("").label("report"),
            studies,
            count.label("image_count"),
            held_back.label("held_back"),
            headlines.c.headline,
            urgencies.c.stands.label("urgent"),
            urgencies.c.why_en.label("urgent_en"),
            urgencies.c.why_zh.label("urgent_zh"),
            *WAITING,
        )
        .select_from(studies)
        .outerjoin(newest, newest.c.study_uid == studies.c.study_uid)
        .outerjoin(
            readings,
            (readings.c.study_uid == studies.c.study_uid)
            & (readings.c.revision == newest.c.revision),
        )
        .outerjoin(
            headlines,
            (headlines.c.study_uid == studies.c.study_uid)
            & (headlines.c.revision == newest.c.revision),
        )
        .outerjoin(
            urgencies,
            (urgencies.c.study_uid == studies.c.study_uid)
            & (urgencies.c.revision == newest.c.revision),
        )
        .outerjoin(waits, waits.c.study_uid == studies.c.study_uid)
        .order_by(case((unsigned, 0), else_=1), studies.c.last_received_at.desc())
        .limit(limit)
    )
    wanted: ColumnElement[bool] = ~held_back
    if states:
        wanted = readings.c.state.in_(states)
        if State.RECEIVING in states:
            wanted = wanted | (readings.c.state.is_(None) & ~held_back)
        if State.PRIOR in states:
            wanted = wanted | held_back
    query = query.where(wanted)
    return [reading_of(row, row["image_count"]) for row in db.execute(query).mappings()]
