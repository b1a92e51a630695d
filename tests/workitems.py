"""Workitems that order something, for tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pacs_bridge.ups.codes import DETECTION, Word, coded

STUDY = "1.2.3"


def workitem(
    study_uid: str = STUDY,
    *,
    images: dict[str, str] | None = None,
    station: str = "",
    work: Word = DETECTION,
    **changes: Any,
) -> Dataset:
    """An order of an analysis of a study; ``images``: SOP class by SOPInstanceUID.

    ``changes`` by keyword; None leaves an attribute out.
    """
    made = Dataset()
    made.ProcedureStepState = "SCHEDULED"
    made.ScheduledProcedureStepPriority = "MEDIUM"
    made.ProcedureStepLabel = "CAD of chest CT"
    made.WorklistLabel = "AI"
    made.ScheduledProcedureStepStartDateTime = datetime.now().strftime("%Y%m%d%H%M%S")
    made.InputReadinessState = "READY"
    made.StudyInstanceUID = study_uid
    made.PatientName = "Zhang^San=张^三"
    made.PatientID = "P1"
    made.ScheduledWorkitemCodeSequence = coded(work)
    if station:
        made.ScheduledStationNameCodeSequence = coded((station, "99HOSPITAL", station))
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID, item.SeriesInstanceUID = study_uid, f"{study_uid}.9"
    references = []
    for uid, kind in (images or {}).items():
        reference = Dataset()
        reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = kind, uid
        references.append(reference)
    item.ReferencedSOPSequence = Sequence(references)
    made.InputInformationSequence = Sequence([item])
    for keyword, value in changes.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def performed(outputs: int = 1) -> Dataset:
    """What a performer sets before it completes a workitem."""
    item = Dataset()
    item.PerformedStationNameCodeSequence = coded(("AI1", "99HOSPITAL", "AI 1"))
    item.PerformedProcedureStepStartDateTime = "20260101120000"
    item.PerformedProcedureStepEndDateTime = "20260101120500"
    item.PerformedWorkitemCodeSequence = coded(DETECTION)
    made = []
    for n in range(outputs):
        output = Dataset()
        output.TypeOfInstances = "DICOM"
        output.StudyInstanceUID, output.SeriesInstanceUID = STUDY, f"{STUDY}.77"
        reference = Dataset()
        reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
        reference.ReferencedSOPInstanceUID = f"{STUDY}.77.{n}"
        output.ReferencedSOPSequence = Sequence([reference])
        made.append(output)
    item.OutputInformationSequence = Sequence(made)
    changes = Dataset()
    changes.UnifiedProcedureStepPerformedProcedureSequence = Sequence([item])
    return changes


def progress(percent: int, told: str = "at it") -> Dataset:
    """What a performer sets on its way."""
    item = Dataset()
    item.ProcedureStepProgress = str(percent)
    item.ProcedureStepProgressDescription = told
    changes = Dataset()
    changes.ProcedureStepProgressInformationSequence = Sequence([item])
    return changes


def state(wanted: str, transaction_uid: str) -> Dataset:
    """What a change of state carries."""
    asked = Dataset()
    asked.ProcedureStepState = wanted
    if transaction_uid:
        asked.TransactionUID = transaction_uid
    return asked
