"""The engine inside a running server: a killed worker, a new version, a shadow, its page."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset

from imaging.identity import derive_uid
from pacs_bridge.states import DeliveryState, State
from tests.e2e.server import RunningServer, running_server, wait_until, write_config
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc
from tests.unit.imaging.synthetic import make_images, write
from tests.unit.models.made import CHEST_MM, chest, chest_grid, write_bright_model
from tests.unit.models.study.test_study import BALLS
from tests.unit.pacs_bridge.engine_site import alive


def send_chest(folder: Path, name: str, port: int) -> str:
    """A chest as a study of its own, sent with DCMTK; its UID."""
    study_uid = derive_uid("engine", name)

    def change(k: int, image: Dataset) -> None:
        image.StudyInstanceUID = study_uid
        image.SOPInstanceUID = derive_uid("engine", name, k)

    volume = chest(chest_grid(), BALLS)
    images = make_images(
        volume.voxels, first=volume.grid.affine[:3, 3], spacing=CHEST_MM[1:],
        step=(0, 0, CHEST_MM[0]), name=name, change=change,
    )  # fmt: skip
    files = write(folder / name, images)
    sent = dcmtk("storescu", "-aec", "PREREAD", "127.0.0.1", str(port), "+sd", str(files[0].parent))
    assert sent.returncode == 0, sent.stderr
    return study_uid


def engine_of(server: RunningServer) -> dict[str, Any]:
    """GET /api/engine."""
    answer = httpx.get(f"{server.url}/api/engine", trust_env=False)
    assert answer.status_code == 200
    return answer.json()


@dataclass(frozen=True)
class Site:
    """A server with an engine, a PACS beside it, and the model's folder."""

    server: RunningServer
    orthanc: Orthanc
    dicom_port: int
    model: Path

    def send(self, folder: Path, name: str) -> str:
        """A chest as a study of its own; its UID."""
        return send_chest(folder, name, self.dicom_port)

    def engine(self) -> dict[str, Any]:
        """How it stands."""
        return engine_of(self.server)

    def worker(self) -> dict[str, Any]:
        """The one there is."""
        (worker,) = self.engine()["workers"]
        return worker

    def state(self, study_uid: str) -> State:
        """Of its newest reading."""
        found = self.server.store.worklist()
        return next((r.state for r in found if r.study.study_uid == study_uid), State.RECEIVING)

    def wait_read(self, study_uid: str) -> None:
        """Until a person is needed."""
        wait_until(lambda: self.state(study_uid) is State.AWAITING_SIGNATURE, 90, "the reading")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    folder = tmp_path_factory.mktemp("engine")
    for name in ("bright", "brighter"):
        write_bright_model(folder / "models" / name)
    dicom, page = free_port(), free_port()
    with running_orthanc(folder / "orthanc", dicom) as orthanc:
        config = write_config(
            folder,
            dicom_port=dicom,
            page_port=page,
            models=folder / "models",
            quiet_s=1,
            more=f'[[destinations]]\nname = "Orthanc"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\n'
            f"port = {orthanc.dicom_port}\nfirst_wait_s = 0.5\n",
        )
        text = config.read_text(encoding="utf-8").replace(
            "[models]\n", '[models]\nenabled = ["bright"]\nshadow = ["brighter"]\ndevice = "cpu"\n'
        )
        config.write_text(text, encoding="utf-8")
        with running_server(config, page) as server:
            yield Site(server, orthanc, dicom, folder / "models" / "bright")
            pid = server.process.pid
            worker = Site(server, orthanc, dicom, folder).worker()["pid"]
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(30) == 0
            wait_until(lambda: not alive(worker), 10, "the worker's end")
            assert pid != worker


@pytest.mark.timeout(300)
def test_a_worker_killed_in_the_middle_of_a_study_costs_nothing(site: Site, tmp_path: Path) -> None:
    before = site.worker()
    # It can't finish before it is killed.
    os.kill(before["pid"], signal.SIGSTOP)
    study = site.send(tmp_path, "killed")
    wait_until(lambda: site.worker()["studies"], 60, "the worker to have the study")
    assert site.worker()["studies"][0]["study_uid"] == study
    os.kill(before["pid"], signal.SIGKILL)
    site.wait_read(study)
    after = site.worker()
    assert after["pid"] != before["pid"]
    assert after["restarts"] == before["restarts"] + 1

    def delivered() -> bool:
        found = site.server.store.deliveries_of(study)
        return len(found) == 2 and all(d.state is DeliveryState.DELIVERED for d in found)

    wait_until(delivered, 60, "the deliveries")
    kinds = Counter(
        series["MainDicomTags"]["Modality"]
        for series in site.orthanc.find("Series", {"StudyInstanceUID": study})
    )
    assert kinds == {"SR": 1, "SEG": 1}
    reading = site.server.store.reading(study)
    assert reading.revision == 1
    assert reading.report is not None and len(reading.report.findings) == 2


