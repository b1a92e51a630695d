"""What the worklist says of a report in a word: the guideline category that counts."""

from __future__ import annotations

from sqlalchemy import Connection

from imaging.draft import headline
from imaging.report import Report
from pacs_bridge.database import upsert
from pacs_bridge.tables import headlines


def keep_headline(db: Connection, study_uid: str, revision: int, report: Report) -> None:
    """Keep it beside the reading, so that the list need not open the report."""
    row = {"study_uid": study_uid, "revision": revision, "headline": headline(report)}
    upsert(db, headlines, row, ["study_uid", "revision"], {"headline": row["headline"]})
