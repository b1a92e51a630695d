"""What becomes of an object that has come: a reading will take it up, or none is to.

Reports and segmentations, our own among them when a PACS routes them back, begin no reading; nor
do the pictures that we made.
Nor do images that we asked a PACS for to compare a newer study with: they come because of the
row that ``priors`` has of their study. Sent by somebody else, or later, the same images are
there to be read, whether they were held before or not.
"""

from __future__ import annotations

from typing import Any

from pydicom.uid import SecondaryCaptureImageStorage
from sqlalchemy import Connection, RowMapping, func, select, update

from imaging.image_classes import is_image_class
from pacs_bridge.database import upsert
from pacs_bridge.digests import same as same_object
from pacs_bridge.records import Instance, Study, row_of
from pacs_bridge.tables import deliveries, instances, priors, readings, studies

NO_READING = 0
"""In ``instances.revision``: no reading is to take it up."""
LEFT_ALONE = -1
"""A picture that came after a reading and that no model takes; see :mod:`pacs_bridge.late`."""


def record_arrival(
    db: Connection, instance: Instance, study: Study, fetched: bool | None, at: float
) -> bool:
    """Keep that an object arrived; True when there is something new to do with it.

    Args:
        db: a transaction that writes.
        instance: the object.
        study: as the object names it.
        fetched: whether we asked for it; None: its sender doesn't say, and the time decides.
        at: when it came.
    """
    known = _known(db, instance)
    image = is_image_class(instance.sop_class_uid) and not _our_picture(db, instance)
    expected = _expected(db, instance.study_uid) if image else None
    prior = expected is not None and (at <= expected["until"] if fetched is None else fetched)
    same = known is not None and same_object(known["digest"], instance.digest, instance.path)
    if same and not (image and not prior and known is not None and known["revision"] == NO_READING):
        return False
    if prior and known is not None:  # what is held may stand under a report
        return False
    change: dict[str, Any] = {"last_received_at": at}
    if expected is not None and not prior and _idle(db, instance.study_uid):
        change["first_received_at"] = at  # only now it begins to be waited for
    row = row_of(study) | {"first_received_at": at, "last_received_at": at}
    upsert(db, studies, row, ["study_uid"], change)
    revision = None if image and not prior else NO_READING
    row = row_of(instance) | {"received_at": at, "revision": revision}
    upsert(db, instances, row, ["study_uid", "sop_instance_uid"], row)
    return True


def is_plain(instance: Instance) -> bool:
    """Whether nothing but its own row and ``priors`` decides what becomes of the object."""
    return instance.sop_class_uid != SecondaryCaptureImageStorage


def take_up(db: Connection, study_uid: str) -> int:
    """Have a study's images read that were fetched only to compare with; how many there are."""
    held = select(instances.c.sop_instance_uid, instances.c.sop_class_uid).where(
        instances.c.study_uid == study_uid, instances.c.revision == NO_READING
    )
    images = [uid for uid, kind in db.execute(held).all() if is_image_class(kind)]
    for uid in images:
        where = (instances.c.study_uid == study_uid) & (instances.c.sop_instance_uid == uid)
        db.execute(update(instances).where(where).values(revision=None))
    return len(images)


def _known(db: Connection, instance: Instance) -> RowMapping | None:
    query = select(instances.c.digest, instances.c.revision).where(
        instances.c.study_uid == instance.study_uid,
        instances.c.sop_instance_uid == instance.sop_instance_uid,
    )
    return db.execute(query).mappings().first()


def _our_picture(db: Connection, instance: Instance) -> bool:
    """Whether it is a secondary capture of ours, on its way back from where it was sent."""
    if instance.sop_class_uid != SecondaryCaptureImageStorage:
        return False
    query = select(deliveries.c.kind).where(
        deliveries.c.sop_instance_uid == instance.sop_instance_uid
    )
    return db.execute(query.limit(1)).first() is not None


def _expected(db: Connection, study_uid: str) -> RowMapping | None:
    query = select(priors.c.until).where(priors.c.study_uid == study_uid)
    return db.execute(query).mappings().first()


def _idle(db: Connection, study_uid: str) -> bool:
    """Whether nobody reads, or waits to read, the study."""
    unread = (instances.c.study_uid == study_uid) & instances.c.revision.is_(None)
    for query in (
        select(func.count()).where(unread),
        select(func.count()).where(readings.c.study_uid == study_uid),
    ):
        if db.execute(query).scalar_one():
            return False
    return True
