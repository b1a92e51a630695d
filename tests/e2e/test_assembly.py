"""When a study counts as whole, what late images do, and what is said of one nobody can read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid
from pynetdicom import build_context

from pacs_bridge.announced import Announcements
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.states import State
from tests.e2e.server import (
    RunningServer,
    bright_model,
    running_server,
    wait_until,
    write_config,
)
from tests.network.announcing import AVAILABILITY, notification
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc
from tests.network.senders import association
from tests.unit.models.study.test_study import write_chest

THIN = {"minimum_slices": "20\nmaximum_slice_mm = 5.0"}
"""Added to the model's description."""


@dataclass(frozen=True)
class Site:
    """A PACS, and Preread beside it that asks it for its count."""

    orthanc: Orthanc
    server: RunningServer
    dicom_port: int

    def send(self, files: list[Path]) -> None:
        """DCMTK's storescu to Preread."""
        sent = dcmtk(
            "storescu", "-aec", "PREREAD", "127.0.0.1", str(self.dicom_port), *map(str, files)
        )
        assert sent.returncode == 0, sent.stderr

    def state(self, study_uid: str, revision: int | None = None) -> State:
        """Of the newest reading, or of one."""
        try:
            return self.server.store.reading(study_uid, revision).state
        except UnknownStudy:
            return State.RECEIVING


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("assembly")
    dicom, page = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        source = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        config = write_config(
            folder,
            dicom_port=dicom,
            page_port=page,
            models=bright_model(folder, **THIN),
            enabled="bright",
            quiet_s=1,
            more=f"[assembly.source]\n{source}[[commitment.peers]]\n{source}"
            '[availability]\nae_titles = ["ORTHANC"]\n',
        )
        with running_server(config, page) as server:
            yield Site(orthanc, server, dicom)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A coarse chest of 44 slices, from the feet up."""
    return write_chest(tmp_path_factory.mktemp("chest"))


def _study(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID)


@pytest.mark.timeout(400)
def test_half_a_study_waits_and_a_late_image_makes_a_new_revision(
    site: Site, images: list[Path]
) -> None:
    study, late = _study(images[0]), images[-1]
    for path in images[:-1]:
        site.orthanc.upload(path)
    site.send(images[:20])
    waited = "counts 43 images, 20 are held"
    wait_until(lambda: waited in site.server.log.read_text(), 60, "the PACS to be asked")
    assert site.state(study) is State.RECEIVING
    site.send(images[20:-1])
    wait_until(lambda: site.state(study) is State.AWAITING_SIGNATURE, 200, "the first reading")
    first = site.server.store.reading(study)
    assert first.complete_because.en == "PACS ORTHANC counts 43 images, 43 are held"
    assert first.report is not None
    assert first.report.slice_count == 43

    site.orthanc.upload(late)
    site.send([late])

    def read_again() -> bool:
        newest = site.server.store.reading(study)
        return newest.revision == 2 and newest.state is State.AWAITING_SIGNATURE

    wait_until(read_again, 200, "the second reading")
    second = site.server.store.reading(study)
    assert second.report is not None
    assert second.report.slice_count == 44
    assert second.report.uid_of("sr") != first.report.uid_of("sr")
    assert site.state(study, 1) is State.SUPERSEDED
    assert site.server.store.reading(study, 1).report == first.report


def test_no_other_user_of_the_machine_can_read_what_is_kept(site: Site) -> None:
    kept = [p for p in (site.server.log.parent / "data").rglob("*") if p.is_file()]
    assert {p.suffix for p in kept} >= {".dcm", ".sqlite", ".html", ".json"}
    assert [p for p in kept if p.stat().st_mode & 0o077] == []


def test_sending_the_same_images_again_changes_nothing(site: Site, images: list[Path]) -> None:
    study = _study(images[0])
    before = site.server.store.reading(study)
    site.send(images[:5])
    assert site.server.store.unread_studies() == []
    assert site.server.store.reading(study).revision == before.revision


def test_both_revisions_stand_on_the_page_with_links_both_ways(
    site: Site, images: list[Path]
) -> None:
    study = _study(images[0])
    with httpx.Client(base_url=site.server.url, trust_env=False) as client:
        newest = client.get(f"/studies/{study}").text
        old = client.get(f"/studies/{study}", params={"revision": 1}).text
    assert "1 late image(s) made this revision" in newest
    assert f"/studies/{study}?revision=1" in newest
    assert "Late images made a newer revision" in old and "Go to revision 2" in old


def test_a_late_capture_makes_no_revision_and_the_trail_says_why(
    site: Site, images: list[Path], tmp_path: Path
) -> None:
    study = _study(images[0])
    picture = pydicom.dcmread(images[0])
    picture.SOPClassUID = SecondaryCaptureImageStorage
    picture.SOPInstanceUID = picture.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    picture.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    picture.SeriesInstanceUID, picture.SeriesDescription = generate_uid(), "Screen"
    picture.ImageType, picture.Modality = ["DERIVED", "SECONDARY"], "OT"
    del picture.ImagePositionPatient, picture.ImageOrientationPatient
    picture.save_as(tmp_path / "capture.dcm")
    site.orthanc.upload(tmp_path / "capture.dcm")
    site.send([tmp_path / "capture.dcm"])

    def told() -> list[str]:
        events = site.server.store.events_of(study)
        return [e.detail for e in events if e.what == "late-left-alone"]

    wait_until(lambda: bool(told()), 60, "the capture to be left alone")
    assert "1 late picture(s), no new revision" in told()[0] and "Screen" in told()[0]
    assert site.server.store.reading(study).revision == 2
    assert site.state(study) is State.AWAITING_SIGNATURE
    assert site.server.store.unread_studies() == []


def test_the_archive_asks_for_commitment_and_tells_what_it_has(
    site: Site, images: list[Path]
) -> None:
    image = pydicom.dcmread(images[0])
    asked = site.orthanc.post(
        "/modalities/PREREAD/storage-commitment",
        {"DicomInstances": [[str(image.SOPClassUID), str(image.SOPInstanceUID)]]},
    )
    wait_until(lambda: site.orthanc.get(asked["Path"])["Status"] == "Success", 30, "the report")
    contexts = [build_context(AVAILABILITY)]
    with association(site.dicom_port, contexts, calling="ORTHANC") as archive:
        told = notification(image)
        answer, _ = archive.send_n_create(told, AVAILABILITY, pydicom.uid.generate_uid())
    assert answer.Status == 0x0000
    assert Announcements(site.server.store).image_count(_study(images[0])) == 1


def test_a_study_that_no_model_suits_says_why_on_the_page_and_in_the_log(
    site: Site, lung_dx_a0002: Path
) -> None:
    files = sorted(p for p in lung_dx_a0002.rglob("*") if p.is_file())
    study = _study(files[0])
    site.send(files)
    wait_until(lambda: site.state(study) is State.NOT_ANALYSED, 60, "the refusal")
    reason = "slices are 8 mm apart or thick, at most 5 mm can be analysed"
    reading = site.server.store.reading(study)
    assert reason in reading.reason.en
    assert "层厚或层距 8 mm" in reading.reason.zh
    assert reason in site.server.log.read_text()
    with httpx.Client(base_url=site.server.url, trust_env=False) as client:
        page = client.get(f"/studies/{study}")
        assert page.status_code == 200
        assert reason in page.text
        # Asked to begin again, it goes the whole way once more, and says the same.
        token = page.text.split('name="csrf" value="')[1].split('"')[0]
        form = {"csrf": token, "revision": "1"}
        headers = {"Origin": site.server.url}
        asked = client.post(f"/studies/{study}/again", data=form, headers=headers)
        assert asked.status_code == 303
    wait_until(
        lambda: [e.what for e in site.server.store.events_of(study)].count("not-analysed") == 2,
        60,
        "the second refusal",
    )
    (plan,) = json.loads(reading.plan)["plans"]
    assert plan["chosen"] is None
    assert plan["verdicts"][0]["notices"][0]["code"] == "too-thick"
