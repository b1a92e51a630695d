"""What a workitem has to hold, and what it asks of us."""

from __future__ import annotations

import math

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from pacs_bridge.errors import WorkitemRefused
from pacs_bridge.ups.content import created, ended, updated
from pacs_bridge.ups.order import is_ours, order_of
from pacs_bridge.ups.states import UpsState
from tests.workitems import STUDY, performed, progress, workitem

UID = "1.2.3.400"


def refused(why: str) -> pytest.RaisesExc[WorkitemRefused]:
    return pytest.raises(WorkitemRefused, match=why)


def test_what_may_be_empty_is_filled_in_and_said() -> None:
    made, modified = created(workitem(), UID)
    assert modified
    assert made.SOPInstanceUID == UID and made.SOPClassUID == "1.2.840.10008.5.1.4.34.6.1"
    assert made.ScheduledStationNameCodeSequence == Sequence() and made.AdmissionID is not None
    assert made.ScheduledProcedureStepModificationDateTime
    again, modified = created(made, UID)
    assert not modified and again.PatientName == "Zhang^San=张^三"


def test_a_worklist_label_is_given_where_there_is_none() -> None:
    made, _ = created(workitem(WorklistLabel=None), UID)
    assert made.WorklistLabel == "Preread"


@pytest.mark.filterwarnings("ignore:Invalid value for VR DT")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ProcedureStepLabel": None}, "ProcedureStepLabel is missing"),
        ({"ScheduledProcedureStepPriority": "SOON"}, "not HIGH or MEDIUM or LOW"),
        ({"ProcedureStepState": "IN PROGRESS"}, "not SCHEDULED"),
        ({"InputReadinessState": None}, "InputReadinessState is missing"),
        ({"ScheduledProcedureStepStartDateTime": "soon"}, "no date and time"),
        ({"TransactionUID": "1.2.3"}, "TransactionUID has to be empty"),
    ],
)
def test_what_is_missing_or_wrong_is_named(changes: dict[str, object], why: str) -> None:
    with refused(why) as found:
        created(workitem(**changes), UID)
    assert found.value.status == 400


def test_the_performers_parts_have_to_be_empty_at_first() -> None:
    for part in (performed(), progress(10)):
        given = workitem()
        given.update(part)
        with refused("has to be empty"):
            created(given, UID)


def test_a_sequence_that_is_none_is_refused() -> None:
    given = workitem().to_json_dict()
    given["00404021"] = {"vr": "LO", "Value": ["1.2.3"]}
    with refused("InputInformationSequence has VR LO"):
        created(Dataset.from_json(given), UID)


def test_an_update_changes_what_it_names_and_no_more() -> None:
    held, _ = created(workitem(), UID)
    changes = Dataset()
    changes.InputReadinessState = "INCOMPLETE"
    changes.PatientID = "P1"  # as it is
    made, modified = updated(held, changes)
    assert not modified
    assert (made.InputReadinessState, made.ProcedureStepLabel) == ("INCOMPLETE", "CAD of chest CT")
    assert held.InputReadinessState == "READY"
    changes.PatientID = "P2"
    with refused("PatientID can't be changed"):
        updated(held, changes)
    state = Dataset()
    state.ProcedureStepState = "COMPLETED"
    with refused("ProcedureStepState can't be changed"):
        updated(held, state)
    label = Dataset()
    label.ProcedureStepLabel = ""
    with refused("ProcedureStepLabel"):
        updated(held, label)


def test_completed_needs_what_was_performed() -> None:
    held, _ = created(workitem(), UID)
    with refused("UnifiedProcedureStepPerformedProcedureSequence"):
        ended(held, UpsState.COMPLETED)
    whole, _ = updated(held, performed(outputs=0))
    assert ended(whole, UpsState.COMPLETED).ProcedureStepState == "COMPLETED"
    for keyword in ("PerformedWorkitemCodeSequence", "PerformedProcedureStepEndDateTime",
                    "OutputInformationSequence"):  # fmt: skip
        part = performed()
        delattr(part.UnifiedProcedureStepPerformedProcedureSequence[0], keyword)
        lacking, _ = updated(held, part)
        with refused(f"final state requirements are not met: {keyword}"):
            ended(lacking, UpsState.COMPLETED)


def test_canceled_says_when_and_why_by_itself() -> None:
    held, _ = created(workitem(), UID)
    (item,) = ended(held, UpsState.CANCELED).ProcedureStepProgressInformationSequence
    assert item.ProcedureStepCancellationDateTime
    assert item.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110513"


def test_an_order_names_its_study_and_images() -> None:
    order = order_of(workitem(images={"1.2.3.9.1": "1.2"}, ScheduledProcedureStepPriority="HIGH"))
    assert (order.study_uid, order.images, order.urgent) == (STUDY, {"1.2.3.9.1"}, True)
    assert math.isfinite(order.due_at)
    assert math.isinf(order_of(workitem(InputReadinessState="INCOMPLETE")).due_at)
    by_input = workitem(StudyInstanceUID=None)
    assert order_of(by_input).study_uid == STUDY
    other = Dataset()
    other.StudyInstanceUID = "9.9"
    by_input.InputInformationSequence.append(other)
    assert order_of(by_input).study_uid == ""
    by_input.StudyInstanceUID = STUDY  # the other one is to compare with
    assert order_of(by_input).study_uid == STUDY


def test_whose_workitem_it_is() -> None:
    work = ("110004^DCM",)
    assert is_ours(workitem(), ("PREREAD",), work)
    assert not is_ours(workitem(work=("110001", "DCM", "Image Processing")), ("PREREAD",), work)
    assert is_ours(workitem(station="PREREAD", work=("1", "99X", "x")), ("PREREAD",), ())
    assert not is_ours(workitem(station="OTHER"), ("PREREAD",), work)
    assert not is_ours(workitem(), ("PREREAD",), ())
