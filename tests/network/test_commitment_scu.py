"""Asking for storage commitment, and hearing its result by every route."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from pynetdicom import build_context, evt
from pynetdicom.association import Association

from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentResult,
    Reference,
    commitment_results,
    request_commitment,
    request_dataset,
)
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import PeerBusy, PeerRefused
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from tests.network.commitment_peers import CT, eventually, peer
from tests.network.orthanc import Orthanc
from tests.network.scripted_peer import scp
from tests.network.senders import association
from tests.unit.pacs_bridge.made import ct


def test_orthanc_commits_itself_on_an_association_of_its_own(
    orthanc: Orthanc, preread_port: int, inbox: Inbox, tmp_path: Path
) -> None:
    image = ct()
    ours = tmp_path / "image.dcm"
    image.save_as(ours, enforce_file_format=True)
    orthanc.post("/instances", ours.read_bytes())
    there, missing = Reference(CT, str(image.SOPInstanceUID)), Reference(CT, generate_uid())
    heard: list[CommitmentResult] = []
    settings = ListenerSettings(host="127.0.0.1", port=preread_port)
    with Listener(settings, inbox, services=[commitment_results(heard.append)]):
        archive = peer(orthanc.dicom_port, "ORTHANC")
        transaction = generate_uid()
        assert request_commitment(archive, "PREREAD", transaction, [there, missing], 0.5) is None
        eventually(lambda: bool(heard))
    (result,) = heard
    assert (result.transaction_uid, result.reported_by) == (transaction, "ORTHANC")
    assert result.committed == (there,)
    assert [(each.reference, each.why) for each in result.failed] == [
        (missing, "it does not have the object")
    ]


def _archive(
    status: int, reports: Callable[[str, Association], None] = lambda transaction, assoc: None
) -> list[Any]:
    def act(event: evt.Event) -> tuple[int, None]:
        transaction = str(event.action_information.TransactionUID)
        reports(transaction, event.assoc)
        return status, None

    return [(evt.EVT_N_ACTION, act)]


def test_a_refused_request_says_why() -> None:
    contexts = [(COMMITMENT_CLASS, [str(ImplicitVRLittleEndian)])]
    refused = pytest.raises(PeerRefused, match="N-ACTION .storage commitment. with 0x0122")
    with scp(_archive(0x0122), contexts) as port, refused:
        request_commitment(peer(port, "ORTHANC"), "PREREAD", "1.2.5", [Reference(CT, "1.2")])
    with scp(_archive(0x0213), contexts) as port, pytest.raises(PeerBusy):
        request_commitment(peer(port, "ORTHANC"), "PREREAD", "1.2.5", [Reference(CT, "1.2")])


def test_a_report_before_the_answer_and_one_of_another_transaction() -> None:
    """Some archives report at once, before they answer the request; and may be late with others."""

    def reports(transaction: str, assoc: Association) -> None:
        for uid in ("1.2.6", transaction):
            dataset = request_dataset(uid, [Reference(CT, "1.2.3")])
            answer, _ = assoc.send_n_event_report(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
            statuses.append(answer.Status)

    statuses: list[int] = []
    with scp(
        _archive(0x0000, reports), [(COMMITMENT_CLASS, [str(ImplicitVRLittleEndian)])]
    ) as port:
        result = request_commitment(
            peer(port, "ORTHANC"), "PREREAD", "1.2.5", [Reference(CT, "1.2.3")], wait_s=10
        )
    assert statuses == [0x0000, 0x0000]
    assert result == CommitmentResult("1.2.5", (Reference(CT, "1.2.3"),), (), "ORTHANC")


def test_a_report_without_role_negotiation_is_heard(inbox: Inbox) -> None:
    """Many archives call for their report without naming themselves the SCP."""
    heard: list[CommitmentResult] = []
    settings = ListenerSettings(host="127.0.0.1", port=0)
    with (
        Listener(settings, inbox, services=[commitment_results(heard.append)]) as listener,
        association(listener.port, [build_context(COMMITMENT_CLASS)], calling="PACS") as archive,
    ):
        dataset = request_dataset("1.2.5", [Reference(CT, "1.2.3")])
        answer, _ = archive.send_n_event_report(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert answer.Status == 0x0000
        del dataset.TransactionUID
        answer, _ = archive.send_n_event_report(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert answer.Status == 0x0115
    assert heard == [CommitmentResult("1.2.5", (Reference(CT, "1.2.3"),), (), "PACS")]


def test_a_result_that_can_not_be_kept_is_reported_again(inbox: Inbox) -> None:
    def fail(result: CommitmentResult) -> None:
        raise OSError("disk full")

    settings = ListenerSettings(host="127.0.0.1", port=0)
    with (
        Listener(settings, inbox, services=[commitment_results(fail)]) as listener,
        association(listener.port, [build_context(COMMITMENT_CLASS)], calling="PACS") as archive,
    ):
        dataset = request_dataset("1.2.5", [Reference(CT, "1.2.3")])
        answer, _ = archive.send_n_event_report(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert answer.Status == 0x0110
        assert archive.is_established, "the association goes on"
