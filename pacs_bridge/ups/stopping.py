"""What becomes of the work when an order that we perform is cancelled (IHE AIW-I).

Work that the order brought about is stopped: the study was fetched for it, or its reading was
begun again for it, and no other workitem wants it. A study that somebody sent here by himself is
read all the same, since it was sent to be read; only the workitem ends.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from imaging.language import Text
from pacs_bridge.audit import write_event
from pacs_bridge.tables import pulls
from pacs_bridge.ups import tasks
from pacs_bridge.ups.fetch import RULE
from pacs_bridge.ups.tasks import Step, Task
from pacs_bridge.withdrawals import withdraw

_LONGEST = 300
"""Characters of a reason that people are shown."""


def stop(db: Connection, task: Task, requester: str, reason: str, who: str) -> bool:
    """Stop the work for a workitem, in the caller's transaction.

    Args:
        db: a transaction that writes.
        task: the work.
        requester: who wants it stopped, for people.
        reason: why, in his words; may be empty.
        who: for the audit trail.

    Returns:
        Whether the workitem can be cancelled; False: the results are on their way already.
    """
    if task.step is Step.SENDING:
        return False
    if not _brought_about(db, task) or tasks.others_want(db, task):
        return True
    name, why = requester[:64], reason[:_LONGEST]
    because = Text(
        en=f"{name} cancelled the order" + (f": {why}" if why else ""),
        zh=f"{name} 取消了工作项" + (f"：{why}" if why else ""),
    )
    if not withdraw(db, task.study_uid, because, images_come=task.step is Step.FETCHING):
        return False
    write_event(db, who, "reading-withdrawn", task.study_uid, because.en)
    return True


def _brought_about(db: Connection, task: Task) -> bool:
    if not task.study_uid:
        return False
    rule = db.execute(select(pulls.c.rule).where(pulls.c.study_uid == task.study_uid)).scalar()
    return task.begun_again or rule == RULE
