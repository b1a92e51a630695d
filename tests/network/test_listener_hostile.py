"""What the listener refuses, and what it survives: lies, garbage, full disks, sudden death."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import (
    CTImageStorage,
    MRImageStorage,
)
from pynetdicom.association import Association

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.errors import BridgeError
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store, open_store
from tests.network.senders import association, kept_files, store_raw
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct, encoded

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


@pytest.mark.parametrize(
    "data",
    [b"\x00" * 64, b"hello" * 50, encoded(ct())[:60]],
    ids=["zeros", "words", "cut short"],  # a UID of the moment would name it otherwise
)
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


def test_a_receiver_killed_midway_has_all_that_it_acknowledged(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from pacs_bridge.dimse.listener import Listener\n"
        "from pacs_bridge.inbox import Inbox\n"
        "from pacs_bridge.settings import ListenerSettings\n"
        "from pacs_bridge.store import open_store\n"
        "folder = Path(sys.argv[1])\n"
        "store = open_store(f'sqlite:///{folder / \"db.sqlite\"}')\n"
        "inbox = Inbox(folder / 'inbox', store, 0)\n"
        "with Listener(ListenerSettings(host='127.0.0.1', port=0), inbox) as listener:\n"
        "    print(listener.port, flush=True)\n"
        "    time.sleep(60)\n"
    )
    receiver = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline())
    acknowledged: list[str] = []

    def send_on() -> None:
        with association(port) as sender:
            sender.dimse_timeout = 5
            while sender.is_established:
                image = ct(PixelData=os.urandom(200_000))
                try:
                    answer = sender.send_c_store(image)
                except (RuntimeError, OSError):
                    return
                if "Status" in answer and answer.Status == 0x0000:
                    acknowledged.append(str(image.SOPInstanceUID))

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(send_on)
        deadline = time.monotonic() + PATIENT_S
        while len(acknowledged) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        receiver.kill()
    receiver.wait()
    assert len(acknowledged) >= 40

    store = open_store(f"sqlite:///{tmp_path / 'db.sqlite'}")
    inbox = Inbox(tmp_path / "inbox", store, 0)
    inbox.recover()
    held = {
        instance.sop_instance_uid: instance
        for reading in store.worklist(limit=10_000)
        for instance in store.instances_of(reading.study.study_uid)
    }
    assert set(acknowledged) <= set(held)
    for instance in held.values():
        assert len(dcmread(instance.path).PixelData) == 200_000
    assert set(kept_files(inbox)) == {i.path for i in held.values()}


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
