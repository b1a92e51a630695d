"""Whether what was acknowledged lies here as it came: looked for, read and hashed again."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterable, Sequence

from sqlalchemy import select

from pacs_bridge.digests import is_of
from pacs_bridge.dimse.commitment import (
    CLASS_CONFLICT,
    NO_SUCH_OBJECT,
    PROCESSING_FAILURE,
    Failure,
    Reference,
)
from pacs_bridge.errors import BridgeError
from pacs_bridge.records import Instance, instance_of
from pacs_bridge.store import Store
from pacs_bridge.tables import instances

_log = logging.getLogger(__name__)

_AT_ONCE = 500  # bound variables of one query
_DAMAGED = ".damaged"


def check(
    store: Store, references: Sequence[Reference]
) -> tuple[tuple[Reference, ...], tuple[Failure, ...]]:
    """Which objects we answer for, and which not.

    Answered for is what is recorded under its SOP class, and whose file holds the data set with
    the hash that it came with. A file that doesn't is moved aside (``.damaged``): sent once more,
    the object is written anew.

    Raises:
        SQLAlchemyError: the database can't be asked.
    """
    held = _held(store, {each.sop_instance_uid for each in references})
    good: list[Reference] = []
    bad: list[Failure] = []
    for each in references:
        found = held.get(each.sop_instance_uid, [])
        same = [instance for instance in found if instance.sop_class_uid == each.sop_class_uid]
        reasons = [_wrong(store, instance) for instance in same]
        if 0 in reasons:
            good.append(each)
        elif reasons:
            bad.append(Failure(each, reasons[0]))
        else:
            bad.append(Failure(each, CLASS_CONFLICT if found else NO_SUCH_OBJECT))
    return tuple(good), tuple(bad)


def studies_of(store: Store, references: Sequence[Reference]) -> list[str]:
    """StudyInstanceUIDs of those of the objects that are recorded here."""
    held = _held(store, {each.sop_instance_uid for each in references})
    return sorted({each.study_uid for found in held.values() for each in found})


def _held(store: Store, uids: Iterable[str]) -> dict[str, list[Instance]]:
    """By SOP Instance UID; one may be held in several studies."""
    wanted = sorted(uids)
    held: dict[str, list[Instance]] = {}
    with store.engine.connect() as db:
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            query = select(instances).where(instances.c.sop_instance_uid.in_(some))
            for row in db.execute(query).mappings():
                instance = instance_of(row)
                held.setdefault(instance.sop_instance_uid, []).append(instance)
    return held


def _wrong(store: Store, instance: Instance) -> int:
    """The failure reason of an object that is recorded; 0: nothing is wrong with it."""
    try:
        if is_of(instance.digest, instance.path):
            return 0
        found = "its content is not what came"
    except FileNotFoundError:
        _log.error("%s is recorded and not there: no commitment to it", instance.path)
        return NO_SUCH_OBJECT
    except BridgeError as error:
        found = str(error)
    except OSError as error:
        if error.errno != errno.EIO:  # it may be whole: too many open files, for example
            _log.error("%s can't be read now: %s; no commitment to it", instance.path, error)
            return PROCESSING_FAILURE
        found = f"the disk can't read it: {error}"
    _move_aside(store, instance, found)
    return PROCESSING_FAILURE


def _move_aside(store: Store, instance: Instance, found: str) -> None:
    _log.error("%s: %s; moved aside, no commitment to it", instance.path, found)
    store.record("preread", "object-damaged", instance.study_uid, f"{instance.path}: {found}")
    try:
        instance.path.rename(instance.path.with_name(instance.path.name + _DAMAGED))
    except OSError as error:
        _log.error("%s can't be moved aside: %s", instance.path, error)
