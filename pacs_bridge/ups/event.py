"""What is reported of a workitem to those who watch it (PS3.4 CC.2.4, PS3.18 11.13)."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

EVENT_CLASS = "1.2.840.10008.5.1.4.34.6.4"
STATE, CANCEL_REQUESTED, PROGRESS, STATUS, ASSIGNED = 1, 2, 3, 4, 5
"""Event types."""
EVERY = "1.2.840.10008.5.1.4.34.5"
"""The well-known UID of all workitems."""
CANCEL_WORDS = ("ReasonForCancellation", "ProcedureStepDiscontinuationReasonCodeSequence",
                "ContactURI", "ContactDisplayName")  # fmt: skip
"""What a request for cancellation may say, and the report of it passes on."""
_PROGRESS = ("ProcedureStepProgress", "ProcedureStepProgressDescription",
             "ProcedureStepProgressParametersSequence",
             "ProcedureStepCommunicationsURISequence")  # fmt: skip
_PEOPLE = ("HumanPerformerCodeSequence", "HumanPerformerOrganization")


def state_report(workitem: Dataset) -> Dataset:
    """The state, and whether the input is ready."""
    report = _report(STATE, str(workitem.SOPInstanceUID))
    report.ProcedureStepState = workitem.ProcedureStepState
    report.InputReadinessState = workitem.InputReadinessState
    for item in workitem.get("ProcedureStepProgressInformationSequence") or ():
        _pass_on(item, report, CANCEL_WORDS[:2])
    return report


def cancel_report(workitem: Dataset, request: Dataset, requester: str) -> Dataset:
    """Somebody asked that it be cancelled."""
    report = _report(CANCEL_REQUESTED, str(workitem.SOPInstanceUID))
    report.RequestingAE = requester[:16]
    _pass_on(request, report, CANCEL_WORDS)
    return report


def progress_report(workitem: Dataset) -> Dataset:
    """How far it is."""
    report = _report(PROGRESS, str(workitem.SOPInstanceUID))
    told = Dataset()
    for item in workitem.get("ProcedureStepProgressInformationSequence") or ():
        _pass_on(item, told, _PROGRESS)
    report.ProcedureStepProgressInformationSequence = Sequence([told])
    return report


def assigned_report(workitem: Dataset) -> Dataset:
    """Who is to perform it."""
    report = _report(ASSIGNED, str(workitem.SOPInstanceUID))
    _pass_on(workitem, report, ("ScheduledStationNameCodeSequence",))
    for item in workitem.get("ScheduledHumanPerformersSequence") or ():
        _pass_on(item, report, _PEOPLE)
    return report


def restarted() -> Dataset:
    """This server has started, and has kept workitems and watchers."""
    report = _report(STATUS, EVERY)
    report.SCPStatus = "RESTARTED"
    report.SubscriptionListStatus = report.UnifiedProcedureStepListStatus = "WARM START"
    return report


def reports_of_creation(workitem: Dataset) -> Iterator[Dataset]:
    """What those who watch everything hear of a new workitem."""
    yield state_report(workitem)
    if _assigned(workitem):
        yield assigned_report(workitem)


def reports_of_change(before: Dataset, after: Dataset) -> Iterator[Dataset]:
    """What those who watch a workitem hear of a change."""
    if any(
        before.get(keyword) != after.get(keyword)
        for keyword in ("ProcedureStepState", "InputReadinessState")
    ):
        yield state_report(after)
    if _assigned(before) != _assigned(after):
        yield assigned_report(after)
    if _progress(before) != _progress(after):
        yield progress_report(after)


def _report(kind: int, workitem_uid: str) -> Dataset:
    report = Dataset()
    report.AffectedSOPClassUID = EVENT_CLASS
    report.AffectedSOPInstanceUID = workitem_uid
    report.EventTypeID = kind
    return report


def _pass_on(source: Dataset, target: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if source.get(keyword):
            target[keyword] = source[keyword]


def _assigned(workitem: Dataset) -> list[Sequence]:
    keywords = ("ScheduledStationNameCodeSequence", "ScheduledHumanPerformersSequence")
    return [workitem[keyword].value for keyword in keywords if workitem.get(keyword)]


def _progress(workitem: Dataset) -> Dataset:
    item: Dataset = progress_report(workitem).ProcedureStepProgressInformationSequence[0]
    return item
