"""The modality of every series received, so that a search by modality opens no file.

An object's arrival stays cheap: its modality is read here, when a search first wants it, and
kept in the table ``study_modalities``. A row holds as long as nothing more of its study comes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import func, select

from pacs_bridge.database import upsert, writing
from pacs_bridge.dicomweb.server.reading import Unreadable, modality_of
from pacs_bridge.store import Store
from pacs_bridge.tables import instances, studies
from pacs_bridge.tables import study_modalities as table

BATCH = 100
"""Studies that are kept in one transaction: what was read is not lost when a caller goes."""

BySeries = dict[str, str]
"""Modality (0008,0060) by SeriesInstanceUID; empty where its objects don't say."""


@dataclass(frozen=True)
class Modalities:
    """The table. Safe to call from any number of threads and processes."""

    store: Store = field(repr=False)

    def of(self, study_uid: str) -> BySeries:
        """Those of one study's series; of one that is not here: none."""
        return self.of_studies((study_uid,)).get(study_uid, {})

    def of_studies(self, study_uids: Sequence[str] = ()) -> dict[str, BySeries]:
        """Those of several studies; none named: of all."""
        return dict(self._known(study_uids))

    # inside ------------------------------------------------------------------------------

    def _known(self, study_uids: Sequence[str]) -> Iterator[tuple[str, BySeries]]:
        query = select(
            studies.c.study_uid, studies.c.last_received_at, table.c.as_of, table.c.by_series
        ).outerjoin_from(studies, table, studies.c.study_uid == table.c.study_uid)
        if study_uids:
            query = query.where(studies.c.study_uid.in_(study_uids))
        with self.store.engine.connect() as db:
            rows = db.execute(query).all()
        stale: list[tuple[str, float, BySeries]] = []
        for study_uid, received_at, as_of, told in rows:
            known: BySeries = json.loads(told) if told else {}
            if as_of == received_at:
                yield study_uid, known
            else:
                stale.append((study_uid, received_at, known))
        for first in range(0, len(stale), BATCH):
            yield from self._learned(stale[first : first + BATCH])

    def _learned(
        self, some: Iterable[tuple[str, float, BySeries]]
    ) -> Iterator[tuple[str, BySeries]]:
        found = [
            (study_uid, received_at, self._read(study_uid, known))
            for study_uid, received_at, known in some
        ]
        with writing(self.store.engine) as db:
            for study_uid, received_at, by_series in found:
                row = {
                    "study_uid": study_uid,
                    "as_of": received_at,
                    "by_series": json.dumps(by_series),
                }
                upsert(db, table, row, ["study_uid"], row)
        yield from ((study_uid, by_series) for study_uid, _, by_series in found)

    def _read(self, study_uid: str, known: BySeries) -> BySeries:
        query = (
            select(instances.c.series_uid, func.min(instances.c.path))
            .where(instances.c.study_uid == study_uid)
            .group_by(instances.c.series_uid)
        )
        with self.store.engine.connect() as db:
            rows = db.execute(query).all()
        return {uid: known[uid] if uid in known else _modality(path) for uid, path in rows}


def _modality(path: str) -> str:
    try:
        return modality_of(Path(path))
    except Unreadable:  # a search by modality does not find it
        return ""
