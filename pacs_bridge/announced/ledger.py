"""What archives said they have of a study, and how that compares with what is here."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select

from imaging.image_classes import is_image_class
from pacs_bridge.audit import write_event
from pacs_bridge.database import upsert, writing
from pacs_bridge.store import Store
from pacs_bridge.tables import announcements as table
from pacs_bridge.tables import instances

FETCHABLE = frozenset({"ONLINE", "NEARLINE"})
"""Instance Availability (0008,0056) of what can be fetched (PS3.3 C.4.23.1)."""


@dataclass(frozen=True)
class Announced:
    """One object that an archive told of."""

    study_uid: str
    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    availability: str
    """ONLINE, NEARLINE, OFFLINE or UNAVAILABLE."""
    retrieve_ae: str = ""
    """AE title that it can be fetched from; several are divided by a backslash."""
    told_by: str = ""
    told_at: float = 0.0


@dataclass(frozen=True)
class Announcements:
    """The ``announcements`` table."""

    store: Store = field(repr=False)
    keep_s: float = 30 * 86400.0
    """What was told longer ago is forgotten when something new is told."""

    def keep(self, told: Iterable[Announced]) -> int:
        """Keep what was told, of one study; the newest about an object counts. How many are new."""
        objects = list(told)
        if not objects:
            return 0
        study = objects[0].study_uid
        count = select(func.count()).select_from(table).where(table.c.study_uid == study)
        fetchable = sum(each.availability in FETCHABLE for each in objects)
        with writing(self.store.engine) as db:
            db.execute(delete(table).where(table.c.told_at < time.time() - self.keep_s))
            before = db.execute(count).scalar_one()
            for each in objects:
                row = dict(vars(each))
                upsert(db, table, row, ["study_uid", "sop_instance_uid"], row)
            after = db.execute(count).scalar_one()
            if not before or fetchable < len(objects):  # some archives tell of image after image
                told_of = f"{fetchable} of {len(objects)} objects can be fetched"
                write_event(db, objects[0].told_by, "available", study, told_of)
        return int(after - before)

    def of(self, study_uid: str) -> list[Announced]:
        """Everything told of a study, by series then SOP Instance UID; empty: nothing was."""
        query = (
            select(table)
            .where(table.c.study_uid == study_uid)
            .order_by(table.c.series_uid, table.c.sop_instance_uid)
        )
        with self.store.engine.connect() as db:
            return [Announced(**row) for row in db.execute(query).mappings()]

    def missing_images(self, study_uid: str) -> list[Announced]:
        """Images told of that can be fetched and are not here."""
        query = select(instances.c.sop_instance_uid).where(instances.c.study_uid == study_uid)
        with self.store.engine.connect() as db:
            held = set(db.execute(query).scalars())
        return [
            each
            for each in self.of(study_uid)
            if each.sop_instance_uid not in held
            and each.availability in FETCHABLE
            and is_image_class(each.sop_class_uid)
        ]

    def image_count(self, study_uid: str) -> int | None:
        """How many images of a study were told of that can be fetched; None: it was not told of."""
        told = self.of(study_uid)
        if not told:
            return None
        return sum(
            each.availability in FETCHABLE and is_image_class(each.sop_class_uid) for each in told
        )

    def studies_since(self, at: float) -> list[tuple[str, float]]:
        """Studies told of since a time, with the time of the last word, oldest first."""
        last = func.max(table.c.told_at)
        query = (
            select(table.c.study_uid, last)
            .group_by(table.c.study_uid)
            .having(last >= at)
            .order_by(last)
        )
        with self.store.engine.connect() as db:
            return [(uid, float(when)) for uid, when in db.execute(query).all()]
