"""What a workitem has to hold when it is created, changed and ended (PS3.4 table CC.2.5-3)."""

from __future__ import annotations

from copy import copy
from typing import Any

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups import codes
from pacs_bridge.ups.order import at
from pacs_bridge.ups.states import INCONSISTENT, UpsState, is_uid

PUSH_CLASS = "1.2.840.10008.5.1.4.34.6.1"
"""SOP class of every workitem."""
DEFAULT_LABEL = "Preread"
"""Worklist Label of a workitem that came without."""

_NEEDED = {
    "ScheduledProcedureStepPriority": ("HIGH", "MEDIUM", "LOW"),
    "ProcedureStepLabel": (),
    "ScheduledProcedureStepStartDateTime": (),
    "InputReadinessState": ("INCOMPLETE", "UNAVAILABLE", "READY"),
    "ProcedureStepState": ("SCHEDULED",),
}
"""Type 1 at creation, with the values that are allowed."""
_MAY_BE_EMPTY = (
    "ScheduledProcessingParametersSequence", "ScheduledStationNameCodeSequence",
    "ScheduledStationClassCodeSequence", "ScheduledStationGeographicLocationCodeSequence",
    "ScheduledWorkitemCodeSequence", "CommentsOnTheScheduledProcedureStep",
    "InputInformationSequence", "PatientName", "PatientID", "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "OtherPatientIDsSequence", "PatientBirthDate",
    "PatientSex", "AdmissionID", "IssuerOfAdmissionIDSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "ReferencedRequestSequence",
    "ProcedureStepProgressInformationSequence", "UnifiedProcedureStepPerformedProcedureSequence",
)  # fmt: skip
"""Type 2: added empty where they are missing."""
_EMPTY_AT_FIRST = (
    "TransactionUID", "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)  # fmt: skip
_FIXED = frozenset((
    "SOPClassUID", "SOPInstanceUID", "AffectedSOPInstanceUID", "RequestedSOPInstanceUID",
    "ProcedureStepState", "PatientName", "PatientID", "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence", "PatientBirthDate", "PatientSex", "AdmissionID",
    "IssuerOfAdmissionIDSequence", "AdmittingDiagnosesDescription",
    "AdmittingDiagnosesCodeSequence", "ReferencedRequestSequence", "ReplacedProcedureStepSequence",
))  # fmt: skip
"""Not to be changed once they are there."""
_AT_THE_END = (
    "ScheduledProcedureStepPriority", "ScheduledProcedureStepModificationDateTime",
    "ScheduledProcedureStepStartDateTime", "InputReadinessState", "ProcedureStepState",
)  # fmt: skip
"""Final state R."""
_PERFORMED = (
    "PerformedStationNameCodeSequence", "PerformedProcedureStepStartDateTime",
    "PerformedWorkitemCodeSequence", "PerformedProcedureStepEndDateTime",
)  # fmt: skip
"""Final state P, in each item of the performed procedure."""


def created(given: Dataset, uid: str) -> tuple[Dataset, bool]:
    """A workitem as it is kept, and whether that is more than what was given.

    Raises:
        WorkitemRefused: 400, what is missing, or has a value that it may not have.
    """
    for keyword, allowed in _NEEDED.items():
        value = str(given.get(keyword, "") or "")
        if not value:
            raise _bad(keyword, "is missing")
        if allowed and value not in allowed:
            raise _bad(keyword, f"= {value[:40]!r}, not {' or '.join(allowed)}", 0xC309)
    if at(given) is None:
        raise _bad("ScheduledProcedureStepStartDateTime", "is no date and time")
    for keyword in _EMPTY_AT_FIRST:
        if given.get(keyword):
            raise _bad(keyword, "has to be empty")
    _well_formed(given)
    made = copied(given)
    for keyword in ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID", "TransactionUID"):
        if keyword in made:
            del made[keyword]
    modified = False
    for keyword in _MAY_BE_EMPTY:
        if keyword not in made:
            setattr(made, keyword, Sequence() if dictionary_VR(keyword) == "SQ" else "")
            modified = True
    if not made.get("WorklistLabel"):
        made.WorklistLabel = DEFAULT_LABEL
        modified = True
    made.SOPClassUID, made.SOPInstanceUID = PUSH_CLASS, uid
    return stamped(made), modified


def updated(held: Dataset, changes: Dataset) -> tuple[Dataset, bool]:
    """A workitem with changes, and whether something was left out of them.

    A sequence that is given replaces the whole of the one that is held.

    Raises:
        WorkitemRefused: 400, a change that is not allowed.
    """
    _well_formed(changes)
    made, modified = copied(held), False
    for element in changes:
        keyword = element.keyword
        if keyword in ("TransactionUID", "SpecificCharacterSet"):
            continue
        if keyword == "ScheduledProcedureStepModificationDateTime":
            modified = True
        elif keyword not in _FIXED:
            made[element.tag] = element
        elif held.get(keyword) != changes.get(keyword):
            raise _bad(keyword, "can't be changed once the workitem is there")
    for keyword, allowed in _NEEDED.items():
        value = str(made.get(keyword, "") or "")
        if not value or (keyword != "ProcedureStepState" and allowed and value not in allowed):
            raise _bad(keyword, f"= {value[:40]!r}")
    if at(made) is None:
        raise _bad("ScheduledProcedureStepStartDateTime", "is no date and time")
    return stamped(made), modified


def ended(held: Dataset, state: UpsState) -> Dataset:
    """A workitem in a final state, if it may be.

    Where a cancelled one says neither when nor why, now and an unspecified reason are filled in.

    Raises:
        WorkitemRefused: 409, what it lacks.
    """
    missing = [keyword for keyword in _AT_THE_END if not held.get(keyword)]
    if state is UpsState.COMPLETED:
        performed = held.get("UnifiedProcedureStepPerformedProcedureSequence") or ()
        if not performed:
            missing.append("UnifiedProcedureStepPerformedProcedureSequence")
        for item in performed:
            missing += [keyword for keyword in _PERFORMED if not item.get(keyword)]
            if "OutputInformationSequence" not in item:  # without items: nothing was made
                missing.append("OutputInformationSequence")
    if missing:
        told = f"final state requirements are not met: {', '.join(dict.fromkeys(missing))}"
        raise WorkitemRefused(409, INCONSISTENT, told, 0xC304)
    made = copied(held)
    if state is UpsState.CANCELED:
        progress = progress_of(made)
        if not progress.get("ProcedureStepCancellationDateTime"):
            progress.ProcedureStepCancellationDateTime = codes.now()
        if not progress.get("ProcedureStepDiscontinuationReasonCodeSequence"):
            progress.ProcedureStepDiscontinuationReasonCodeSequence = codes.coded(codes.UNSPECIFIED)
    made.ProcedureStepState = state.value
    return stamped(made)


def progress_of(workitem: Dataset) -> Dataset:
    """The item that says how a workitem gets on, to be changed; made where it is not there."""
    items = workitem.get("ProcedureStepProgressInformationSequence") or [Dataset()]
    item = copied(items[0])
    workitem.ProcedureStepProgressInformationSequence = Sequence([item])
    return item


def stamped(workitem: Dataset) -> Dataset:
    """The workitem itself, with the time of its last change, and in UTF-8."""
    workitem.ScheduledProcedureStepModificationDateTime = codes.now()
    workitem.SpecificCharacterSet = "ISO_IR 192"
    return workitem


def copied(workitem: Dataset) -> Dataset:
    """The same, whose attributes can be set anew; items of sequences are shared."""
    made = Dataset()
    for element in workitem:
        made.add(copy(element))
    return made


def checked_uid(text: str, what: str) -> str:
    """A UID that a request named.

    Raises:
        WorkitemRefused: 400, it is none.
    """
    if not is_uid(text):
        raise WorkitemRefused(400, f"{what} = {text[:70]!r} is no UID.")
    return text


def _well_formed(given: Dataset) -> None:
    """Whether sequences are sequences, and the attributes that we read are what they should be."""
    for keyword in {*_NEEDED, *_MAY_BE_EMPTY, "StudyInstanceUID", "WorklistLabel"}:
        element: Any = given.get(Tag(keyword))
        if element is not None and dictionary_VR(keyword) != element.VR:
            raise _bad(keyword, f"has VR {element.VR}, not {dictionary_VR(keyword)}")
    for element in given.iterall():
        told = dictionary_VR(element.tag) if dictionary_has_tag(element.tag) else element.VR
        if (told == "SQ") != (element.VR == "SQ"):
            raise _bad(element.keyword, f"has VR {element.VR}, not {told}")
        if element.keyword == "StudyInstanceUID" and element.value:
            checked_uid(str(element.value), element.keyword)


def _bad(keyword: str, what: str, code: int = 0x0106) -> WorkitemRefused:
    return WorkitemRefused(400, f"{keyword} {what}.", code=code)
