"""Deliveries to a real Orthanc beside a dead destination."""

from __future__ import annotations

import time
from pathlib import Path

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store
from tests.network.orthanc import Orthanc, free_port
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, saved


def destination(name: str, port: int) -> DestinationSettings:
    return DestinationSettings(
        name=name, ae_title="ORTHANC", host="127.0.0.1", port=port,
        attempts=2, first_wait_s=0.1, longest_wait_s=0.1,
    )  # fmt: skip


def deliver(store: Store, courier: Courier, study_uid: str) -> dict[tuple[str, str], Delivery]:
    """Run the courier until nothing waits."""
    courier.start()
    deadline = time.monotonic() + PATIENT_S
    while any(d.state is DeliveryState.WAITING for d in store.deliveries_of(study_uid)):
        assert time.monotonic() < deadline, store.deliveries_of(study_uid)
        time.sleep(0.05)
    courier.stop()
    return {(d.destination, d.kind): d for d in store.deliveries_of(study_uid)}


def test_orthanc_gets_each_object_once_beside_a_dead_destination(
    orthanc: Orthanc, store: Store, tmp_path: Path
) -> None:
    seg, sr = ct(), ct()
    study_uid = sr.StudyInstanceUID = str(seg.StudyInstanceUID)
    objects = [
        ("SR", str(sr.SOPInstanceUID), saved(sr, tmp_path / "sr.dcm")),
        ("SEG", str(seg.SOPInstanceUID), saved(seg, tmp_path / "seg.dcm")),
    ]
    both = [destination("dead", free_port()), destination("pacs", orthanc.dicom_port)]
    courier = Courier(store, both, "PREREAD")
    courier.enqueue(study_uid, 1, Stage.PRELIMINARY, objects)
    rows = deliver(store, courier, study_uid)
    assert {rows["pacs", kind].state for kind in ("SEG", "SR")} == {DeliveryState.DELIVERED}
    assert {rows["dead", kind].state for kind in ("SEG", "SR")} == {DeliveryState.GIVEN_UP}
    assert "no association" in rows["dead", "SR"].last_error
    sent = {uid for _, uid, _ in objects}
    assert {i["MainDicomTags"]["SOPInstanceUID"] for i in orthanc.instances(study_uid)} == sent

    # a crash after the sending and before the keeping: sent again, still there once
    for kind in ("SEG", "SR"):
        row = vars(rows["pacs", kind]) | {"state": DeliveryState.WAITING, "delivered_at": None}
        store.update_delivery(Delivery(**row))
    rows = deliver(store, courier, study_uid)
    assert rows["pacs", "SR"].state is DeliveryState.DELIVERED
    assert len(orthanc.instances(study_uid)) == 2
