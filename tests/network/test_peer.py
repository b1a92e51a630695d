"""Calling other nodes: a real Orthanc, dead ports, peers that hang, peers that say no."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    generate_uid,
)
from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import PeerBusy, PeerRefused, PeerUnreachable
from pacs_bridge.part10 import split_file
from pacs_bridge.settings import PeerSettings
from tests.network.orthanc import Orthanc, free_port
from tests.network.scripted_peer import peer_at, scp
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, saved

# a real PACS -------------------------------------------------------------------------------


def test_orthanc_answers_echo(orthanc: Orthanc) -> None:
    peer_at(orthanc.dicom_port).echo()


def test_orthanc_takes_objects_and_counts_them(
    orthanc: Orthanc, tmp_path: Path, shared_data: Path
) -> None:
    peer = peer_at(orthanc.dicom_port)
    study = generate_uid()
    assert peer.count_images(study) is None
    images = [ct(StudyInstanceUID=study) for _ in range(3)]
    paths = [saved(image, tmp_path / f"{n}.dcm") for n, image in enumerate(images)]
    outcomes = peer.store([*paths, ct(StudyInstanceUID=study)])
    assert [o.status for o in outcomes] == [0x0000] * 4
    assert [o.sop_instance_uid for o in outcomes][:3] == [i.SOPInstanceUID for i in images]
    assert all(o.error is None for o in outcomes)
    assert len(orthanc.instances(study)) == 4
    assert peer.count_images(study) == 4

    # reports and segmentations lie in the PACS too, and are no images
    report = ct(StudyInstanceUID=study, Modality="SR", PixelData=None)
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    assert peer.store([report])[0].error is None
    assert len(orthanc.instances(study)) == 5
    assert peer.count_images(study) == 4
    counted = {(each.modality, each.instances) for each in peer.series(study)}
    assert counted == {("CT", 1), ("SR", 1)}

    # the same object again is a success, and is there once
    assert peer.store(paths[:1])[0].error is None
    assert len(orthanc.instances(study)) == 5


def test_objects_of_every_syntax_go_over_one_association(
    orthanc: Orthanc, shared_data: Path
) -> None:
    folder = shared_data / "protocol" / "transfer_syntaxes"
    paths = [folder / f"CT2_{kind}" for kind in ("J2KR", "JLSL", "JLSN", "JPLL", "RLE", "UNC")]
    for outcome, path in zip(peer_at(orthanc.dicom_port).store(paths), paths, strict=True):
        assert outcome.error is None, path.name
        (held,) = orthanc.find("Instance", {"SOPInstanceUID": outcome.sop_instance_uid})
        kept = split_file(orthanc.file(held["ID"])).transfer_syntax_uid
        assert kept == split_file(path.read_bytes()).transfer_syntax_uid


# no peer -----------------------------------------------------------------------------------


def test_a_dead_port_is_unreachable_by_name_and_at_once() -> None:
    port = free_port()
    began = time.monotonic()
    with pytest.raises(PeerUnreachable, match=f"ORTHANC at 127.0.0.1:{port}.*firewall") as error:
        peer_at(port).echo()
    assert time.monotonic() - began < PATIENT_S / 2
    assert error.value.retryable


def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    nowhere = PeerSettings(ae_title="PACS", host="no-such-host.invalid", port=104)
    with pytest.raises(PeerUnreachable, match="no-such-host.invalid"):
        Peer(nowhere, "PREREAD", 3).echo()


@contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A TCP server on the loopback that does ``behave`` to each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connections.append(connection)
                behave(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for connection in connections:
            connection.close()


def test_a_peer_that_accepts_and_hangs_is_given_up_on_in_time() -> None:
    with serving(lambda connection: None) as port:
        for call in (
            lambda peer: peer.echo(),
            lambda peer: peer.count_images("1.2.3"),
            lambda peer: peer.store([ct()]),
        ):
            began = time.monotonic()
            with pytest.raises(PeerUnreachable, match="no association within 0.4 s"):
                call(peer_at(port, timeout_s=0.4))
            assert time.monotonic() - began < PATIENT_S / 2


def test_a_peer_that_hangs_up_at_once_is_unreachable() -> None:
    with serving(lambda connection: connection.close()) as port, pytest.raises(PeerUnreachable):
        peer_at(port, timeout_s=2.0).echo()


# peers that say no -------------------------------------------------------------------------

CT = [(CTImageStorage, [ExplicitVRLittleEndian])]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0xA700, PeerBusy),
        (0xA702, PeerBusy),
        (0x0110, PeerBusy),
        (0xA900, PeerRefused),
        (0xC000, PeerRefused),
        (0x0122, PeerRefused),
        (0x0124, PeerRefused),
    ],
)
def test_each_failure_status_is_one_objects_error(status: int, kind: type[Exception]) -> None:
    def answer(event: evt.Event) -> Dataset:
        said = Dataset()
        said.Status = status if event.request.MessageID else 0
        said.ErrorComment = "no, because"
        return said

    with scp([(evt.EVT_C_STORE, answer)], CT) as port:
        first, second = peer_at(port).store([ct(), ct()])
    for outcome in (first, second):
        assert type(outcome.error) is kind
        assert outcome.status == status
        assert f"0x{status:04X} (no, because)" in str(outcome.error)
        assert f"127.0.0.1:{port}" in str(outcome.error)


class _Hasty:
    """A checkpoint at which pynetdicom's thread never stops."""

    def wait(self, timeout: float | None = None) -> bool:
        return True

    set = clear = wait


