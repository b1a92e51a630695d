"""Instance Availability Notification SCP (PS3.4 R.3): N-CREATE, kept in the ledger."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from pacs_bridge.announced.ledger import Announced, Announcements
from pacs_bridge.dimse.services import Answered, Asked, Service

_log = logging.getLogger(__name__)

AVAILABILITY_CLASS = "1.2.840.10008.5.1.4.33"
"""Instance Availability Notification SOP Class."""
_VALUES = ("ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE")
INVALID_VALUE = 0x0106
MISSING_ATTRIBUTE = 0x0120
NOT_AUTHORIZED = 0x0124


class _Unfit(Exception):
    """The notification breaks a rule of the standard."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def availability_service(
    ledger: Announcements,
    may_tell: Collection[str],
    on_told: Callable[[str], None] = lambda study_uid: None,
) -> tuple[Service, ...]:
    """What the listener is to offer; nothing where nobody may tell.

    Args:
        ledger: where it is kept.
        may_tell: AE titles.
        on_told: called with the StudyInstanceUID, when it is kept.
    """
    if not may_tell:
        return ()

    def handle(asked: Asked) -> Answered:
        """Answer N-CREATE.

        ====== ================================================================
        status meaning
        ====== ================================================================
        0x0000 kept
        0x0106 a UID that is none, or an unknown Instance Availability
        0x0120 no study, no series or no object is named
        0x0124 the teller is not among availability.ae_titles
        0x0110 could not be kept; telling again is safe
        ====== ================================================================
        """
        if asked.calling_ae not in may_tell:
            _log.warning(
                "refused availability notification of %r at %s: not among availability.ae_titles",
                asked.calling_ae, asked.address,
            )  # fmt: skip
            return Answered(NOT_AUTHORIZED, comment="not among availability.ae_titles here")
        try:
            told = read_notification(asked.dataset, asked.calling_ae)
        except _Unfit as error:
            return Answered(error.status, comment=str(error))
        new = ledger.keep(told)
        _log.info("%s has study %s: %d objects, %d not told of before",
                  asked.calling_ae, told[0].study_uid, len(told), new)  # fmt: skip
        on_told(told[0].study_uid)
        return Answered(0x0000)

    return (Service(AVAILABILITY_CLASS, frozenset({"N-CREATE"}), handle),)


def read_notification(dataset: Dataset, told_by: str) -> list[Announced]:
    """The objects of a notification (PS3.4 table R.3.2-1), at least one.

    Raises:
        _Unfit: see :func:`availability_service`.
    """
    now = time.time()
    study = _uid(dataset, "StudyInstanceUID")
    told = []
    for series in _items(dataset, "ReferencedSeriesSequence"):
        series_uid = _uid(series, "SeriesInstanceUID")
        for item in _items(series, "ReferencedSOPSequence"):
            told.append(
                Announced(
                    study_uid=study,
                    series_uid=series_uid,
                    sop_class_uid=_uid(item, "ReferencedSOPClassUID"),
                    sop_instance_uid=_uid(item, "ReferencedSOPInstanceUID"),
                    availability=_availability(item),
                    retrieve_ae=_titles(item),
                    told_by=told_by,
                    told_at=now,
                )
            )
    return told


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = dataset.get(keyword)
    items = list(value) if isinstance(value, Items) else []
    if not items:
        raise _Unfit(MISSING_ATTRIBUTE, f"{keyword} is missing or empty")
    return items


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "")
    if not value:
        raise _Unfit(MISSING_ATTRIBUTE, f"{keyword} is missing")
    if not UID(value).is_valid:
        raise _Unfit(INVALID_VALUE, f"{keyword} = {value[:32]!r} is no UID")
    return value


def _availability(item: Dataset) -> str:
    value = str(item.get("InstanceAvailability") or "")
    if value not in _VALUES:
        raise _Unfit(INVALID_VALUE, f"InstanceAvailability = {value[:20]!r}")
    return value


def _titles(item: Dataset) -> str:
    value = item.get("RetrieveAETitle") or ""
    return value if isinstance(value, str) else "\\".join(str(each) for each in value)
