"""The listener against real senders: DCMTK, Orthanc, pynetdicom, and one that breaks rules."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
    SegmentationStorage,
    generate_uid,
)
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import BridgeError
from pacs_bridge.identify import identify
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import split_file
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, running_orthanc
from tests.unit.pacs_bridge.made import ct, encoded, saved


@contextmanager
def association(
    port: int,
    contexts: list[PresentationContext] | None = None,
    called: str = "PREREAD",
    calling: str = "SENDER",
) -> Iterator[Association]:
    """An association, established or not, ended at the end."""
    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.connection_timeout = 30
    contexts = contexts or [build_context(CTImageStorage, [ExplicitVRLittleEndian])]
    made = ae.associate("127.0.0.1", port, contexts=contexts, ae_title=called)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def store_raw(
    sender: Association, data: bytes, sop_class: str, sop_instance: str
) -> tuple[int | None, str]:
    """A C-STORE whose command says what we want, whatever the data set is: status, comment."""
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request._affected_sop_class_uid = request._affected_sop_instance_uid = None
    request.AffectedSOPClassUID = sop_class
    request.AffectedSOPInstanceUID = sop_instance
    request.DataSet = BytesIO(data)
    context = next(cx for cx in sender.accepted_contexts)
    sender._reactor_checkpoint.clear()
    while not sender._is_paused:
        time.sleep(0.001)
    assert context.context_id is not None
    sender.dimse.send_msg(request, context.context_id)
    _, answer = sender.dimse.get_msg(block=True)
    sender._reactor_checkpoint.set()
    if answer is None:
        return None, ""
    return answer.Status, str(getattr(answer, "ErrorComment", "") or "")


def kept_files(inbox: Inbox) -> list[Path]:
    return sorted(path for path in inbox.folder.rglob("*") if path.is_file())


# DCMTK -------------------------------------------------------------------------------------


def test_dcmtk_echo(listener: Listener) -> None:
    answer = dcmtk("echoscu", "-aec", "PREREAD", "127.0.0.1", str(listener.port))
    assert answer.returncode == 0, answer.stderr


def test_dcmtk_echo_to_a_wrong_title_is_refused_and_logged(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    answer = dcmtk(
        "echoscu", "-aet", "MODALITY7", "-aec", "ELSEWHERE", "127.0.0.1", str(listener.port)
    )
    assert answer.returncode != 0
    assert "Called AE Title Not Recognized" in answer.stderr
    line = next(r.getMessage() for r in caplog.records if "refused association" in r.getMessage())
    assert "'MODALITY7' at 127.0.0.1" in line
    assert "'ELSEWHERE'" in line
    assert "listener.ae_title" in line


def test_storescu_sends_a_study(
    listener: Listener, store: Store, stored: list[Instance], lidc_0001: Path
) -> None:
    paths = sorted(path for path in lidc_0001.rglob("*.dcm"))[:40]
    answer = dcmtk(
        "storescu", "-v", "-aec", "PREREAD", "127.0.0.1", str(listener.port), *map(str, paths)
    )
    assert answer.returncode == 0, answer.stderr
    (study_uid,) = {instance.study_uid for instance in stored}
    held = store.instances_of(study_uid)
    assert len(held) == len(stored) == 40
    sent = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID): path for path in paths}
    for instance in held:
        original = dcmread(sent[instance.sop_instance_uid])
        assert dcmread(instance.path).PixelData == original.PixelData


def _sendable(folder: Path) -> tuple[list[Path], list[Path]]:
    good, bad = [], []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix in (".txt", ".sh", ".dump"):
            continue
        parts = split_file(path.read_bytes())
        try:
            identify(parts.dataset, parts.transfer_syntax_uid)
        except BridgeError:
            bad.append(path)
        else:
            good.append(path)
    return good, bad


def test_every_transfer_syntax_is_kept_as_sent(
    listener: Listener, stored: list[Instance], shared_data: Path
) -> None:
    good, bad = _sendable(shared_data / "protocol" / "transfer_syntaxes")
    for path in good:
        parts = split_file(path.read_bytes())
        is_ = identify(parts.dataset, parts.transfer_syntax_uid)
        with association(
            listener.port, [build_context(is_.sop_class_uid, [parts.transfer_syntax_uid])]
        ) as sender:
            assert sender.is_established, path.name
            status, comment = store_raw(
                sender, bytes(parts.dataset), is_.sop_class_uid, is_.sop_instance_uid
            )
        assert status == 0x0000, (path.name, comment)
        kept = split_file(stored[-1].path.read_bytes())
        assert kept.transfer_syntax_uid == parts.transfer_syntax_uid, path.name
        assert kept.dataset == parts.dataset, path.name
    syntaxes = {split_file(i.path.read_bytes()).transfer_syntax_uid for i in stored}
    assert len(syntaxes) >= 12, syntaxes
    # two HTJ2K files have no StudyInstanceUID: refused for that, not for their syntax
    for path in bad:
        parts = split_file(path.read_bytes())
        with association(
            listener.port, [build_context(parts.sop_class_uid, [parts.transfer_syntax_uid])]
        ) as sender:
            assert sender.is_established, path.name
            status, comment = store_raw(
                sender, bytes(parts.dataset), parts.sop_class_uid, parts.sop_instance_uid
            )
        assert (status, "StudyInstanceUID" in comment) == (0xC000, True), path.name


def test_dcmsend_sends_mixed_syntaxes_undecoded(
    listener: Listener, stored: list[Instance], shared_data: Path
) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    paths = [folder / f"CT1_{kind}" for kind in ("J2KR", "JLSL", "JLSN", "JPLL", "RLE", "UNC")]
    answer = dcmtk(
        "dcmsend", "-v", "--decompress-never", "-aec", "PREREAD", "127.0.0.1",
        str(listener.port), *map(str, paths),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert Counter(split_file(i.path.read_bytes()).transfer_syntax_uid for i in stored) == Counter(
        split_file(path.read_bytes()).transfer_syntax_uid for path in paths
    )


def test_charsets_and_hostile_files_by_dcmsend_crash_nothing(
    listener: Listener, stored: list[Instance], shared_data: Path
) -> None:
    for name in ("charsets", "hostile"):
        dcmtk(
            "dcmsend", "--no-halt", "--no-uid-checks", "+sd", "+r", "--decompress-never",
            "-aec", "PREREAD", "127.0.0.1", str(listener.port),
            str(shared_data / "protocol" / name),
        )  # fmt: skip
    assert len(stored) > 40
    assert dcmtk("echoscu", "-aec", "PREREAD", "127.0.0.1", str(listener.port)).returncode == 0


# Orthanc -----------------------------------------------------------------------------------


@pytest.mark.skipif(BINARY is None, reason="no Orthanc here")
def test_orthanc_pushes_a_study(
    tmp_path: Path, inbox: Inbox, store: Store, stored: list[Instance], shared_data: Path
) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, calling_ae_titles=("ORTHANC",))
    folder = shared_data / "protocol" / "transfer_syntaxes"
    with (
        Listener(settings, inbox, stored.append) as listener,
        running_orthanc(tmp_path / "orthanc", listener.port) as orthanc,
    ):
        orthanc.post("/modalities/PREREAD/echo", {})
        sent = {}
        for kind in ("JPLL", "RLE", "J2KR"):
            orthanc.upload(folder / f"MR1_{kind}")
            dataset = dcmread(folder / f"MR1_{kind}", stop_before_pixels=True)
            sent[str(dataset.SOPInstanceUID)] = str(dataset.file_meta.TransferSyntaxUID)
        for study_uid in {
            each["MainDicomTags"]["StudyInstanceUID"] for each in orthanc.find("Study", {})
        }:
            result = orthanc.send_to("PREREAD", study_uid)
            assert result["FailedInstancesCount"] == 0
        held = {i.sop_instance_uid: split_file(i.path.read_bytes()) for i in stored}
        assert {uid: parts.transfer_syntax_uid for uid, parts in held.items()} == sent
        assert {instance.source_ae for instance in stored} == {"ORTHANC"}


# associations ------------------------------------------------------------------------------


def test_only_named_senders_may_send(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, calling_ae_titles=("CT1", "CT2"))
    with Listener(settings, inbox) as listener:
        with association(listener.port, calling="CT2") as sender:
            assert sender.is_established
        with association(listener.port, calling="STRANGER") as sender:
            assert sender.is_rejected
    assert any("calling_ae_titles" in r.getMessage() for r in caplog.records)


def test_any_called_title_where_the_settings_say_so(inbox: Inbox) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, require_called_ae=False)
    with Listener(settings, inbox) as listener, association(listener.port, called="ANY") as sender:
        assert sender.is_established


def test_one_association_too_many_is_refused_for_the_moment(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, maximum_associations=2)
    with (
        Listener(settings, inbox) as listener,
        association(listener.port) as first,
        association(listener.port) as second,
    ):
        assert first.is_established and second.is_established
        with association(listener.port) as third:
            assert third.is_rejected
            assert third.acceptor.primitive is not None
            assert third.acceptor.primitive.result == 0x02  # transient
        first.release()
        time.sleep(0.5)
        with association(listener.port) as fourth:
            assert fourth.is_established
    assert any("maximum_associations" in r.getMessage() for r in caplog.records)


def test_a_silent_association_is_closed(inbox: Inbox) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, idle_timeout_s=0.5)
    with Listener(settings, inbox) as listener, association(listener.port) as sender:
        assert sender.is_established
        deadline = time.monotonic() + 10
        while sender.is_established and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not sender.is_established


def test_the_senders_own_preference_of_syntax_is_followed(listener: Listener) -> None:
    proposed = [JPEG2000Lossless, ExplicitVRLittleEndian, ImplicitVRLittleEndian]
    for order in (proposed, proposed[::-1]):
        with association(listener.port, [build_context(CTImageStorage, order)]) as sender:
            assert sender.accepted_contexts[0].transfer_syntax == [order[0]]


def test_every_storage_class_asked_for_is_taken_and_nothing_else(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    find = "1.2.840.10008.5.1.4.1.2.2.1"
    wanted = [
        CTImageStorage, EnhancedCTImageStorage, MRImageStorage, EnhancedMRImageStorage,
        SegmentationStorage, Verification,
    ]  # fmt: skip
    contexts = [build_context(uid, [ImplicitVRLittleEndian]) for uid in (*wanted, find)]
    with association(listener.port, contexts) as sender:
        taken = {context.abstract_syntax for context in sender.accepted_contexts}
    assert taken == set(wanted)
    assert any(find in record.getMessage() for record in caplog.records)


def test_thirty_two_associations_at_once_lose_nothing(
    listener: Listener, inbox: Inbox, store: Store, stored: list[Instance]
) -> None:
    study = generate_uid()
    images = [
        [ct(StudyInstanceUID=study, PixelData=os.urandom(512)) for _ in range(8)] for _ in range(32)
    ]

    def send(batch: list[Dataset]) -> list[int]:
        with association(listener.port) as sender:
            assert sender.is_established
            return [sender.send_c_store(image).Status for image in batch]

    with ThreadPoolExecutor(32) as pool:
        statuses = [status for each in pool.map(send, images) for status in each]
    assert statuses == [0x0000] * 256
    held = {i.sop_instance_uid: i for i in store.instances_of(study)}
    assert len(held) == len(stored) == len(kept_files(inbox)) == 256
    for image in (image for batch in images for image in batch):
        assert dcmread(held[image.SOPInstanceUID].path).PixelData == image.PixelData


# refusals ----------------------------------------------------------------------------------


@pytest.fixture
def sender(listener: Listener) -> Iterator[Association]:
    with association(listener.port) as sender:
        assert sender.is_established
        yield sender


def _refusal(caplog: pytest.LogCaptureFixture) -> str:
    return next(r.getMessage() for r in caplog.records if "refused object" in r.getMessage())


def test_another_instance_than_the_command_says(
    sender: Association, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    image = ct()
    status, comment = store_raw(sender, encoded(image), CTImageStorage, "1.2.3")
    assert status == 0xA900
    assert comment.startswith("SOPInstanceUID (0008,0018) = ")
    line = _refusal(caplog)
    assert "'SENDER' at 127.0.0.1" in line
    assert str(image.SOPInstanceUID) in line
    assert "0xA900" in line
    assert kept_files(inbox) == []


def test_another_class_than_the_context_is_for(sender: Association, inbox: Inbox) -> None:
    image = ct(SOPClassUID=MRImageStorage)
    status, _ = store_raw(sender, encoded(image), MRImageStorage, image.SOPInstanceUID)
    assert status == 0xA900
    assert kept_files(inbox) == []


@pytest.mark.parametrize(
    "value", ["../../../evil", "/tmp/evil", "1.2.3/../../evil", "..", "%2e%2e"]
)
@pytest.mark.filterwarnings("ignore")
def test_paths_in_uids_are_refused(
    sender: Association,
    inbox: Inbox,
    tmp_path: Path,
    value: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = sorted(tmp_path.rglob("*"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        image = ct(**{keyword: value})
        status, comment = store_raw(sender, encoded(image), CTImageStorage, image.SOPInstanceUID)
        assert status == 0xC000, keyword
        assert "UID (00" in comment, keyword
    assert sorted(tmp_path.rglob("*")) == before
    assert value in _refusal(caplog)
    image = ct()
    assert sender.send_c_store(image).Status == 0x0000  # the association lives on


@pytest.mark.parametrize("data", [b"\x00" * 64, b"hello" * 50, encoded(ct())[:60]])
def test_what_is_no_data_set_is_not_understood(sender: Association, data: bytes) -> None:
    status, _ = store_raw(sender, data, CTImageStorage, "1.2.3")
    assert status == 0xC000
    assert sender.send_c_store(ct()).Status == 0x0000


def test_a_full_disk_is_told_loudly(
    tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox(tmp_path / "inbox", store, minimum_free_gb=10**9)
    with (
        Listener(ListenerSettings(host="127.0.0.1", port=0), inbox) as listener,
        association(listener.port) as sender,
    ):
        answer = sender.send_c_store(ct())
        assert answer.Status == 0xA700
        assert "GB free" in answer.ErrorComment
    assert [r.levelno for r in caplog.records if "0xA700" in r.getMessage()] == [logging.ERROR]
    assert kept_files(inbox) == []


def test_an_unexpected_error_is_logged_and_the_association_survives(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    announced: list[Instance] = []

    def fail_once(instance: Instance) -> None:
        announced.append(instance)
        if len(announced) == 1:
            raise RuntimeError("a bug")

    settings = ListenerSettings(host="127.0.0.1", port=0)
    with Listener(settings, inbox, fail_once) as listener, association(listener.port) as sender:
        image = ct()
        assert sender.send_c_store(image).Status == 0x0110
        assert sender.send_c_store(image).Status == 0x0000  # sent again, and announced again
    assert announced[0] == announced[1]
    failed = next(r for r in caplog.records if "0x0110" in r.getMessage())
    assert failed.exc_info is not None


def test_a_port_that_is_taken_is_a_clear_error(inbox: Inbox) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = ListenerSettings(host="127.0.0.1", port=other.getsockname()[1])
        with pytest.raises(BridgeError, match="listener.port"):
            Listener(settings, inbox).start()


# broken senders ----------------------------------------------------------------------------


def test_a_sender_killed_midway_leaves_nothing(
    listener: Listener, inbox: Inbox, store: Store, stored: list[Instance]
) -> None:
    script = (
        "import sys, threading, os, time\n"
        "from pynetdicom import AE\n"
        "from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian\n"
        "from tests.unit.pacs_bridge.made import ct\n"
        "ae = AE('SENDER'); ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)\n"
        "a = ae.associate('127.0.0.1', int(sys.argv[1]), ae_title='PREREAD')\n"
        "assert a.is_established\n"
        "send = a.dul.socket.send\n"
        "count = [0]\n"
        "def cut(data):\n"
        "    count[0] += 1\n"
        "    if count[0] > 40: os._exit(7)\n"
        "    send(data)\n"
        "a.dul.socket.send = cut\n"
        "a.acceptor.primitive\n"
        "a.dimse.__class__.maximum_pdu_size = property(lambda self: 16384)\n"
        "a.send_c_store(ct(PixelData=bytes(30_000_000)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(listener.port)], timeout=120, check=False
    )
    assert done.returncode == 7
    with association(listener.port) as sender:  # still answering
        assert sender.send_c_store(ct()).Status == 0x0000
    assert len(kept_files(inbox)) == len(stored) == len(store.worklist()) == 1


def test_garbage_and_silence_on_the_port_hold_up_nobody(listener: Listener) -> None:
    address = ("127.0.0.1", listener.port)
    silent = [socket.create_connection(address) for _ in range(5)]
    for garbage in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(4000), b"\x01\x00\xff\xff\xff\xff"):
        with socket.create_connection(address) as peer:
            peer.sendall(garbage)
    try:
        with association(listener.port) as sender:
            assert sender.send_c_store(ct()).Status == 0x0000
    finally:
        for each in silent:
            each.close()


def test_stop_lets_go_of_the_port_and_start_takes_it_again(inbox: Inbox) -> None:
    listener = Listener(ListenerSettings(host="127.0.0.1", port=0), inbox)
    listener.start()
    port = listener.port
    with association(port) as sender:
        assert sender.send_c_store(ct()).Status == 0x0000
        listener.stop()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2)
    listener.start()
    assert listener.port == port
    with association(port) as sender:
        assert sender.is_established
    listener.stop()


def test_a_saved_file_is_a_file_dcmtk_reads(
    listener: Listener, stored: list[Instance], tmp_path: Path
) -> None:
    answer = dcmtk(
        "storescu", "-aec", "PREREAD", "127.0.0.1", str(listener.port),
        str(saved(ct(PatientName="A^B"), tmp_path / "a.dcm")),
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    dump = dcmtk("dcmdump", str(stored[0].path))
    assert dump.returncode == 0
    assert "PREREAD_" in dump.stdout
    assert "[A^B]" in dump.stdout