def test_no_answer_is_lost_to_the_thread_that_looks_for_requests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Calls and that thread overlap on a busy machine; here they always do."""
    always = property(lambda self: True, lambda self, value: None)
    monkeypatch.setattr(Association, "_is_paused", always, raising=False)
    hasty = _Hasty()
    open_gate = property(lambda self: hasty, lambda self, value: None)
    monkeypatch.setattr(Association, "_reactor_checkpoint", open_gate, raising=False)
    with scp([(evt.EVT_C_STORE, lambda event: 0)], CT) as port:
        outcomes = peer_at(port, timeout_s=3.0).store([ct() for _ in range(20)])
    assert [outcome.status for outcome in outcomes] == [0] * 20


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0111])
def test_a_warning_is_a_success_with_a_note(status: int) -> None:
    with scp([(evt.EVT_C_STORE, lambda event: status)], CT) as port:
        (outcome,) = peer_at(port).store([ct()])
    assert outcome.error is None
    assert outcome.status == status
    assert outcome.note


def test_a_class_that_the_peer_does_not_take_is_that_objects_refusal() -> None:
    with scp([(evt.EVT_C_STORE, lambda event: 0)], CT) as port:
        image, other = peer_at(port).store([ct(), ct(SOPClassUID="1.2.840.10008.5.1.4.1.1.4")])
    assert image.error is None
    assert isinstance(other.error, PeerRefused)
    assert "1.2.840.10008.5.1.4.1.1.4" in str(other.error)


@pytest.mark.parametrize("held", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_object_is_re_encoded_for_a_peer_that_only_speaks_implicit(
    tmp_path: Path, held: str
) -> None:
    received: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        assert event.context.transfer_syntax == ImplicitVRLittleEndian
        received.append(event.dataset)
        return 0

    image = ct(PatientName="张^三", SpecificCharacterSet="GB18030", PixelData=b"\x07" * 512)
    image.file_meta.TransferSyntaxUID = held
    path = saved(image, tmp_path / "a.dcm")
    with scp([(evt.EVT_C_STORE, keep)], [(CTImageStorage, [ImplicitVRLittleEndian])]) as port:
        (outcome,) = peer_at(port).store([path])
    assert outcome.error is None
    assert received[0].PatientName == "张^三"
    assert received[0].PixelData == image.PixelData


def test_a_compressed_object_is_not_sent_where_its_syntax_is_not_taken() -> None:
    image = ct()
    image.file_meta.TransferSyntaxUID = JPEG2000Lossless
    with scp([(evt.EVT_C_STORE, lambda event: 0)], CT) as port:
        (outcome,) = peer_at(port).store([image])
    assert isinstance(outcome.error, PeerRefused)
    assert JPEG2000Lossless in str(outcome.error)


def test_a_wrong_title_is_refused_with_the_reason() -> None:
    with (
        scp([], [(Verification, [ImplicitVRLittleEndian])], called=True) as port,
        pytest.raises(PeerRefused, match="NOBODY at .*[Cc]alled AE title not recogni.ed.*PREREAD"),
    ):
        peer_at(port, title="NOBODY").echo()


def test_a_peer_that_aborts_midway_is_busy_for_the_rest() -> None:
    def abort_second(event: evt.Event) -> int:
        if event.request.MessageID and seen:
            event.assoc.abort()
        seen.append(event)
        return 0

    seen: list[evt.Event] = []
    with scp([(evt.EVT_C_STORE, abort_second)], CT) as port:
        outcomes = peer_at(port, timeout_s=1).store([ct(), ct(), ct()])
    assert outcomes[0].error is None
    assert [type(o.error) for o in outcomes[1:]] == [PeerBusy, PeerBusy]


def test_a_peer_that_never_answers_a_store_is_busy_in_time() -> None:
    let_go = threading.Event()

    def hang(event: evt.Event) -> int:
        let_go.wait(PATIENT_S)
        return 0

    with scp([(evt.EVT_C_STORE, hang)], CT) as port:
        began = time.monotonic()
        (outcome,) = peer_at(port, timeout_s=1.0).store([ct()])
        took = time.monotonic() - began
        let_go.set()
    assert isinstance(outcome.error, PeerBusy)
    assert took < PATIENT_S / 2


def test_a_peer_that_stops_reading_is_busy_in_time() -> None:
    stopped = threading.Event()

    def stop_reading(event: evt.Event) -> None:
        # called in the peer's own network thread: nothing more is read from the socket
        stopped.wait(PATIENT_S)

    with scp([(evt.EVT_ESTABLISHED, lambda event: None), (evt.EVT_PDU_RECV, _after_first(
        stop_reading))], CT) as port:  # fmt: skip
        began = time.monotonic()
        (outcome,) = peer_at(port, timeout_s=1.0).store([ct(PixelData=bytes(20_000_000))])
        took = time.monotonic() - began
        stopped.set()
    assert isinstance(outcome.error, PeerBusy)
    assert took < PATIENT_S / 2


def _after_first(action: Callable[[evt.Event], None]) -> Callable[[evt.Event], None]:
    seen: list[int] = []

    def handle(event: evt.Event) -> None:
        seen.append(1)
        if len(seen) > 1:
            action(event)

    return handle


def test_an_unreadable_file_is_its_own_error_and_the_others_go(tmp_path: Path) -> None:
    (tmp_path / "junk.dcm").write_bytes(b"junk")
    paths = [tmp_path / "gone.dcm", tmp_path / "junk.dcm", saved(ct(), tmp_path / "good.dcm")]
    with scp([(evt.EVT_C_STORE, lambda event: 0)], CT) as port:
        gone, junk, good = peer_at(port).store(paths)
    assert "gone.dcm" in str(gone.error)
    assert junk.error is not None
    assert good.error is None


def test_more_kinds_than_one_association_can_negotiate(tmp_path: Path) -> None:
    classes = [f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "4", "7", "20", "128", "1")]
    kinds = [
        (sop_class, f"1.2.840.10008.1.2.4.{n}") for sop_class in classes for n in range(50, 90)
    ]
    objects = []
    for sop_class, syntax in kinds:
        image = ct(SOPClassUID=sop_class)
        image.file_meta.TransferSyntaxUID = syntax
        objects.append(image)
    objects.append(ct())
    with scp([(evt.EVT_C_STORE, lambda event: 0)], CT) as port:
        outcomes = peer_at(port).store(objects)
    assert [type(o.error) for o in outcomes] == [PeerRefused] * len(kinds) + [type(None)]
