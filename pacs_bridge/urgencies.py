"""Which readings are flagged as urgent, kept beside them: the worklist opens no report.

The flag itself is the report's (``Report.urgency``); this is its shadow in the database.
"""

from __future__ import annotations

from sqlalchemy import Connection, delete

from imaging.report import Report
from pacs_bridge.audit import write_event
from pacs_bridge.database import upsert
from pacs_bridge.tables import urgencies


def keep_urgency(db: Connection, study_uid: str, revision: int, report: Report) -> None:
    """Keep whether a reading is urgent, in the transaction that keeps its report."""
    if report.urgency is None:  # of an earlier try that found more
        mine = (urgencies.c.study_uid == study_uid) & (urgencies.c.revision == revision)
        db.execute(delete(urgencies).where(mine))
        return
    why = report.urgency.why
    values = {"stands": int(report.urgent), "why_en": why.en, "why_zh": why.zh}
    row = {"study_uid": study_uid, "revision": revision, **values}
    upsert(db, urgencies, row, ["study_uid", "revision"], values)


def tell_of_change(db: Connection, who: str, study_uid: str, before: Report, now: Report) -> None:
    """A line of the audit trail where a reader's verdict took the flag back, or let it stand again.

    Nothing where it stayed as it was.
    """
    if now.urgency is None or before.urgent == now.urgent:
        return
    numbers = ", ".join(str(number) for number in now.urgency.findings)
    what = "urgent-stands-again" if now.urgent else "urgent-taken-back"
    write_event(db, who, what, study_uid, f"findings {numbers} of {now.urgency.models}")
