"""What a listener promises, whichever data path takes the objects in."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.peer import keep_answers
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.store import Instance, Store
from tests.network.raw_peer import (
    ABORT,
    AC,
    COMMAND,
    DATA,
    LAST,
    RELEASE_RP,
    RELEASE_RQ,
    RJ,
    RawPeer,
    association_request,
    pdu,
    pdv,
    raw_peer,
    rejection,
    store_command,
)
from tests.network.senders import association, kept_files, store_raw
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, encoded

COMMITMENT = "1.2.840.10008.1.20.1"
AVAILABILITY = "1.2.840.10008.5.1.4.33"
Running = Callable[..., AbstractContextManager[Listener]]


def wait(true: Callable[[], Any], seconds: float = PATIENT_S) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


class ListenerSuite:
    """Mixed into a class that has the fixture ``running``: settings and services to a listener."""

    # objects -----------------------------------------------------------------------------

    def test_an_object_comes_as_it_was_sent_and_is_announced_before_success(
        self, running: Running, store: Store
    ) -> None:
        image = ct(PixelData=os.urandom(3_000_000))
        seen: list[tuple[Instance, int]] = []

        def note(instance: Instance) -> None:
            seen.append((instance, len(store.instances_of(instance.study_uid))))

        with running(on_stored=note) as listener, association(listener.port) as sender:
            assert sender.send_c_store(image).Status == 0x0000
        ((instance, recorded),) = seen
        assert recorded == 1
        assert dcmread(instance.path).PixelData == image.PixelData
        assert instance.source_ae == "SENDER"
        assert instance.path.read_bytes().endswith(encoded(image))

    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_fragments_of_any_size_make_the_same_object(
        self, running: Running, inbox: Inbox, size: int
    ) -> None:
        image = ct()
        content = encoded(image)
        with running() as listener, raw_peer(listener.port) as peer:
            command = store_command(str(image.SOPInstanceUID))
            pieces = []
            for whole, control in ((command, COMMAND), (content, 0)):
                for start in range(0, len(whole), size):
                    last = LAST if start + size >= len(whole) else 0
                    pieces.append(pdv(1, control | last, whole[start : start + size]))
            for start in range(0, len(pieces), 3):  # several fragments in a PDU
                peer.send(pdu(DATA, b"".join(pieces[start : start + 3])))
            assert peer.status() == 0x0000
        (path,) = kept_files(inbox)
        assert path.read_bytes().endswith(content)

    def test_an_object_that_breaks_off_leaves_nothing(
        self, running: Running, inbox: Inbox, store: Store
    ) -> None:
        with running() as listener:
            for ending in ("close", "abort", "release"):
                with raw_peer(listener.port) as peer:
                    peer.send(pdu(DATA, pdv(1, COMMAND | LAST, store_command("1.2.3"))))
                    peer.send(pdu(DATA, pdv(1, 0, bytes(100_000))))
                    if ending == "abort":
                        peer.send(pdu(ABORT, bytes(4)))
                    elif ending == "release":
                        peer.send(pdu(RELEASE_RQ, bytes(4)))
                        assert peer.receive()[0] in (RELEASE_RP, ABORT)
            with association(listener.port) as sender:
                assert sender.send_c_store(ct()).Status == 0x0000
            wait(lambda: len(kept_files(inbox)) == 1)
        assert len(store.worklist()) == 1

    def test_what_is_refused_is_taken_off_the_connection_first(
        self, running: Running, inbox: Inbox
    ) -> None:
        image = ct(PixelData=os.urandom(500_000))
        with running() as listener, association(listener.port) as sender:
            for _ in range(3):
                status, words = store_raw(sender, encoded(image), CTImageStorage, "1.2/3")
                assert status == 0xC000
                assert "AffectedSOPInstanceUID" in words
            assert sender.send_c_store(image).Status == 0x0000
        assert len(kept_files(inbox)) == 1

    def test_an_object_asked_for_by_our_move_is_known_as_such(
        self, running: Running, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fetched: list[bool | None] = []
        really = Store.record_instance

        def record(self: Store, *arguments: Any, **more: Any) -> bool:
            fetched.append(more["fetched"])
            return really(self, *arguments, **more)

        monkeypatch.setattr(Store, "record_instance", record)
        with running() as listener, association(listener.port) as sender:
            sender.send_c_store(ct(), originator_aet="PREREAD", originator_id=1)
            sender.send_c_store(ct(), originator_aet="SOMEBODY", originator_id=1)
            sender.send_c_store(ct())
        assert fetched == [True, False, None]

    # who may enter -----------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("rules", "enters"),
        [
            (("10.0.0.0/8",), False),
            (("10.0.0.0/8", "127.0.0.0/8"), True),
            (("SENDER@10.0.0.0/8",), False),
            (("SENDER@127.0.0.1", "10.0.0.0/8"), True),
            (("SENDER@10.0.0.0/8", "127.0.0.1"), False),
            (("OTHER@10.0.0.0/8",), True),
        ],
    )
    def test_addresses(
        self,
        running: Running,
        rules: tuple[str, ...],
        enters: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        with running(calling_addresses=rules) as listener:
            answer = rejection(listener.port, calling="SENDER")
            assert answer == (None if enters else (1, 1, 3))
        told = any("calling_addresses" in record.getMessage() for record in caplog.records)
        assert told is not enters

    @pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this system has no IPv6")
    def test_every_address_of_ipv6_and_ipv4(self, running: Running) -> None:
        with running(host="::", calling_addresses=("127.0.0.0/8", "fe80::/10")) as listener:
            for address, answer in (("127.0.0.1", AC), ("::1", RJ)):
                with RawPeer(listener.port, address=address) as peer:
                    peer.send(association_request())
                    assert peer.receive()[0] == answer, address

    def test_one_address_has_no_more_associations_than_it_may(
        self, running: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        with running(maximum_each=1) as listener, association(listener.port) as first:
            assert first.is_established
            assert rejection(listener.port) == (2, 3, 2)
        assert any("maximum_each" in record.getMessage() for record in caplog.records)

    def test_who_asks_for_nothing_is_not_waited_for(self, running: Running) -> None:
        with running(request_timeout_s=0.5) as listener:
            peers = [RawPeer(listener.port) for _ in range(3)]
            peers[1].send(association_request()[:40])
            for peer in peers:
                began = time.monotonic()
                assert peer.receive()[0] in (0, ABORT)
                assert time.monotonic() - began < 5
                peer.close()

    def test_an_association_lasts_as_long_as_it_is_used(self, running: Running) -> None:
        with (
            running(idle_timeout_s=1.0, request_timeout_s=0.5) as listener,
            association(listener.port) as sender,
        ):
            for _ in range(4):
                time.sleep(0.3)
                assert sender.send_c_store(ct()).Status == 0x0000

    # other services ----------------------------------------------------------------------

    def test_a_request_of_dimse_n_reaches_its_service_and_is_answered(
        self, running: Running
    ) -> None:
        asked: list[Asked] = []

        def handle(request: Asked) -> Answered:
            asked.append(request)
            return Answered(0x0000)

        service = Service(COMMITMENT, frozenset({"N-ACTION"}), handle)
        information = Dataset()
        information.TransactionUID = "1.2.3"
        context = build_context(COMMITMENT, [ImplicitVRLittleEndian])
        with (
            running(services=[service]) as listener,
            association(listener.port, [context]) as sender,
        ):
            answer, _ = sender.send_n_action(information, 1, COMMITMENT, f"{COMMITMENT}.1")
            assert answer.Status == 0x0000
        (request,) = asked
        assert (request.kind, request.number) == ("N-ACTION", 1)
        assert (request.sop_class_uid, request.sop_instance_uid) == (
            COMMITMENT,
            f"{COMMITMENT}.1",
        )
        assert request.dataset.TransactionUID == "1.2.3"
        assert (request.calling_ae, request.address) == ("SENDER", "127.0.0.1")

    def test_what_a_service_raises_or_does_not_know_is_an_answer(self, running: Running) -> None:
        def handle(request: Asked) -> Answered:
            if request.sop_instance_uid == "1.2.3":
                raise RuntimeError("a bug")
            return Answered(0x0112, comment="no such SOP instance")

        service = Service(AVAILABILITY, frozenset({"N-CREATE"}), handle)
        contexts = [build_context(AVAILABILITY, [ExplicitVRLittleEndian])]
        with (
            running(services=[service]) as listener,
            association(listener.port, contexts) as sender,
        ):
            content = Dataset()
            content.PatientID = "1"
            answer, _ = sender.send_n_create(content, AVAILABILITY, "1.2.3")
            assert answer.Status == 0x0110
            answer, _ = sender.send_n_create(content, AVAILABILITY, "1.2.4")
            assert (answer.Status, answer.ErrorComment) == (0x0112, "no such SOP instance")

    def test_a_peer_that_is_the_scp_reports_to_us(self, running: Running) -> None:
        asked: list[Asked] = []

        def handle(request: Asked) -> Answered:
            asked.append(request)
            return Answered(0x0000)

        services = [
            Service(COMMITMENT, frozenset({"N-ACTION"}), lambda request: Answered(0x0000)),
            Service(COMMITMENT, frozenset({"N-EVENT-REPORT"}), handle, peer_is_scp=True),
        ]
        with running(services=services) as listener:
            ae = AE("ARCHIVE")
            made = ae.associate(
                "127.0.0.1",
                listener.port,
                [build_context(COMMITMENT)],
                ae_title="PREREAD",
                ext_neg=[build_role(COMMITMENT, scp_role=True)],
            )
            assert made.is_established
            (context,) = made.accepted_contexts
            assert context.as_scp
            information = Dataset()
            information.TransactionUID = "1.2.3"
            answer, _ = made.send_n_event_report(information, 1, COMMITMENT, f"{COMMITMENT}.1")
            assert answer.Status == 0x0000
            made.release()
        assert [(each.kind, each.number) for each in asked] == [("N-EVENT-REPORT", 1)]

    @pytest.mark.parametrize("stays", [True, False])
    def test_an_event_follows_over_the_same_association_if_the_peer_stays(
        self, running: Running, stays: bool
    ) -> None:
        told: list[int | None] = []
        heard: list[str] = []
        result = Dataset()
        result.TransactionUID = "1.2.3"
        event = Event(COMMITMENT, f"{COMMITMENT}.1", 1, result, told.append)

        def hear(received: evt.Event) -> tuple[int, None]:
            heard.append(str(received.event_information.TransactionUID))
            return 0x0000, None

        service = Service(
            COMMITMENT,
            frozenset({"N-ACTION"}),
            lambda request: Answered(0x0000, then=lambda: event),
        )
        with running(services=[service]) as listener:
            ae = AE("SENDER")
            made = ae.associate(
                "127.0.0.1",
                listener.port,
                [build_context(COMMITMENT), build_context(CTImageStorage)],
                ae_title="PREREAD",
                evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)],
            )
            keep_answers(made)
            made.send_n_action(result, 1, COMMITMENT, f"{COMMITMENT}.1")
            if stays:
                wait(lambda: told)
                assert made.send_c_store(ct()).Status == 0x0000
            made.release()
            wait(lambda: told)
        assert (told, heard) == (([0x0000], ["1.2.3"]) if stays else ([None], []))

    # the end -----------------------------------------------------------------------------

    def test_stop_lets_an_object_that_is_being_kept_be_finished(
        self, running: Running, inbox: Inbox
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def slow(instance: Instance) -> None:
            begun.set()
            go_on.wait(PATIENT_S)

        with running(on_stored=slow) as listener, association(listener.port) as sender:
            statuses: list[Any] = []
            sending = threading.Thread(
                target=lambda: statuses.append(sender.send_c_store(ct()).get("Status"))
            )
            sending.start()
            assert begun.wait(PATIENT_S)
            stopping = threading.Thread(target=listener.stop)
            stopping.start()
            time.sleep(0.3)
            go_on.set()
            sending.join(PATIENT_S)
            stopping.join(PATIENT_S)
        assert statuses == [0x0000]
        assert len(kept_files(inbox)) == 1

    def test_echo(self, running: Running) -> None:
        with (
            running() as listener,
            association(listener.port, [build_context(Verification)]) as sender,
        ):
            assert sender.send_c_echo().Status == 0x0000
