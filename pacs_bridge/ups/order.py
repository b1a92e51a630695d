"""What a workitem asks of us, and whether it asks us."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.valuerep import DT

from pacs_bridge.ups.codes import codes_in


@dataclass(frozen=True)
class Order:
    """An analysis that is wanted."""

    study_uid: str
    """Empty: it does not say which, or names several."""
    images: frozenset[str]
    """SOPInstanceUIDs of the study that it names as input; empty: whatever there is."""
    urgent: bool
    due_at: float
    """Seconds since the epoch; never, where its input is not READY."""


def order_of(workitem: Dataset) -> Order:
    """What a workitem asks for.

    The study is the workitem's own, else the only one that its input is of; with a study of its
    own, input of others is what the requester would compare with, which we look for by ourselves.
    """
    items = list(workitem.get("InputInformationSequence") or ())
    studies = {str(item.get("StudyInstanceUID") or "") for item in items} - {""}
    study_uid = str(workitem.get("StudyInstanceUID") or "")
    if not study_uid and len(studies) == 1:
        (study_uid,) = studies
    images = frozenset(
        str(each.get("ReferencedSOPInstanceUID") or "")
        for item in items
        if str(item.get("StudyInstanceUID") or study_uid) == study_uid
        for each in item.get("ReferencedSOPSequence") or ()
    )
    ready = workitem.get("InputReadinessState") == "READY"
    due_at = at(workitem)
    return Order(
        study_uid,
        images - {""},
        workitem.get("ScheduledProcedureStepPriority") == "HIGH",
        due_at if ready and due_at is not None else math.inf,
    )


def is_ours(workitem: Dataset, stations: Collection[str], work: Collection[str]) -> bool:
    """Whether a workitem is for us to perform.

    Args:
        workitem: as it was created.
        stations: our names; one that names another station is not ours.
        work: ``value^scheme`` of the work that we do where it names no station.
    """
    named = {value for value, _ in codes_in(workitem.get("ScheduledStationNameCodeSequence"))}
    if named:
        return bool(named & set(stations))
    wanted = codes_in(workitem.get("ScheduledWorkitemCodeSequence"))
    return any(f"{value}^{scheme}" in work for value, scheme in wanted)


def at(workitem: Dataset) -> float | None:
    """When it is to begin, in seconds since the epoch; None: that can't be read."""
    value: Any = workitem.get("ScheduledProcedureStepStartDateTime")
    try:
        parsed = DT(str(value)) if value else None
        return None if parsed is None else datetime.timestamp(parsed)
    except (ValueError, OverflowError, OSError):
        return None
