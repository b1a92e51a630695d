"""What a study's workitems say of how soon it is wanted."""

from __future__ import annotations

from sqlalchemy import select

from pacs_bridge.store import Store
from pacs_bridge.tables import workitem_tasks, workitems


def ordered_urgently(store: Store, study_uid: str) -> bool:
    """Whether a workitem of HIGH priority that we have taken asks for the study."""
    taken = workitem_tasks.c.workitem_uid == workitems.c.workitem_uid
    query = select(workitems.c.urgent).where(
        taken, workitem_tasks.c.study_uid == study_uid, workitems.c.urgent == 1
    )
    with store.engine.connect() as db:
        return db.execute(query.limit(1)).first() is not None
