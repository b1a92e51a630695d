"""PDUs that no sender should send: the listener neither fails, nor hangs, nor grows."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import CTImageStorage

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import open_store
from tests.network.raw_peer import (
    ABORT,
    COMMAND,
    DATA,
    LAST,
    RELEASE_RQ,
    RQ,
    RawPeer,
    association_request,
    pdu,
    pdv,
    store_command,
)
from tests.network.senders import association, kept_files
from tests.unit.pacs_bridge.made import ct, encoded

IMAGE = ct()
UID = str(IMAGE.SOPInstanceUID)
REQUEST = association_request(syntaxes=(CTImageStorage, "1.2.840.10008.1.1"))
CONVERSATION = (
    REQUEST,
    pdu(DATA, pdv(1, COMMAND | LAST, store_command(UID))),
    pdu(DATA, pdv(1, 0, encoded(IMAGE)[:300])),
    pdu(DATA, pdv(1, LAST, encoded(IMAGE)[300:])),
    pdu(RELEASE_RQ, bytes(4)),
)


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listener]:
    folder = tmp_path_factory.mktemp("fuzz")
    store = open_store(f"sqlite:///{folder / 'preread.sqlite'}")
    inbox = Inbox(folder / "inbox", store, minimum_free_gb=0, sync=False)
    chosen = ListenerSettings(
        host="127.0.0.1", port=0, data_path="own", request_timeout_s=2, idle_timeout_s=2
    )
    with Listener(chosen, inbox) as listener:
        yield listener
    store.engine.dispose()
    whole = [path for path in kept_files(inbox) if path.suffix != ".dcm"]
    assert whole == [], "half-written files are left"


def _without(item: bytes) -> bytes:
    """The request without the first sub-item of that type (PS3.8 9.3.2.2)."""
    body = bytearray(REQUEST[6:])
    start = body.index(item + b"\x00")
    length = int.from_bytes(body[start + 2 : start + 4], "big") + 4
    del body[start : start + length]
    context = body.rindex(b"\x20\x00", 0, start)
    shorter = int.from_bytes(body[context + 2 : context + 4], "big") - length
    body[context + 2 : context + 4] = shorter.to_bytes(2, "big")
    return pdu(RQ, bytes(body))


def converse(port: int, *parts: bytes) -> None:
    """Say it all, and hear the other side out; it has to end by itself."""
    with RawPeer(port, timeout_s=15) as peer:
        try:
            peer.send(*parts)
            peer.socket.shutdown(1)
        except OSError:
            return  # it hung up on us already
        while peer.receive()[0]:
            pass


def sound(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    """It still takes objects, and nothing of ours failed on the way."""
    with association(listener.port) as sender:
        assert sender.send_c_store(ct()).Status == 0x0000
    ours = [record for record in caplog.records if record.name.startswith("pacs_bridge")]
    failed = [record.getMessage() for record in ours if record.exc_info]
    assert failed == []


def test_mutations_of_a_real_conversation(
    listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(20240607)
    threads = threading.active_count()
    whole = b"".join(CONVERSATION)
    for _ in range(400):
        mutated = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            place = chance.randrange(len(mutated))
            kind = chance.randrange(5)
            if kind == 0:
                mutated[place] = chance.randrange(256)
            elif kind == 1:
                mutated[place : place + 4] = chance.choice(
                    (b"\xff\xff\xff\xff", bytes(4), b"\x00\x00\x00\x01", b"\x7f\xff\xff\xff")
                )
            elif kind == 2:
                del mutated[place : place + chance.randrange(1, 200)]
            elif kind == 3:
                mutated[place:place] = os.urandom(chance.randrange(1, 50))
            else:
                start = chance.randrange(len(mutated))
                mutated[place:place] = mutated[start : start + chance.randrange(1, 300)]
            if not mutated:
                mutated = bytearray(b"\x04")
        converse(listener.port, bytes(mutated))
    sound(listener, caplog)
    assert threading.active_count() <= threads + 2


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(CONVERSATION),
            st.builds(pdu, st.integers(0, 255), st.binary(max_size=200)),
            st.builds(
                lambda items: pdu(DATA, b"".join(items)),
                st.lists(
                    st.builds(
                        pdv,
                        st.sampled_from((1, 3, 5, 0, 255)),
                        st.integers(0, 255),
                        st.one_of(
                            st.binary(max_size=100),
                            st.just(store_command(UID)),
                            st.just(encoded(IMAGE)),
                        ),
                    ),
                    max_size=5,
                ),
            ),
        ),
        max_size=8,
    ),
    st.booleans(),
)
def test_any_sequence_of_pdus(listener: Listener, parts: list[bytes], asks: bool) -> None:
    converse(listener.port, *((REQUEST, *parts) if asks else parts))


def test_after_all_that_it_is_sound(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    sound(listener, caplog)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("an association request without end", [b"\x01\x00\xff\xff\xff\xff", bytes(2_000_000)]),
        ("a command without end", [REQUEST, *[pdu(DATA, pdv(1, COMMAND, bytes(16000)))] * 100]),
        ("a fragment longer than its PDU", [REQUEST, pdu(DATA, b"\xff\xff\xff\xff\x01\x03ab")]),
        ("an empty PDU", [REQUEST, pdu(DATA, b"")]),
        ("a second request", [REQUEST, REQUEST]),
        ("an answer that nobody asked for", [REQUEST, pdu(2, bytes(80))]),
        ("an abort first", [pdu(ABORT, bytes(4))]),
        ("a request of nothing", [pdu(RQ, b"")]),
        ("a context without an abstract syntax", [_without(b"\x30\x00")]),
        ("a context without a transfer syntax", [_without(b"\x40\x00")]),
        ("a data set first", [REQUEST, pdu(DATA, pdv(1, LAST, b"abc"))]),
        ("a context not accepted", [REQUEST, pdu(DATA, pdv(9, 3, store_command(UID)))]),
        ("empty fragments", [REQUEST, *[pdu(DATA, pdv(1, COMMAND, b""))] * 1000]),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_what_breaks_the_protocol_ends_the_association(
    listener: Listener, caplog: pytest.LogCaptureFixture, name: str, parts: list[bytes]
) -> None:
    converse(listener.port, *parts)
    sound(listener, caplog)


def test_memory_does_not_grow_with_hostile_senders(listener: Listener) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    half = [REQUEST, CONVERSATION[1], pdu(DATA, pdv(1, 0, os.urandom(200_000)))]
    for _ in range(20):
        converse(listener.port, *half)
    before = resident()
    for _ in range(100):
        converse(listener.port, *half)
    assert resident() - before < 20_000_000
