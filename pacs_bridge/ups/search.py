"""What a search tells of a workitem (return keys of PS3.4 table CC.2.5-3)."""

from __future__ import annotations

from typing import Any

from pydicom.datadict import tag_for_keyword

from pacs_bridge.dicomweb.server.query import Query

ALWAYS = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "ScheduledProcedureStepPriority",
    "ScheduledProcedureStepModificationDateTime", "ProcedureStepLabel", "WorklistLabel",
    "ScheduledProcessingParametersSequence", "ScheduledStationNameCodeSequence",
    "ScheduledStationClassCodeSequence", "ScheduledStationGeographicLocationCodeSequence",
    "ScheduledHumanPerformersSequence", "ScheduledProcedureStepStartDateTime",
    "ExpectedCompletionDateTime", "ScheduledWorkitemCodeSequence",
    "CommentsOnTheScheduledProcedureStep", "InputReadinessState", "InputInformationSequence",
    "StudyInstanceUID", "PatientName", "PatientID", "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientBirthDate",
    "PatientSex", "AdmissionID", "IssuerOfAdmissionIDSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "ReferencedRequestSequence", "ProcedureStepState",
    "ProcedureStepProgressInformationSequence",
)  # fmt: skip
"""Given of every workitem that has it."""


_ALWAYS = frozenset(f"{tag_for_keyword(keyword):08X}" for keyword in ALWAYS)


def shown(workitem: dict[str, Any], query: Query) -> dict[str, Any]:
    """The part of a workitem that a search gives, as DICOM JSON."""
    if query.all_fields:
        return workitem
    asked = {f"{tag_for_keyword(keyword):08X}" for keyword in query.fields | query.names}
    return {tag: told for tag, told in workitem.items() if tag in _ALWAYS or tag in asked}
