"""A PACS orders analyses and follows them (IHE AIW-I): the whole server, a real Orthanc."""

from __future__ import annotations

import io
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from websockets.sync.client import ClientConnection, connect

from imaging.identity import derive_uid
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.states import State
from pacs_bridge.store import Reading
from pacs_bridge.ups.event import EVERY
from tests.e2e.server import RunningServer, bright_model, running_server, write_config
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc
from tests.network.review_site import HASH
from tests.network.ups_site import JSON, heard
from tests.patience import wait_for
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import CHEST_MM, chest, chest_grid
from tests.unit.models.study.test_study import BALLS
from tests.workitems import workitem


@dataclass
class Site:
    """A PACS that holds studies, and Preread beside it, which takes its orders."""

    orthanc: Orthanc
    server: RunningServer
    folder: Path
    config: Path
    port: int

    @property
    def url(self) -> str:
        return f"{self.server.url}/dicom-web"

    def study(self, name: str, slices: int = 0) -> tuple[str, list[Path]]:
        """A chest as a study of its own: its UID, its files."""
        study_uid = derive_uid("ordered", name)

        def change(k: int, image: Dataset) -> None:
            image.StudyInstanceUID = study_uid
            image.SeriesInstanceUID = derive_uid("ordered", name, "series")
            image.SOPInstanceUID = derive_uid("ordered", name, k)

        volume = chest(chest_grid(), BALLS)
        images = make_images(
            volume.voxels[: slices or None], first=volume.grid.affine[:3, 3],
            spacing=CHEST_MM[1:], step=(0, 0, CHEST_MM[0]), name=name, change=change,
        )  # fmt: skip
        return study_uid, write(self.folder / name, images)

    def order(self, study_uid: str, files: list[Path]) -> str:
        """A workitem over these images; its URL."""
        heads = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
        images = {str(head.SOPInstanceUID): str(head.SOPClassUID) for head in heads}
        body = workitem(study_uid, images=images).to_json().encode()
        with self.pacs() as pacs:
            made = pacs.post("/workitems", content=body, headers=JSON)
            assert made.status_code == 201, made.text
        return str(made.headers["Location"])

    def watch(self) -> None:
        """The PACS asks to be told of every workitem, before there is one.

        To watch a single one it could ask only after it was made, when a quick server may
        already have told how it began.
        """
        with self.pacs() as pacs:
            assert pacs.post(f"/workitems/{EVERY}/subscribers/PACS").status_code == 201

    def reading(self, study_uid: str) -> Reading | None:
        """The study's reading, where there is one."""
        with suppress(UnknownStudy):
            return self.server.store.reading(study_uid)
        return None

    def begun(self, study_uid: str) -> None:
        """Until the study is being read; asked often, since a quick server may soon be done."""
        wait_for(lambda: self.reading(study_uid), f"a reading of {study_uid}")

    def until(self, study_uid: str, state: State) -> Reading:
        """The study's reading, once it is in a state."""

        def there() -> bool:
            reading = self.reading(study_uid)
            return reading is not None and reading.state is state

        wait_for(there, f"{study_uid} to become {state}")
        return self.server.store.reading(study_uid)

    def get(self, url: str) -> Dataset:
        with self.pacs() as pacs:
            (told,) = pacs.get(url).json()
        return Dataset.from_json(told)

    def pacs(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url, auth=("pacs", "right"), timeout=30, trust_env=False
        )  # fmt: skip

    def channel(self) -> ClientConnection:
        url = f"ws{self.url.removeprefix('http')}/subscribers/PACS"
        return connect(
            url, additional_headers={"Authorization": "Bearer pacs.right"}, proxy=None
        )  # fmt: skip


def until_ended(channel: ClientConnection, url: str) -> list[str]:
    """What is heard of a workitem to its end: states, and progress in words."""
    told: list[str] = []
    while not told or told[-1] not in ("COMPLETED", "CANCELED"):
        report = heard(channel, 150)
        if report.AffectedSOPInstanceUID != url.rpartition("/")[2]:
            continue
        if report.EventTypeID == 3:
            (item,) = report.ProcedureStepProgressInformationSequence
            told.append(str(item.ProcedureStepProgressDescription))
        elif "ProcedureStepState" in report:
            told.append(str(report.ProcedureStepState))
    return told


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("ups")
    dicom, port = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        pacs = f'ae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {orthanc.dicom_port}\n'
        more = (
            f"[assembly.source]\n{pacs}"
            f'[[destinations]]\nname = "Orthanc"\n{pacs}commitment = true\n'
            "[dicomweb]\nenabled = true\n[ups]\nenabled = true\n"
            f'[[machines]]\nname = "pacs"\npassword_hash = "{HASH}"\nmay = ["read", "order"]\n'
        )
        config = write_config(
            folder, dicom_port=dicom, page_port=port, models=bright_model(folder),
            enabled="bright", more=more, quiet_s=1,
        )  # fmt: skip
        with running_server(config, port) as server:
            made = Site(orthanc, server, folder, config, port)
            made.watch()
            yield made


