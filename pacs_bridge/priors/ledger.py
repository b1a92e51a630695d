"""What was asked of a PACS to compare with, so that it begins no reading when it comes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from sqlalchemy import select, update

from pacs_bridge.database import upsert, writing
from pacs_bridge.records import study_of
from pacs_bridge.store import Store, Study
from pacs_bridge.tables import instances, priors, studies

GRACE_S = 600.0
"""A PACS that is slow may still send so long after its time was up."""


@dataclass(frozen=True)
class Ledger:
    """The ``priors`` table, and the questions about the store that go with it."""

    store: Store = field(repr=False)

    def expect(self, study_uid: str, for_study_uid: str, asked_of: str, wait_s: float) -> None:
        """From now on the study's images come because we ask for them; asked again, once more."""
        now = time.time()
        row = {
            "study_uid": study_uid,
            "for_study_uid": for_study_uid,
            "asked_of": asked_of,
            "asked_at": now,
            "until": now + wait_s + GRACE_S,
            "fetched_at": None,
        }
        with writing(self.store.engine) as db:
            upsert(db, priors, row, ["study_uid"], row)

    def fetched(self, study_uid: str) -> None:
        """All that was asked for is here: what comes now was not asked for."""
        now = time.time()
        with writing(self.store.engine) as db:
            db.execute(
                update(priors)
                .where(priors.c.study_uid == study_uid)
                .values(fetched_at=now, until=now)
            )

    def cut_short(self, study_uid: str) -> bool:
        """Whether the study's images were asked for and did not all come."""
        query = select(priors.c.fetched_at).where(priors.c.study_uid == study_uid)
        with self.store.engine.connect() as db:
            row = db.execute(query).first()
        return row is not None and row[0] is None

    def studies_of(self, patient_id: str) -> list[Study]:
        """Every study held of a PatientID; none where it is empty."""
        if not patient_id:
            return []
        query = select(studies).where(studies.c.patient_id == patient_id)
        with self.store.engine.connect() as db:
            return [study_of(row) for row in db.execute(query).mappings()]

    def bytes_of(self, study_uid: str) -> int:
        """What the study's objects take, as received."""
        query = select(instances.c.bytes).where(instances.c.study_uid == study_uid)
        with self.store.engine.connect() as db:
            return sum(db.execute(query).scalars())
