"""A server that pulls by a rule is killed in the middle of it; the next one goes on and reads."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest

from imaging.phantom import make_phantom
from imaging.phantom_series import write_series
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.values import PullState
from pacs_bridge.store import Store
from tests.e2e.server import running_server, sensitive_model, wait_until, write_config
from tests.network.orthanc import BINARY, free_port, running_orthanc

SLICES = 100
RULE = """
[[pull]]
name = "all of it"
source = {{ ae_title = "ORTHANC", host = "127.0.0.1", port = {port} }}
method = "{method}"
days = 0
every_minutes = 0.05
settle_minutes = 0
thickest_mm = 3
images_a_minute = {pace}
"""


@pytest.mark.slow
@pytest.mark.parametrize("method", ["c-move", "c-get"])
def test_killed_in_the_middle_nothing_comes_twice_and_all_is_read(
    tmp_path: Path, method: str
) -> None:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    files = write_series(make_phantom(3, slices=SLICES, pixels=192), tmp_path / "phantom")
    study_uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, page = free_port(), free_port()
    with running_orthanc(tmp_path / "orthanc", dicom) as orthanc:
        for path in files:
            orthanc.upload(path)
        models = sensitive_model(tmp_path, 0.02)

        def config(pace: int) -> Path:
            more = RULE.format(port=orthanc.dicom_port, method=method, pace=pace)
            return write_config(
                tmp_path, dicom_port=dicom, page_port=page, models=models, quiet_s=1, more=more
            )

        with running_server(config(60), page) as server:
            ledger = PullLedger(server.store)
            wait_until(lambda: len(server.store.instances_of(study_uid)) >= 15, 60, "some images")
            server.process.send_signal(signal.SIGKILL)
            server.process.wait()
            pull = ledger.of(study_uid)
            assert pull is not None
            assert pull.state is PullState.FETCHING
            assert len(server.store.instances_of(study_uid)) < SLICES
            first = {i.sop_instance_uid: i.path.stat().st_mtime_ns
                     for i in server.store.instances_of(study_uid)}  # fmt: skip
        with running_server(config(0), page) as server:
            store = server.store
            wait_until(lambda: _opened(store, study_uid), 120, "the reading")
            because = store.reading(study_uid).complete_because.en
            assert f"{SLICES} images held" in because, "it was not begun with what there was"
            held = store.instances_of(study_uid)
            assert len(held) == SLICES
            again = [i for i in held if first.get(i.sop_instance_uid, 0) not in
                     (0, i.path.stat().st_mtime_ns)]  # fmt: skip
            assert again == [], "what had come was not asked for again"
            assert store.reading(study_uid).revision == 1, "it was read once, whole"
            assert [e.what for e in store.events_of(study_uid)].count("pulled") == 1
            fetched = PullLedger(store).of(study_uid)
            assert fetched is not None
            assert fetched.state is PullState.FETCHED


@pytest.mark.slow
def test_the_command_beside_a_running_server(tmp_path: Path) -> None:
    """The server takes what C-MOVE sends, and reads what the command fetched."""
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    files = write_series(make_phantom(3, slices=SLICES, pixels=192), tmp_path / "phantom")
    study_uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, page = free_port(), free_port()
    with running_orthanc(tmp_path / "orthanc", dicom) as orthanc:
        for path in files:
            orthanc.upload(path)
        models = sensitive_model(tmp_path, 0.02)
        config = write_config(tmp_path, dicom_port=dicom, page_port=page, models=models, quiet_s=1)
        for method in ("c-move", "c-get"):
            with running_server(config, page) as server:
                done = subprocess.run(
                    [
                        sys.executable, "-m", "pacs_bridge.cli", "pull", "--config", str(config),
                        "--from", f"ORTHANC@127.0.0.1:{orthanc.dicom_port}", "--method", method,
                        "--query", "ModalitiesInStudy=CT",
                    ],
                    capture_output=True, text=True, timeout=120, check=False,
                    env=os.environ | {"TCP_NODELAY": "1"},
                )  # fmt: skip
                assert done.returncode == 0, done.stdout + done.stderr
                assert "100 images" in done.stdout
                wait_until(lambda: _opened(server.store, study_uid), 120, "the reading")
            shutil.rmtree(tmp_path / "data")


def _opened(store: Store, study_uid: str) -> bool:
    """Whether the study was taken for complete, and its reading begun."""
    try:
        return bool(store.reading(study_uid).complete_because.en)
    except UnknownStudy:
        return False
