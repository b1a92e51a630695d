"""kill -9 in every step of a study's way: nothing is lost, nothing comes twice."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from imaging.report import FindingReview, Signature, Verdict
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Store, open_store
from tests.e2e.server import bright_model, killed, running_server, wait_until, write_config
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, Orthanc, free_port, running_orthanc
from tests.unit.models.study.test_study import write_chest

BEFORE_SIGNING = (
    "judge_complete",
    "open",
    "plan",
    "find_priors",
    "analyse",
    "compose:preliminary",
    "deliver:preliminary",
    "update_delivery",
    "await_signature",
)
AFTER_SIGNING = ("compose:final", "deliver:final", "finish")


def _objects(orthanc: Orthanc, study_uid: str) -> list[pydicom.Dataset]:
    return [
        pydicom.dcmread(io.BytesIO(orthanc.file(instance["ID"])))
        for instance in orthanc.instances(study_uid)
        if instance["MainDicomTags"].get("SOPInstanceUID", "").startswith("2.25.")
        and pydicom.dcmread(io.BytesIO(orthanc.file(instance["ID"])), stop_before_pixels=True)
        .Modality in ("SR", "SEG")
    ]  # fmt: skip


def _state(store: Store, study_uid: str) -> State:
    return next(
        (r.state for r in store.worklist() if r.study.study_uid == study_uid), State.RECEIVING
    )


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("before_signing", "after_signing"),
    [
        (("analyse", "deliver:preliminary", "update_delivery"), ("compose:final",)),
        pytest.param(BEFORE_SIGNING, AFTER_SIGNING, marks=pytest.mark.slow),
    ],
    ids=["the-dearest-steps", "every-step"],
)
def test_a_server_killed_in_a_step_leaves_one_result(
    tmp_path: Path, before_signing: Sequence[str], after_signing: Sequence[str]
) -> None:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    files = write_chest(tmp_path / "chest")
    study_uid = str(pydicom.dcmread(files[0], stop_before_pixels=True).StudyInstanceUID)
    dicom, page = free_port(), free_port()
    with running_orthanc(tmp_path / "orthanc", dicom) as orthanc:
        config = write_config(
            tmp_path,
            dicom_port=dicom,
            page_port=page,
            models=bright_model(tmp_path),
            enabled="bright",
            quiet_s=1,
            more=f'[[destinations]]\nname = "Orthanc"\nae_title = "ORTHANC"\nhost = "127.0.0.1"\n'
            f"port = {orthanc.dicom_port}\nfirst_wait_s = 0.5\n",
        )
        with running_server(config, page):
            sent = dcmtk(
                "storescu", "-aec", "PREREAD", "127.0.0.1", str(dicom), "+sd", str(files[0].parent)
            )
            assert sent.returncode == 0, sent.stderr
        for where in before_signing:
            killed(config, where)
        store = open_store(f"sqlite:///{tmp_path / 'data' / 'preread.sqlite'}")
        with running_server(config, page) as server:
            wait_until(
                lambda: _state(store, study_uid) is State.AWAITING_SIGNATURE, 120, "the reading"
            )
            wait_until(lambda: _settled(store, study_uid, 2), 60, "the deliveries")
            reading = store.reading(study_uid)
            assert reading.revision == 1
            assert reading.report is not None
            assert reading.report.findings
            for finding in reading.report.findings:
                review = FindingReview(tracking_uid=finding.tracking_uid, verdict=Verdict.ACCEPTED)
                store.save_review(study_uid, 1, review, "test")
            kinds = Counter(o.Modality for o in _objects(orthanc, study_uid))
            assert kinds == {"SR": 1, "SEG": 1}
            # The page is gone in the middle of a signature: signed in the table, nothing sent.
            server.process.kill()
            server.process.wait()
        signature = Signature(
            name="Li^Si", organization="County Hospital", signed_at=datetime.now(UTC)
        )
        store.sign(study_uid, 1, signature, "test")
        for where in after_signing:
            killed(config, where)
        with running_server(config, page):
            wait_until(lambda: _state(store, study_uid) is State.FINAL, 60, "the final report")
            wait_until(lambda: _settled(store, study_uid, 4), 60, "the final deliveries")
        made = _objects(orthanc, study_uid)
        assert Counter(o.Modality for o in made) == {"SR": 2, "SEG": 2}
        documents = {o.PreliminaryFlag: o for o in made if o.Modality == "SR"}
        assert documents["PRELIMINARY"].VerificationFlag == "UNVERIFIED"
        assert documents["FINAL"].VerificationFlag == "VERIFIED"
        assert len(store.instances_of(study_uid)) == len(files)
        assert [r.revision for r in store.worklist()] == [1]
        store.engine.dispose()


def _settled(store: Store, study_uid: str, count: int) -> bool:
    found = store.deliveries_of(study_uid)
    return len(found) == count and all(d.state is DeliveryState.DELIVERED for d in found)
