"""What we say in a workitem of how we get on, and of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pacs_bridge.dicomweb.server.held import Held
from pacs_bridge.states import State
from pacs_bridge.ups import codes
from pacs_bridge.ups.codes import Word
from pacs_bridge.ups.content import progress_of

STATION_SCHEME = "99PREREAD"
"""Coding scheme of our station's name; private schemes begin with 99 (PS3.16 8.2)."""
PROGRESS: dict[State, tuple[int, str]] = {
    State.RECEIVING: (5, "images are coming in"),
    State.PLANNING: (15, "choosing the series"),
    State.ANALYSING: (30, "analysing"),
    State.COMPOSING: (80, "making the results"),
    State.DELIVERING: (85, "sending the results"),
    State.AWAITING_SIGNATURE: (90, "sending the results"),
    State.FINALISING: (90, "sending the results"),
    State.FINAL: (90, "sending the results"),
}
"""Per cent done, and what is being done."""


@dataclass(frozen=True)
class Performed:
    """What was done."""

    station: str
    site: str
    begun_at: float
    what: str
    """By which models."""
    comments: str
    """What came of it, in a sentence."""
    outputs: tuple[Held, ...]
    sent_to: tuple[str, ...] = ()
    """AE titles that have all of them."""
    url: str = ""
    """Of our DICOMweb server."""


def says_progress(percent: int, told: str) -> Callable[[Dataset], None]:
    """Fills in how far a workitem is."""

    def fill(workitem: Dataset) -> None:
        progress = progress_of(workitem)
        progress.ProcedureStepProgress = str(percent)
        progress.ProcedureStepProgressDescription = told[:1024]

    return fill


def says_why_not(reason: Word, told: str) -> Callable[[Dataset], None]:
    """Fills in why a workitem is cancelled."""

    def fill(workitem: Dataset) -> None:
        progress = progress_of(workitem)
        progress.ReasonForCancellation = told[:10240]
        progress.ProcedureStepDiscontinuationReasonCodeSequence = codes.coded(reason)

    return fill


def says_performed(done: Performed) -> Callable[[Dataset], None]:
    """Fills in what was done, and what was made."""

    def fill(workitem: Dataset) -> None:
        says_progress(100, "done")(workitem)
        item = Dataset()
        item.PerformedStationNameCodeSequence = codes.coded(
            (done.station[:16], STATION_SCHEME, done.site[:64])
        )
        item.PerformedStationClassCodeSequence = Sequence()
        item.PerformedStationGeographicLocationCodeSequence = Sequence()
        item.PerformedProcedureStepStartDateTime = _dt(done.begun_at)
        item.PerformedProcedureStepEndDateTime = codes.now()
        item.PerformedProcedureStepDescription = done.what[:64]
        item.CommentsOnThePerformedProcedureStep = done.comments[:1024]
        wanted = workitem.get("ScheduledWorkitemCodeSequence")
        item.PerformedWorkitemCodeSequence = (
            Sequence(list(wanted)) if wanted else codes.coded(codes.DETECTION)
        )
        item.OutputInformationSequence = Sequence(list(_outputs(done)))
        workitem.UnifiedProcedureStepPerformedProcedureSequence = Sequence([item])

    return fill


def _outputs(done: Performed) -> Iterable[Dataset]:
    """One item a series (PS3.4 table CC.2.5-2c)."""
    series: dict[tuple[str, str], list[Held]] = {}
    for each in done.outputs:
        series.setdefault((each.study_uid, each.series_uid), []).append(each)
    for (study_uid, series_uid), objects in series.items():
        item = Dataset()
        item.TypeOfInstances = "DICOM"
        item.StudyInstanceUID, item.SeriesInstanceUID = study_uid, series_uid
        item.ReferencedSOPSequence = Sequence([_reference(each) for each in objects])
        if done.sent_to:
            place = Dataset()
            place.RetrieveAETitle = list(done.sent_to)
            item.DICOMRetrievalSequence = Sequence([place])
        if done.url:
            place = Dataset()
            place.RetrieveURL = f"{done.url}/studies/{study_uid}/series/{series_uid}"
            item.WADORSRetrievalSequence = Sequence([place])
        yield item


def _reference(each: Held) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = each.sop_class_uid
    item.ReferencedSOPInstanceUID = each.sop_instance_uid
    return item


def _dt(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y%m%d%H%M%S%z")
