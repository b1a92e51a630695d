"""The listener against real senders: DCMTK, Orthanc, pynetdicom; negotiation and limits."""

from __future__ import annotations

import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
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
from pynetdicom import build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import BridgeError
from pacs_bridge.identify import identify
from pacs_bridge.inbox import Inbox
from pacs_bridge.part10 import split_file
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store
from tests.contract.listener_suite import wait
from tests.network.conftest import dcmtk
from tests.network.orthanc import BINARY, running_orthanc
from tests.network.raw_peer import rejection
from tests.network.senders import association, kept_files, store_raw
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, saved

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
        assert rejection(listener.port, calling="STRANGER") == (1, 1, 3)
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
        assert rejection(listener.port) == (2, 3, 2)  # for now: it may try again
        first.release()
        wait(lambda: rejection(listener.port) is None)
    assert any("maximum_associations" in r.getMessage() for r in caplog.records)


def test_a_silent_association_is_closed(inbox: Inbox) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, idle_timeout_s=0.5)
    with Listener(settings, inbox) as listener, association(listener.port) as sender:
        assert sender.is_established
        deadline = time.monotonic() + PATIENT_S
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