def test_a_shadow_reads_the_same_study_and_reports_nothing(site: Site, tmp_path: Path) -> None:
    study = site.send(tmp_path, "shadowed")
    site.wait_read(study)
    data = site.server.log.parent / "data"
    kept = data / "results" / study / "1" / "shadow" / "brighter.json"
    wait_until(kept.exists, 60, "the shadow's outcome")
    outcome = json.loads(kept.read_text(encoding="utf-8"))
    assert outcome["report"]["model"]["name"] == "brighter"
    assert [pair["distance_mm"] for pair in outcome["agreement"]["matched"]] == [0, 0]

    def told() -> list[str]:
        return [e.detail for e in site.server.store.events_of(study) if e.what == "shadow-read"]

    wait_until(told, 10, "the line in the audit trail")
    assert told() == ["brighter 1.0: 2 finding(s), 2 reported, 2 the same within 5 mm"]
    reading = site.server.store.reading(study)
    assert reading.state is State.AWAITING_SIGNATURE
    assert reading.report is not None and reading.report.model.name == "bright"
    assert not reading.report.models
    page = httpx.get(f"{site.server.url}/studies/{study}", trust_env=False).text
    assert page.count('class="card panel"') == 2


def test_a_new_version_is_used_without_a_restart(site: Site, tmp_path: Path) -> None:
    pid = site.worker()["pid"]
    spec = site.model / "preread.toml"
    text = spec.read_text(encoding="utf-8").replace('version = "1.0"', 'version = "2.0"')
    spec.write_text(text, encoding="utf-8")
    site.server.process.send_signal(signal.SIGHUP)

    def version() -> str:
        models = {m["name"]: m for m in site.worker()["engine"]["models"]}
        return str(models["bright"]["versions"][0]["version"])

    wait_until(lambda: version() == "2.0", 30, "the new version")
    study = site.send(tmp_path, "new")
    site.wait_read(study)
    report = site.server.store.reading(study).report
    assert report is not None and report.model.version == "2.0"
    assert site.worker()["pid"] == pid
    # A description that is broken meanwhile changes nothing but what the page says.
    spec.write_text("version = [", encoding="utf-8")
    wait_until(lambda: site.engine()["models"][0]["problem"], 30, "the watch to see it")
    page = httpx.get(f"{site.server.url}/engine", trust_env=False).text
    assert "cannot be read as TOML" in page
    again = site.send(tmp_path, "still")
    site.wait_read(again)
    report = site.server.store.reading(again).report
    assert report is not None and report.model.version == "2.0"


@pytest.mark.timeout(300)
def test_a_server_stopped_in_the_middle_of_a_study_goes_on_with_it_at_the_next_start(
    tmp_path: Path,
) -> None:
    write_bright_model(tmp_path / "models" / "lung_nodule_reference")
    dicom, page = free_port(), free_port()
    config = write_config(
        tmp_path, dicom_port=dicom, page_port=page, models=tmp_path / "models", quiet_s=1
    )
    with running_server(config, page) as server:
        (worker,) = engine_of(server)["workers"]
        os.kill(worker["pid"], signal.SIGSTOP)
        study = send_chest(tmp_path, "stopped", dicom)
        wait_until(lambda: engine_of(server)["workers"][0]["studies"], 60, "the study's start")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert not alive(worker["pid"])
        assert server.store.reading(study).state is State.ANALYSING
    with running_server(config, page) as server:
        wait_until(
            lambda: server.store.reading(study).state is State.AWAITING_SIGNATURE, 90, "the reading"
        )
        reading = server.store.reading(study)
        assert reading.revision == 1
        assert reading.report is not None and len(reading.report.findings) == 2
        what = [event.what for event in server.store.events_of(study)]
        assert what.count("analysed") == 1
        assert "reading-failed" not in what
