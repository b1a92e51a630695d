"""What our own data path does that pynetdicom's doesn't: it sleeps, and takes several at once."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

import pytest
from pydicom import valuerep
from pynetdicom.pdu_primitives import AsynchronousOperationsWindowNegotiation

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance
from tests.network.raw_peer import (
    ABORT,
    AC,
    COMMAND,
    DATA,
    LAST,
    RJ,
    RawPeer,
    association_request,
    pdu,
    pdv,
    raw_peer,
    store_command,
)
from tests.network.senders import kept_files
from tests.unit.pacs_bridge.made import ct, encoded


@pytest.fixture
def listener(inbox: Inbox, stored: list[Instance]) -> Iterator[Listener]:
    settings = ListenerSettings(host="127.0.0.1", port=0, data_path="own", maximum_associations=200)
    with Listener(settings, inbox, stored.append) as listener:
        yield listener


def test_idle_associations_cost_nothing(listener: Listener) -> None:
    peers = [RawPeer(listener.port) for _ in range(100)]
    for peer in peers:
        peer.associate()
    time.sleep(0.2)
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.05
    for peer in peers:
        peer.close()


def test_a_sender_that_asks_may_have_several_objects_under_way(
    listener: Listener, inbox: Inbox
) -> None:
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = 4
    window.maximum_number_operations_performed = 0
    with RawPeer(listener.port) as peer:
        answer = peer.associate(items=[window])
        (said,) = [each for each in answer.user_information.user_data if each.item_type == 0x53]
        assert said.maximum_number_operations_invoked == 4
        assert said.maximum_number_operations_performed == 1
        parts = []
        for number in range(1, 5):
            image = ct()
            command = store_command(str(image.SOPInstanceUID), number)
            parts.append(pdu(DATA, pdv(1, COMMAND | LAST, command)))
            parts.append(pdu(DATA, pdv(1, LAST, encoded(image))))
        peer.send(*parts)  # none waits for the answer to the one before
        answers = [peer.answer() for _ in range(4)]
    assert [each[0x0900] for each in answers] == [b"\x00\x00"] * 4
    assert [int.from_bytes(each[0x0120], "little") for each in answers] == [1, 2, 3, 4]
    assert len(kept_files(inbox)) == 4


def test_an_unknown_request_is_answered_and_the_association_lives_on(
    listener: Listener, inbox: Inbox
) -> None:
    image = ct()
    command = store_command(str(image.SOPInstanceUID))
    find = command.replace(
        b"\x00\x00\x00\x01\x02\x00\x00\x00\x01\x00", b"\x00\x00\x00\x01\x02\x00\x00\x00\x20\x00"
    )
    assert find != command
    with raw_peer(listener.port) as peer:
        for said, status in ((find, 0x0211), (command, 0x0000)):
            peer.send(pdu(DATA, pdv(1, COMMAND | LAST, said)))
            peer.send(pdu(DATA, pdv(1, LAST, encoded(image))))
            assert peer.status() == status
    assert len(kept_files(inbox)) == 1


@pytest.mark.parametrize(
    ("version", "answer"),
    [(2, (RJ, b"\x00\x01\x02\x02")), (3, (AC, b"\x00\x01\x00\x00"))],
    ids=["another", "another beside ours"],
)
def test_the_version_of_the_protocol_is_ours(
    listener: Listener, version: int, answer: tuple[int, bytes]
) -> None:
    asked = bytearray(association_request())
    asked[6:8] = version.to_bytes(2, "big")  # bits, of which the first is version 1
    with RawPeer(listener.port) as peer:
        peer.send(bytes(asked))
        kind, body = peer.receive()
    assert (kind, body[:4]) == answer


def test_a_request_that_trickles_in_is_not_waited_for(inbox: Inbox) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=0, request_timeout_s=0.5)
    with Listener(settings, inbox) as listener, RawPeer(listener.port) as peer:
        began = time.monotonic()
        for byte in association_request():  # ten seconds' worth
            peer.send(bytes([byte]))
            if select.select([peer.socket], [], [], 0.05)[0]:
                break
        assert peer.receive()[0] == ABORT
        assert time.monotonic() - began < 5


def test_what_a_peer_gets_wrong_is_not_remembered(inbox: Inbox) -> None:
    """Python keeps the text of every warning that it has shown."""
    with (
        Listener(ListenerSettings(host="127.0.0.1", port=0), inbox) as listener,
        RawPeer(listener.port) as peer,
    ):
        peer.send(association_request(syntaxes=("1.2.x3",)))
        assert peer.receive()[0] in (AC, ABORT)
    remembered = getattr(valuerep, "__warningregistry__", {})
    assert not [key for key in remembered if "1.2.x3" in str(key)]
