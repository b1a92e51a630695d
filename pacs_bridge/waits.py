"""Studies whose images are not all here: what is waited for, and what was begun without it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import Select, delete, select

from imaging.language import Text
from pacs_bridge.database import upsert, writing
from pacs_bridge.store import Store
from pacs_bridge.tables import unfinished
from pacs_bridge.tables import waits as table


@dataclass(frozen=True)
class Waits:
    """The ``waits`` and ``unfinished`` tables."""

    store: Store = field(repr=False)

    def keep(self, study_uid: str, because: Text) -> bool:
        """Keep what a study waits for; whether it is something new."""
        known = self.of(study_uid)
        row = {
            "study_uid": study_uid,
            "because_en": because.en,
            "because_zh": because.zh,
            "judged_at": time.time(),
        }
        with writing(self.store.engine) as db:
            upsert(db, table, row, ["study_uid"], row)
        return known != because

    def of(self, study_uid: str) -> Text | None:
        """What a study waits for; None: for nothing."""
        query = select(table.c.because_en, table.c.because_zh).where(table.c.study_uid == study_uid)
        return self._text(query)

    def forget(self, study_uid: str) -> None:
        """It waits no longer."""
        with writing(self.store.engine) as db:
            db.execute(delete(table).where(table.c.study_uid == study_uid))

    def given_up(self, study_uid: str, revision: int, because: Text) -> None:
        """Keep that a reading was begun although images were missing: its report has to say so."""
        key = {"study_uid": study_uid, "revision": revision}
        told = {"because_en": because.en, "because_zh": because.zh}
        with writing(self.store.engine) as db:
            upsert(db, unfinished, key | told, list(key), told)

    def missed(self, study_uid: str, revision: int) -> Text | None:
        """What a reading was begun without; None: nothing that is known of."""
        query = select(unfinished.c.because_en, unfinished.c.because_zh).where(
            unfinished.c.study_uid == study_uid, unfinished.c.revision == revision
        )
        return self._text(query)

    def _text(self, query: Select[str, str]) -> Text | None:
        with self.store.engine.connect() as db:
            row = db.execute(query).first()
        return Text(en=row[0], zh=row[1]) if row else None
