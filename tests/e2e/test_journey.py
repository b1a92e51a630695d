"""The way of a real chest CT: PACS -> Preread -> SEG and SR -> signed -> verified SR in the PACS.

Real Orthanc, DCMTK's storescu, the server as a process of its own, real Chromium.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.seg import Segmentation
from pydicom.dataset import Dataset

from pacs_bridge.states import DeliveryState, State
from tests.e2e import browser as page
from tests.e2e.server import (
    RunningServer,
    running_server,
    sensitive_model,
    wait_until,
    write_config,
)
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc

MASS_LPS_MM = np.array([56.2, 86.2, -115.6])
"""Centre of the LIDC-IDRI-0001 mass, mean over its four readers."""


@dataclass(frozen=True)
class Journey:
    """A study that has come back to the PACS, preliminary."""

    orthanc: Orthanc
    server: RunningServer
    study_uid: str
    folder: Path

    def objects(self, modality: str) -> list[Dataset]:
        """What the PACS holds of this study and modality."""
        found = []
        for series in self.orthanc.find(
            "Series", {"StudyInstanceUID": self.study_uid, "Modality": modality}
        ):
            for instance in series["Instances"]:
                found.append(pydicom.dcmread(io.BytesIO(self.orthanc.file(instance))))
        return found


@pytest.fixture(scope="module")
def journey(lidc_0001: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("journey")
    dicom, port = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        pacs = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        config = write_config(
            folder,
            dicom_port=dicom,
            page_port=port,
            models=sensitive_model(folder, 0.3),
            more=f"[assembly.source]\n{pacs}\n"
            f'[[destinations]]\nname = "Orthanc"\n{pacs}'
            'accepts = ["SEG", "SR", "GSPS", "SC", "PDF"]\ncommitment = true\n'
            '[[destinations]]\nname = "dead"\nae_title = "DEAD"\nhost = "127.0.0.1"\n'
            f"port = {free_port()}\n",
        )
        with running_server(config, port) as server:
            images = sorted(p for p in lidc_0001.rglob("*") if p.is_file())
            study = str(pydicom.dcmread(images[0], stop_before_pixels=True).StudyInstanceUID)
            sent = dcmtk(
                "storescu", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port), "+sd", "+r",
                str(lidc_0001),
            )  # fmt: skip
            assert sent.returncode == 0, sent.stderr
            routed = orthanc.send_to("PREREAD", study)
            assert routed["FailedInstancesCount"] == 0
            assert routed["InstancesCount"] == len(images)
            journey = Journey(orthanc, server, study, folder)
            wait_until(
                lambda: len(journey.objects("SR")) == 1 and len(journey.objects("SEG")) == 1,
                240,
                f"SR and SEG in Orthanc; {server.log.read_text()[-2000:]}",
            )
            yield journey


def test_the_preliminary_objects_mark_the_mass(journey: Journey) -> None:
    (sr,), (seg,) = journey.objects("SR"), journey.objects("SEG")
    assert (sr.PreliminaryFlag, sr.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert sr.StudyInstanceUID == seg.StudyInstanceUID == journey.study_uid
    assert sr.PatientID == "LIDC-IDRI-0001"
    tracked = {s.TrackingUID: s.SegmentNumber for s in seg.SegmentSequence}
    named = {
        item.UID
        for group in _measurement_groups(sr)
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "112040"
    }
    assert named == set(tracked)
    distances = [np.linalg.norm(_centre(seg, number) - MASS_LPS_MM) for number in tracked.values()]
    assert min(distances) < 8.0


def test_the_report_says_why_the_study_was_complete(journey: Journey) -> None:
    reading = journey.server.store.reading(journey.study_uid)
    assert reading.complete_because.en == "PACS ORTHANC counts 133 images, 133 are held"
    assert reading.revision == 1


def test_a_dead_destination_holds_up_no_other(journey: Journey) -> None:
    def states(name: str) -> set[DeliveryState]:
        found = journey.server.store.deliveries_of(journey.study_uid)
        return {delivery.state for delivery in found if delivery.destination == name}

    wait_until(lambda: states("Orthanc") == {DeliveryState.DELIVERED}, 60, "Orthanc's commitment")
    assert states("dead") == {DeliveryState.WAITING}
    delivered = [
        event.detail
        for event in journey.server.store.events_of(journey.study_uid)
        if event.what == "delivered"
    ]
    assert delivered and all(detail.endswith("to Orthanc (committed)") for detail in delivered)


def test_what_comes_back_from_the_pacs_begins_nothing(journey: Journey) -> None:
    """Presentation state, pictures and document lie in the PACS, which routes all of them to us."""
    report = journey.server.store.reading(journey.study_uid).report
    assert report is not None
    captures = 1 + len(report.findings)
    wait_until(
        lambda: [len(journey.objects(m)) for m in ("PR", "OT", "DOC")] == [1, captures, 1],
        60,
        "presentation state, pictures and document in Orthanc",
    )
    routed = journey.orthanc.send_to("PREREAD", journey.study_uid)
    assert routed["FailedInstancesCount"] == 0
    assert routed["InstancesCount"] == 133 + 4 + captures
    held = journey.server.store.instances_of(journey.study_uid)
    assert len(held) == 133 + 4 + captures
    assert not journey.server.store.has_unread(journey.study_uid)
    assert journey.server.store.reading(journey.study_uid).revision == 1


def test_a_radiologist_signs_and_the_verified_report_goes_back(journey: Journey) -> None:
    report = journey.server.store.reading(journey.study_uid).report
    assert report is not None
    mass = min(
        report.findings,
        key=lambda f: float(np.linalg.norm(np.array(f.centre_lps_mm) - MASS_LPS_MM)),
    )
    rejected = [f for f in report.findings if f is not mass]
    assert rejected, "the sensitive operating point gives nothing to reject"
    (preliminary,) = journey.objects("SR")
    browser = page.start_browser()
    try:
        page.open_study(browser, journey.server.url, journey.study_uid)
        browser.save_screenshot(str(journey.folder / "before.png"))
        for finding in rejected:
            page.reject(browser, finding.number)
        page.accept(browser, mass.number)
        page.edit(browser, mass.number, "Spiculated mass in the left lower lobe.")
        page.write_impression(browser, "Suspicious mass; PET-CT advised.")
        page.sign(browser, "Zhang^San", "County Hospital")
        browser.save_screenshot(str(journey.folder / "signed.png"))
        assert page.problem(browser) == ""
    finally:
        browser.quit()
    wait_until(lambda: len(journey.objects("SR")) == 2, 60, "the final SR in Orthanc")
    (final,) = (sr for sr in journey.objects("SR") if sr.PreliminaryFlag == "FINAL")
    assert final.VerificationFlag == "VERIFIED"
    (observer,) = final.VerifyingObserverSequence
    assert observer.VerifyingObserverName == "Zhang^San"
    assert observer.VerifyingOrganization == "County Hospital"
    predecessor = final.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert (
        predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == preliminary.SOPInstanceUID
    )
    said = " ".join(_texts(final))
    assert "Suspicious mass; PET-CT advised." in said
    assert "Spiculated mass in the left lower lobe." in said
    named = {
        item.UID
        for group in _measurement_groups(final)
        for item in group.ContentSequence
        if item.ConceptNameCodeSequence[0].CodeValue == "112040"
    }
    assert named == {mass.tracking_uid}
    wait_until(lambda: len(journey.objects("SEG")) == 2, 60, "the final SEG in Orthanc")
    segmented = [[s.TrackingUID for s in seg.SegmentSequence] for seg in journey.objects("SEG")]
    assert [mass.tracking_uid] in segmented
    reading = journey.server.store.reading(journey.study_uid)
    assert reading.state is State.FINAL
    steps = [event.what for event in journey.server.store.events_of(journey.study_uid)]
    assert "report-signed" in steps


def test_results_that_a_pacs_routes_back_begin_no_new_reading(journey: Journey) -> None:
    journey.orthanc.send_to("PREREAD", journey.study_uid)
    wait_until(
        lambda: any(
            i.sop_class_uid.endswith(".88.33")
            for i in journey.server.store.instances_of(journey.study_uid)
        ),
        60,
        "our own SR to be kept",
    )
    assert journey.server.store.unread_studies() == []
    assert journey.server.store.reading(journey.study_uid).revision == 1


def _measurement_groups(sr: Dataset) -> list[Dataset]:
    return [
        group
        for container in sr.ContentSequence
        if container.ConceptNameCodeSequence[0].CodeValue == "126010"
        for group in container.ContentSequence
        if group.ConceptNameCodeSequence[0].CodeValue == "125007"
    ]


def _texts(item: Dataset) -> Iterator[str]:
    if "TextValue" in item:
        yield str(item.TextValue)
    for child in item.get("ContentSequence", []):
        yield from _texts(child)


def _centre(seg: Dataset, number: int) -> np.ndarray:
    """Centre of mass of a segment in LPS mm, read by highdicom."""
    volume = Segmentation.from_dataset(seg).get_volume(segment_numbers=[number])
    at = np.argwhere(np.asarray(volume.array).reshape(volume.spatial_shape) > 0).mean(axis=0)
    return np.asarray(volume.map_indices_to_reference(at[None])[0])
