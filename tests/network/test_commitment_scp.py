"""Storage commitment for those who send to us: pynetdicom and Orthanc ask, over real sockets."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pynetdicom import AE, build_context, evt

from pacs_bridge.custody import Keeper
from pacs_bridge.custody.check import check
from pacs_bridge.custody.ledger import Ledger, ReportState
from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentResult,
    Failure,
    Reference,
    commitment_results,
    request_commitment,
    request_dataset,
)
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.peer import keep_answers
from pacs_bridge.inbox import Inbox
from pacs_bridge.sections import ListenerTlsSettings, TlsSettings
from pacs_bridge.settings import CommitmentSettings, ListenerSettings, PeerSettings
from pacs_bridge.store import Instance, Store
from tests.network.certificates import make_authority, make_certificate
from tests.network.commitment_peers import (
    CT,
    Asker,
    DataPath,
    ask,
    eventually,
    happened,
    held,
    keeping,
    peer,
)
from tests.network.orthanc import BINARY, free_port, running_orthanc
from tests.network.senders import association
from tests.unit.pacs_bridge.made import command, ct, encoded

MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.mark.parametrize("data_path", ["own", "pynetdicom"])
def test_the_report_comes_on_the_association_of_the_request(
    store: Store, inbox: Inbox, data_path: DataPath
) -> None:
    references = held(inbox)
    missing = Reference(CT, generate_uid())
    other_class = Reference(MR, references[0].sop_instance_uid)
    with keeping(store, inbox, peer(free_port()), data_path) as listener:
        transaction = generate_uid()
        result = request_commitment(
            peer(listener.port, "PREREAD"), "CT1", transaction,
            [*references, missing, other_class], wait_s=10,
        )  # fmt: skip
        assert result is not None and result.reported_by == "PREREAD"
        assert result.transaction_uid == transaction
        assert result.committed == tuple(references)
        assert [(each.reference, each.reason) for each in result.failed] == [
            (missing, 0x0112), (other_class, 0x0119),
        ]  # fmt: skip
        ledger = Ledger(store)
        eventually(lambda: ledger.of("CT1", transaction)[0].state is ReportState.REPORTED)
    for study in store.unread_studies():
        eventually(lambda: "storage-committed" in happened(store, study))  # noqa: B023 - at once


@pytest.mark.parametrize(
    ("data_path", "syntax"),
    [("own", ImplicitVRLittleEndian), ("pynetdicom", ExplicitVRLittleEndian)],
)
def test_a_peer_that_hangs_up_hears_on_a_new_association(
    store: Store, inbox: Inbox, data_path: DataPath, syntax: str
) -> None:
    references = held(inbox)
    asker = Asker()
    with asker.listening() as port, keeping(store, inbox, peer(port), data_path) as listener:
        transaction = generate_uid()
        with association(
            listener.port, [build_context(COMMITMENT_CLASS, [syntax])], calling="CT1"
        ) as sender:
            dataset = request_dataset(transaction, references)
            answer, _ = sender.send_n_action(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
            assert answer.Status == 0x0000
        eventually(lambda: bool(asker.heard))
        ledger = Ledger(store)
        eventually(lambda: ledger.of("CT1", transaction)[0].state is ReportState.REPORTED)
    assert asker.heard == [CommitmentResult(transaction, tuple(references), (), "PREREAD")]
    (role,) = asker.roles[0].values()
    assert (role.scu_role, role.scp_role) == (False, True), "we are the SCP that calls"


@pytest.mark.parametrize("data_path", ["own", "pynetdicom"])
def test_a_peer_that_goes_on_sending_is_not_disturbed(
    store: Store, inbox: Inbox, data_path: DataPath
) -> None:
    references = held(inbox, 1)
    asker = Asker()
    with asker.listening() as port, keeping(store, inbox, peer(port), data_path) as listener:
        contexts = [build_context(COMMITMENT_CLASS), build_context(CT, [ExplicitVRLittleEndian])]
        ae = AE("CT1")
        sender = ae.associate(
            "127.0.0.1", listener.port, contexts=contexts, ae_title="PREREAD",
            evt_handlers=[(evt.EVT_N_EVENT_REPORT, asker.take)],
        )  # fmt: skip
        keep_answers(sender)
        dataset = request_dataset("1.2.5", references)
        answer, _ = sender.send_n_action(dataset, 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
        assert answer.Status == 0x0000
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            assert sender.send_c_store(ct()).Status == 0x0000
            time.sleep(0.05)
        eventually(lambda: bool(asker.heard))
        assert sender.is_established
        sender.release()
        eventually(lambda: Ledger(store).of("CT1", "1.2.5")[0].state is ReportState.REPORTED)
    assert [each.committed for each in asker.heard] == [tuple(references)]


def test_never_on_the_association_of_the_request_where_the_settings_say_so(
    store: Store, inbox: Inbox
) -> None:
    references = held(inbox, 1)
    asker = Asker()
    with (
        asker.listening() as port,
        keeping(store, inbox, peer(port), same_association=False) as listener,
    ):
        us = peer(listener.port, "PREREAD")
        assert request_commitment(us, "CT1", generate_uid(), references, wait_s=0.8) is None
        eventually(lambda: bool(asker.heard))
    assert asker.heard[0].committed == tuple(references)


def test_a_request_survives_a_restart_and_a_peer_that_was_down(store: Store, inbox: Inbox) -> None:
    references = held(inbox, 1)
    port = free_port()
    us = {"first_wait_s": 0.2, "longest_wait_s": 0.5}
    with keeping(store, inbox, peer(port), same_association=False, **us) as listener:
        assert ask(listener.port, request_dataset("1.2.5", references)) == (0x0000, "")
        ledger = Ledger(store)
        eventually(lambda: ledger.of("CT1", "1.2.5")[0].attempts > 0)
    (waiting,) = ledger.of("CT1", "1.2.5")
    assert waiting.state is ReportState.WAITING and str(port) in waiting.last_error
    asker = Asker()
    with asker.listening(port), keeping(store, inbox, peer(port), **us):
        eventually(lambda: bool(asker.heard))
    assert asker.heard[0].committed == tuple(references)


def test_a_report_nobody_hears_is_given_up_on_and_recorded(store: Store, inbox: Inbox) -> None:
    references = held(inbox, 1)
    with keeping(
        store, inbox, peer(free_port()), same_association=False, attempts=2, first_wait_s=0.1
    ) as listener:
        ask(listener.port, request_dataset("1.2.5", references))
        ledger = Ledger(store)
        eventually(lambda: ledger.of("CT1", "1.2.5")[0].state is ReportState.GIVEN_UP)
    (request,) = ledger.of("CT1", "1.2.5")
    assert request.attempts == 2 and "attempt 2 was the last" in request.last_error
    (study,) = store.unread_studies()
    eventually(lambda: "commitment-not-reported" in happened(store, study))


def test_a_peer_that_declines_the_report_is_not_asked_again(store: Store, inbox: Inbox) -> None:
    asker = Asker(status=0x0112)
    with (
        asker.listening() as port,
        keeping(store, inbox, peer(port), same_association=False) as listener,
    ):
        ask(listener.port, request_dataset("1.2.5", held(inbox, 1)))
        ledger = Ledger(store)
        eventually(lambda: ledger.of("CT1", "1.2.5")[0].state is ReportState.GIVEN_UP)
    assert len(asker.heard) == 1
    assert "0x0112" in ledger.of("CT1", "1.2.5")[0].last_error


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")  # sent on purpose
def test_what_does_not_fit_is_answered_so(store: Store, inbox: Inbox) -> None:
    good = request_dataset("1.2.5", [Reference(CT, "1.2.3")])
    no_transaction = request_dataset("1.2.5", [Reference(CT, "1.2.3")])
    del no_transaction.TransactionUID
    bad_uid = request_dataset("1.2.5", [Reference(CT, "1.2.03")])
    with keeping(store, inbox, peer(free_port())) as listener:
        port = listener.port
        assert ask(port, good, calling="MR7") == (0x0124, "not among commitment.peers here")
        assert ask(port, good, action=2) == (0x0123, "action type 2, not 1")
        assert ask(port, good, instance="1.2.3")[0] == 0x0112
        assert ask(port, no_transaction) == (0x0115, "TransactionUID = '' is no UID")
        assert ask(port, request_dataset("1.2.5", []))[0] == 0x0115
        assert ask(port, bad_uid)[0] == 0x0115
    assert Ledger(store).of("CT1", "1.2.5") == []


def test_not_offered_unless_it_is_set_up(listener: Listener) -> None:
    with association(listener.port, [build_context(COMMITMENT_CLASS)]) as sender:
        assert not sender.is_established


def test_a_damaged_object_is_not_committed_to_and_comes_whole_again(
    store: Store, inbox: Inbox
) -> None:
    image = ct()
    instance: Instance = inbox.receive(encoded(image), **command(image))
    references = [Reference(CT, str(image.SOPInstanceUID))]
    content = bytearray(instance.path.read_bytes())
    content[-1] ^= 1
    instance.path.write_bytes(content)
    with keeping(store, inbox, peer(free_port())) as listener:
        us = peer(listener.port, "PREREAD")

        def reasons() -> list[int]:
            result = request_commitment(us, "CT1", generate_uid(), references, wait_s=10)
            assert result is not None
            return [each.reason for each in result.failed]

        assert reasons() == [0x0110]
        assert not instance.path.exists() and list(instance.path.parent.glob("*.damaged"))
        assert reasons() == [0x0112]
        inbox.receive(encoded(image), **command(image))
        assert reasons() == []
    assert "object-damaged" in happened(store, instance.study_uid)


def test_an_object_that_can_not_be_read_now_is_left_where_it_is(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    image = ct()
    instance = inbox.receive(encoded(image), **command(image))
    reference = Reference(CT, str(image.SOPInstanceUID))
    instance.path.rename(tmp_path / "whole.dcm")
    instance.path.mkdir()  # can't be opened, and says nothing against the object
    assert check(store, [reference]) == ((), (Failure(reference, 0x0110),))
    instance.path.rmdir()
    (tmp_path / "whole.dcm").rename(instance.path)
    assert check(store, [reference]) == ((reference,), ())


@pytest.mark.parametrize("data_path", ["own", "pynetdicom"])
def test_both_routes_over_tls(
    store: Store, inbox: Inbox, tmp_path: Path, data_path: DataPath
) -> None:
    authority = make_authority(tmp_path)
    us = make_certificate(tmp_path, "us", authority)
    shown = {"certificate": str(us.certificate), "key": str(us.key),
             "authorities": str(authority.certificate)}  # fmt: skip
    listening = ListenerTlsSettings(port=0, **shown)  # type: ignore[arg-type]
    calling = TlsSettings(**shown)  # type: ignore[arg-type]

    def over_tls(title: str, port: int | None) -> PeerSettings:
        assert port is not None
        return PeerSettings(ae_title=title, host="127.0.0.1", port=port, tls=calling)

    where = ListenerSettings(
        ae_title="CT1", host="127.0.0.1", plain=False, tls=listening, data_path=data_path
    )
    heard: list[CommitmentResult] = []
    references = held(inbox, 1)
    with Listener(where, inbox, services=[commitment_results(heard.append)]) as modality:
        asker = over_tls("CT1", modality.tls_port)
        keeper = Keeper(CommitmentSettings(peers=(asker,)), store, "PREREAD")
        keeper.start()
        here = where.model_copy(update={"ae_title": "PREREAD"})
        with Listener(here, inbox, services=keeper.services) as listener:
            archive = over_tls("PREREAD", listener.tls_port)
            result = request_commitment(archive, "CT1", generate_uid(), references, wait_s=10)
            assert result is not None and result.committed == tuple(references)
            assert request_commitment(archive, "CT1", generate_uid(), references, 0.0) is None
            eventually(lambda: bool(heard))
        keeper.stop()
    assert heard[0].committed == tuple(references)


def test_orthanc_sends_and_asks(store: Store, inbox: Inbox, tmp_path: Path) -> None:
    if BINARY is None:
        pytest.skip("no Orthanc here: apt-get install orthanc orthanc-dicomweb")
    # our port has to be known to Orthanc, and Orthanc's to us
    port = free_port()
    with running_orthanc(tmp_path / "orthanc", port) as orthanc:
        asker = peer(orthanc.dicom_port, "ORTHANC")
        keeper = Keeper(CommitmentSettings(peers=(asker,)), store, "PREREAD")
        settings = ListenerSettings(host="127.0.0.1", port=port)
        keeper.start()
        with Listener(settings, inbox, services=keeper.services):
            image = ct()
            ours = tmp_path / "image.dcm"
            image.save_as(ours, enforce_file_format=True)
            answer = orthanc.post("/instances", ours.read_bytes())
            sent = orthanc.post(
                "/modalities/PREREAD/store",
                {"Resources": [answer["ID"]], "StorageCommitment": True},
            )
            transaction = sent["StorageCommitmentTransactionUID"]
            path = f"/storage-commitment/{transaction}"
            eventually(lambda: orthanc.get(path)["Status"] != "Pending")
            report = orthanc.get(path)
            assert report["Status"] == "Success", report
            assert [each["SOPInstanceUID"] for each in report["Success"]] == [image.SOPInstanceUID]
            asked = orthanc.post(
                "/modalities/PREREAD/storage-commitment",
                {"DicomInstances": [[CT, generate_uid()]]},
            )
            path = asked["Path"]
            eventually(lambda: orthanc.get(path)["Status"] != "Pending")
            report = orthanc.get(path)
            assert report["Status"] == "Failure"
            assert [each["FailureReason"] for each in report["Failures"]] == [0x0112]
        keeper.stop()
