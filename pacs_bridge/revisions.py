"""The revisions of a study, one beside the other: what each stood on and what became of it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from imaging.language import Text
from imaging.report import Report, Signature
from pacs_bridge.states import State
from pacs_bridge.store import Store
from pacs_bridge.tables import headlines, instances, readings


@dataclass(frozen=True)
class Revision:
    """One reading of a study, in a line.

    Attributes:
        number: 1, 2, ...; a later one supersedes those before it.
        state: where it stands.
        opened_at: seconds since the epoch.
        new_images: objects that it was the first to take up.
        positive: findings in its report; None: it has none.
        because: why the study counted as complete.
        reason: why it came to nothing.
        headline: the guideline's category that counts, in a word.
        impression: the reader's words.
        signature: who signed it, and when; None: nobody did.
    """

    number: int
    state: State
    opened_at: float
    new_images: int
    positive: int | None
    because: Text
    reason: Text
    headline: str = ""
    impression: str = ""
    signature: Signature | None = None


def revisions_of(store: Store, study_uid: str) -> list[Revision]:
    """Every revision of a study, the newest first; empty: nothing was read yet."""
    came = (
        select(func.count())
        .where(
            instances.c.study_uid == readings.c.study_uid,
            instances.c.revision == readings.c.revision,
        )
        .correlate(readings)
        .scalar_subquery()
    )
    query = (
        select(readings, came.label("came"), headlines.c.headline)
        .outerjoin(
            headlines,
            (headlines.c.study_uid == readings.c.study_uid)
            & (headlines.c.revision == readings.c.revision),
        )
        .where(readings.c.study_uid == study_uid)
        .order_by(readings.c.revision.desc())
    )
    found = []
    with store.engine.connect() as db:
        for row in db.execute(query).all():
            report = Report.model_validate_json(row.report) if row.report else None
            found.append(
                Revision(
                    number=row.revision,
                    state=State(row.state),
                    opened_at=row.opened_at,
                    new_images=row.came,
                    positive=row.positive if report else None,
                    because=Text(en=row.complete_en, zh=row.complete_zh),
                    reason=Text(en=row.reason_en, zh=row.reason_zh),
                    headline=row.headline or "",
                    impression=report.impression if report else "",
                    signature=report.signature if report else None,
                )
            )
    return found