@pytest.mark.timeout(400)
def test_what_is_ordered_is_fetched_read_and_followed_to_the_end(site: Site) -> None:
    study_uid, files = site.study("whole")
    for path in files:
        site.orthanc.upload(path)
    with site.channel() as channel:
        url = site.order(study_uid, files)
        told = until_ended(channel, url)
    assert "IN PROGRESS" in told[:2] and told[-1] == "COMPLETED", told
    assert any("images are here" in each for each in told)
    assert "analysing" in told or "sending the results" in told

    held = site.get(url)
    (performed,) = held.UnifiedProcedureStepPerformedProcedureSequence
    assert performed.PerformedStationNameCodeSequence[0].CodeValue == "PREREAD"
    assert performed.PerformedWorkitemCodeSequence[0].CodeValue == "110004"
    assert "finding(s)" in performed.CommentsOnThePerformedProcedureStep
    made = {}
    for item in performed.OutputInformationSequence:
        (place,) = item.DICOMRetrievalSequence
        assert place.RetrieveAETitle == "ORTHANC"
        (place,) = item.WADORSRetrievalSequence
        series = place.RetrieveURL.removeprefix(f"{site.url}/studies/{study_uid}/series/")
        client = DICOMwebClient(site.url, headers={"Authorization": "Bearer pacs.right"})
        (found,) = client.retrieve_series(study_uid, series)
        (reference,) = item.ReferencedSOPSequence
        assert found.SOPInstanceUID == reference.ReferencedSOPInstanceUID
        made[found.Modality] = found
    assert set(made) == {"SR", "SEG"}
    for modality, ours in made.items():
        (series,) = site.orthanc.find(
            "Series", {"StudyInstanceUID": study_uid, "Modality": modality}
        )
        (instance,) = series["Instances"]
        theirs = pydicom.dcmread(io.BytesIO(site.orthanc.file(instance)))
        assert theirs.SOPInstanceUID == ours.SOPInstanceUID

    # the same study again: it is read, so there is nothing to do
    with site.channel() as channel:
        again = site.order(study_uid, files)
        assert until_ended(channel, again)[-1] == "COMPLETED"
    (done,) = site.get(again).UnifiedProcedureStepPerformedProcedureSequence
    assert done.OutputInformationSequence == performed.OutputInformationSequence
    assert site.server.store.reading(study_uid).revision == 1
    events = [e.what for e in site.server.store.events_of(study_uid)]
    for what in ("workitem-created", "workitem-claimed", "pulled", "workitem-completed"):
        assert what in events


@pytest.mark.timeout(300)
def test_what_suits_no_model_is_cancelled_with_the_reason(site: Site) -> None:
    study_uid, files = site.study("short", 8)
    for path in files:
        site.orthanc.upload(path)
    with site.channel() as channel:
        url = site.order(study_uid, files)
        assert until_ended(channel, url)[-1] == "CANCELED"
    (item,) = site.get(url).ProcedureStepProgressInformationSequence
    assert "8 slices, at least 20 are needed" in item.ReasonForCancellation
    assert item.ProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110522"


@pytest.mark.timeout(300)
def test_what_is_cancelled_while_it_is_read_is_stopped_and_nothing_is_sent(site: Site) -> None:
    study_uid, files = site.study("cancelled")
    for path in files:
        site.orthanc.upload(path)
    why = Dataset()
    why.ReasonForCancellation = "wrong patient"
    with site.channel() as channel, site.pacs() as pacs:
        url = site.order(study_uid, files)
        site.begun(study_uid)
        asked = pacs.post(f"{url}/cancelrequest", content=why.to_json().encode(), headers=JSON)
        assert asked.status_code == 202, asked.text
        assert until_ended(channel, url)[-1] == "CANCELED"
    (item,) = site.get(url).ProcedureStepProgressInformationSequence
    assert item.ReasonForCancellation == "wrong patient"
    reading = site.until(study_uid, State.NOT_ANALYSED)
    assert reading.reason.en == "pacs cancelled the order: wrong patient"
    assert site.server.store.deliveries_of(study_uid) == []
    found = site.orthanc.find("Series", {"StudyInstanceUID": study_uid, "Modality": "SR"})
    assert found == []


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_server_goes_on_with_what_was_ordered(site: Site) -> None:
    study_uid, files = site.study("killed")
    for path in files:
        site.orthanc.upload(path)
    with site.channel() as channel:
        url = site.order(study_uid, files)
        while heard(channel, 60).get("ProcedureStepState") != "IN PROGRESS":
            pass
        site.server.process.send_signal(signal.SIGKILL)
        site.server.process.wait()
    with running_server(site.config, site.port) as server:
        site.server = server
        with site.channel() as channel:
            assert until_ended(channel, url)[-1] == "COMPLETED"
    assert server.store.events_of(study_uid)[-1].what == "workitem-completed"
