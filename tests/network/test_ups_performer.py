"""Preread as the performer: what becomes of a workitem, by what becomes of the study."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from imaging.language import Text
from imaging.report import Report, Stage
from pacs_bridge.priors.ledger import Ledger
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Delivery, Instance, Store, Study
from pacs_bridge.ups.performer import Performer
from tests.contract.store_suite import report
from tests.network.orthanc import free_port
from tests.network.ups_site import UpsSite, ups_settings, ups_site
from tests.patience import PATIENT_S
from tests.workitems import workitem

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpsSite]:
    """No thread works here: each test looks by itself."""
    destination = {"name": "main", "ae_title": "PACS", "host": "127.0.0.1", "port": 1}
    folder = tmp_path_factory.mktemp("ups")
    with ups_site(ups_settings(folder, destinations=[destination])) as site:
        yield site


class Ordered:
    """A workitem over two images of a study."""

    def __init__(self, site: UpsSite, study_uid: str, **changes: Any) -> None:
        self.site, self.study_uid = site, study_uid
        self.images = {f"{study_uid}.9.{n}": CT for n in (1, 2)}
        self.path = site.create(workitem(study_uid, images=self.images, **changes))

    def arrive(self, *numbers: int) -> None:
        for n in numbers:
            uid = f"{self.study_uid}.9.{n}"
            instance = Instance(
                self.study_uid, f"{self.study_uid}.9", uid, CT, Path(f"/in/{uid}"), "a", 1, "CT1"
            )
            self.site.store.record_instance(instance, Study(self.study_uid))

    def look(self, times: int = 3) -> Dataset:
        """Let the performer do what it can; the workitem then."""
        for _ in range(times):
            performer(self.site).look()
        return self.site.get(self.path)

    def read(self, state: State, reason: str = "") -> int:
        """A reading that has come to a state."""
        store = self.site.store
        revision = store.open_reading(self.study_uid, f"test-{time.time()}")
        assert revision is not None
        store.set_state(self.study_uid, revision, state, Text(en=reason, zh=reason))
        return revision

    def made(self, revision: int) -> Report:
        """A report with its SR."""
        store, study_uid = self.site.store, self.study_uid
        made = report(1).model_copy(update={"study_uid": study_uid, "revision": revision})
        store.set_report(study_uid, revision, made)
        folder = performer(self.site).settings.storage.folder
        results = folder / "results" / study_uid / str(revision) / Stage.PRELIMINARY
        results.mkdir(parents=True)
        sr = Dataset()
        sr.SOPClassUID, sr.SOPInstanceUID = ComprehensiveSRStorage, f"{study_uid}.77.1"
        sr.StudyInstanceUID, sr.SeriesInstanceUID = study_uid, f"{study_uid}.77"
        sr.file_meta = FileMetaDataset()
        sr.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        sr.save_as(results / "sr.dcm", enforce_file_format=True)
        return made


def performer(site: UpsSite) -> Performer:
    return site.orders.performer


def progress_of(held: Dataset) -> Dataset:
    (item,) = held.ProcedureStepProgressInformationSequence
    return item


def test_it_waits_for_images_then_for_the_reading_then_for_the_delivery(
    site: UpsSite, tmp_path: Path
) -> None:
    ordered = Ordered(site, "1.2.50")
    held = ordered.look()
    assert held.ProcedureStepState == "IN PROGRESS"
    told = "0 of 2 images are here; no archive is set up to fetch it from"
    assert progress_of(held).ProcedureStepProgressDescription == told
    ordered.arrive(1)
    told = str(progress_of(ordered.look()).ProcedureStepProgressDescription)
    assert told.startswith("1 of 2 images are here")
    ordered.arrive(2)
    assert progress_of(ordered.look()).ProcedureStepProgressDescription == "images are coming in"
    revision = ordered.read(State.ANALYSING)
    assert progress_of(ordered.look()).ProcedureStepProgress == 30
    ordered.made(revision)
    site.store.set_state("1.2.50", revision, State.AWAITING_SIGNATURE)
    sent = Delivery(
        "1.2.50.77.1", "main", "1.2.50", revision, Stage.PRELIMINARY, "SR", tmp_path / "sr.dcm"
    )
    site.store.add_deliveries([sent])
    held = ordered.look()
    assert held.ProcedureStepState == "IN PROGRESS"
    assert progress_of(held).ProcedureStepProgressDescription == "sending the results"
    site.store.update_delivery(replace(sent, state=DeliveryState.DELIVERED))
    held = ordered.look()
    assert held.ProcedureStepState == "COMPLETED"
    (performed,) = held.UnifiedProcedureStepPerformedProcedureSequence
    assert performed.CommentsOnThePerformedProcedureStep == (
        "preliminary report, revision 1: 1 finding(s)"
    )
    (output,) = performed.OutputInformationSequence
    assert output.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.50.77.1"
    assert output.DICOMRetrievalSequence[0].RetrieveAETitle == "PACS"
    url = output.WADORSRetrievalSequence[0].RetrieveURL
    assert url == f"{site.url}/studies/1.2.50/series/{output.SeriesInstanceUID}"
    assert site.pacs.get(url).status_code == 200


def test_what_suits_nobody_or_fails_is_cancelled_with_the_reason(site: UpsSite) -> None:
    for n, (state, code) in enumerate(
        ((State.NOT_ANALYSED, "110522"), (State.FAILED, "110501")), start=60
    ):
        ordered = Ordered(site, f"1.2.{n}")
        ordered.arrive(1, 2)
        ordered.look()
        ordered.read(state, "12 slices are too few")
        held = ordered.look()
        assert held.ProcedureStepState == "CANCELED"
        item = progress_of(held)
        assert item.ReasonForCancellation == "12 slices are too few"
        assert item.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == code
        assert item.ProcedureStepCancellationDateTime
        assert f"1.2.{n}" not in {each[0] for each in site.begun}


def test_what_came_to_nothing_before_it_was_ordered_is_begun_again_once(site: UpsSite) -> None:
    first = Ordered(site, "1.2.65", InputReadinessState="INCOMPLETE")
    first.arrive(1, 2)
    revision = first.read(State.NOT_ANALYSED, "no model")
    ready = Dataset()
    ready.InputReadinessState = "READY"
    site.post(first.path, ready)
    assert first.look(5).ProcedureStepState == "IN PROGRESS"
    assert [b for b in site.begun if b[0] == "1.2.65"] == [("1.2.65", revision, "preread")]
    site.store.set_state("1.2.65", revision, State.NOT_ANALYSED, Text(en="again", zh="again"))
    assert progress_of(first.look()).ReasonForCancellation == "again"


def test_a_study_that_was_fetched_to_compare_with_is_read(site: UpsSite) -> None:
    ordered = Ordered(site, "1.2.66")
    Ledger(site.store).expect("1.2.66", "1.2.67", "PACS", 60)
    ordered.arrive(1, 2)
    assert not site.store.has_unread("1.2.66")
    ordered.look(5)
    assert [b for b in site.begun if b[0] == "1.2.66"] == [("1.2.66", 0, "preread")]


def test_images_that_never_come_end_the_wait(tmp_path: Path) -> None:
    source = {"ae_title": "PACS", "host": "127.0.0.1", "port": free_port()}
    settings = ups_settings(
        tmp_path / "data",
        assembly={"source": source},
        ups={"enabled": True, "wait_minutes": 0.02},
    )
    with ups_site(settings, perform=True) as site:
        ordered = Ordered(site, "1.2.70")
        deadline = time.monotonic() + PATIENT_S
        while (held := site.get(ordered.path)).ProcedureStepState != "CANCELED":
            assert time.monotonic() < deadline
            time.sleep(0.1)
        told = str(progress_of(held).ReasonForCancellation)
        assert told.startswith("the images did not come in time: 0 of 2 images are here; PACS")


def test_a_workitem_that_names_no_study_is_cancelled(site: UpsSite) -> None:
    ordered = Ordered(site, "1.2.71", StudyInstanceUID=None, InputInformationSequence=None)
    told = "the workitem names no study, or more than one, as input"
    assert progress_of(ordered.look()).ReasonForCancellation == told


def test_what_is_for_others_or_for_later_is_left_alone(site: UpsSite) -> None:
    for changes in (
        {"station": "OTHER"},
        {"ScheduledProcedureStepStartDateTime": "20990101000000"},
        {"work": ("110001", "DCM", "Image Processing")},
    ):
        ordered = Ordered(site, "1.2.72", **changes)
        assert ordered.look().ProcedureStepState == "SCHEDULED"
    mine = Ordered(site, "1.2.72", station="PREREAD", work=("1", "99X", "whatever"))
    assert mine.look().ProcedureStepState == "IN PROGRESS"


def test_one_that_goes_wrong_holds_up_no_other(
    site: UpsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = Ordered(site, "1.2.80"), Ordered(site, "1.2.81")
    instances_of = Store.instances_of

    def damaged(self: Store, study_uid: str) -> list[Instance]:
        if study_uid == "1.2.80":
            raise OSError("the disk is broken")
        return instances_of(self, study_uid)

    monkeypatch.setattr(Store, "instances_of", damaged)
    assert "the disk is broken" in progress_of(bad.look()).ReasonForCancellation
    assert site.get(good.path).ProcedureStepState == "IN PROGRESS"
