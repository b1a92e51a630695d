"""The same way on the shared database: PostgreSQL holds the tables and the workflows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from imaging.report import Signature
from pacs_bridge.errors import UnknownStudy
from pacs_bridge.states import State
from pacs_bridge.store import Store
from tests.contract.postgresql import new_database, running_postgresql
from tests.e2e.server import bright_model, killed, running_server, wait_until, write_config
from tests.network.conftest import dcmtk
from tests.network.orthanc import free_port
from tests.unit.models.study.test_study import write_chest


def _state(store: Store, study_uid: str) -> State:
    try:
        return store.reading(study_uid).state
    except UnknownStudy:
        return State.RECEIVING


@pytest.mark.timeout(400)
def test_a_study_is_read_signed_and_finished_on_postgresql(tmp_path: Path) -> None:
    files = write_chest(tmp_path / "chest")
    study = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, page = free_port(), free_port()
    with running_postgresql() as cluster:
        url = new_database(cluster, "preread")
        config = write_config(
            tmp_path,
            dicom_port=dicom,
            page_port=page,
            models=bright_model(tmp_path),
            enabled="bright",
            quiet_s=1,
            database=url,
        )
        with running_server(config, page, database=url) as server:
            sent = dcmtk("storescu", "-aec", "PREREAD", "127.0.0.1", str(dicom), *map(str, files))
            assert sent.returncode == 0, sent.stderr
        killed(config, "analyse")
        with running_server(config, page, database=url) as server:
            wait_until(
                lambda: _state(server.store, study) is State.AWAITING_SIGNATURE, 200, "the reading"
            )
            signature = Signature(
                name="Li^Si", organization="County Hospital", signed_at=datetime.now(UTC)
            )
            server.store.sign(study, 1, signature, "test")
        # Signed while nobody was there to go on: the next start does.
        with running_server(config, page, database=url) as server:
            wait_until(lambda: _state(server.store, study) is State.FINAL, 60, "the final report")
            assert server.store.reading(study).revision == 1
        assert not list((tmp_path / "data").glob("*.sqlite"))
