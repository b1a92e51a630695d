"""Several listener processes on one port: one listener to senders and to the server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, build_context, evt

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store, open_store
from tests.network.raw_peer import COMMAND, DATA, LAST, RawPeer, pdu, pdv, rejection, store_command
from tests.network.senders import association, kept_files
from tests.network.test_listener_left import leave_one_by_one
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import ct

COMMITMENT = "1.2.840.10008.1.20.1"


@dataclass
class House:
    """What the server's side of the listener saw."""

    listener: Listener
    inbox: Inbox
    store: Store
    stored: list[Instance]
    fails: list[str] = field(default_factory=list)
    """SOP instances whose announcement fails."""
    told: list[int | None] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("processes")
    store = open_store(f"sqlite:///{folder / 'preread.sqlite'}")
    inbox = Inbox(folder / "inbox", store, minimum_free_gb=0)
    result = Dataset()
    result.TransactionUID = "1.2.3"

    def note(instance: Instance) -> None:
        if instance.sop_instance_uid in house.fails:
            raise RuntimeError("a bug")
        house.stored.append(instance)

    def handle(asked: Asked) -> Answered:
        if asked.dataset.TransactionUID != "1.2.3":
            return Answered(0x0112, comment="no such transaction")
        event = Event(COMMITMENT, asked.sop_instance_uid, 1, result, house.told.append)
        return Answered(0x0000, then=lambda: event)

    settings = ListenerSettings(
        host="127.0.0.1", port=0, data_path="own", processes=2, maximum_associations=6
    )
    service = Service(COMMITMENT, frozenset({"N-ACTION"}), handle)
    left: list[str] = []
    listener = Listener(settings, inbox, note, [service], left.append)
    house = House(listener, inbox, store, [], left=left)
    with house.listener:
        yield house
    store.engine.dispose()


def test_objects_come_through_any_process_and_are_announced_here(house: House) -> None:
    study = generate_uid()

    def send(_: int) -> list[int]:
        with association(house.listener.port) as sender:
            return [sender.send_c_store(ct(StudyInstanceUID=study)).Status for _ in range(5)]

    with ThreadPoolExecutor(4) as pool:
        statuses = [each for some in pool.map(send, range(4)) for each in some]
    assert statuses == [0x0000] * 20
    held = {each.path for each in house.store.instances_of(study)}
    assert held == {each.path for each in house.stored} == set(kept_files(house.inbox))
    assert len(held) == 20


def test_a_failure_at_the_server_is_an_answer(house: House) -> None:
    image = ct()
    house.fails.append(str(image.SOPInstanceUID))
    with association(house.listener.port) as sender:
        assert sender.send_c_store(image).Status == 0x0110
        house.fails.clear()
        assert sender.send_c_store(image).Status == 0x0000


def test_services_and_what_follows_them_are_the_servers(house: House) -> None:
    heard: list[str] = []

    def hear(received: evt.Event) -> tuple[int, None]:
        heard.append(str(received.event_information.TransactionUID))
        return 0x0000, None

    made = AE("SENDER").associate(
        "127.0.0.1",
        house.listener.port,
        [build_context(COMMITMENT)],
        ae_title="PREREAD",
        evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)],
    )
    request = Dataset()
    for transaction, status in (("1.2.4", 0x0112), ("1.2.3", 0x0000)):
        request.TransactionUID = transaction
        answer, _ = made.send_n_action(request, 1, COMMITMENT, f"{COMMITMENT}.1")
        assert answer.Status == status
    _until(lambda: house.told)
    made.release()
    assert (house.told, heard) == ([0x0000], ["1.2.3"])


def test_a_sender_has_left_when_its_last_association_at_any_process_is_over(house: House) -> None:
    leave_one_by_one(house.listener.port, house.left)


def test_the_limit_counts_over_all_processes(house: House) -> None:
    contexts = [build_context(CTImageStorage)]
    ae = AE("SENDER")
    port = house.listener.port
    many = [ae.associate("127.0.0.1", port, contexts, ae_title="PREREAD") for _ in range(6)]
    assert all(each.is_established for each in many)
    assert rejection(port) == (2, 3, 2)
    for each in many:
        each.release()
    _until(lambda: rejection(port) is None)


def test_processes_that_die_inside_an_object_keep_none_of_it_and_are_started_anew(
    house: House,
) -> None:
    port = house.listener.port
    (stem,) = _stems()
    victims = _branches(stem)
    assert len(victims) == 2
    before = set(kept_files(house.inbox))
    image = ct()
    halves = []
    for _ in range(6):
        peer = RawPeer(port)
        peer.associate()
        command = store_command(str(image.SOPInstanceUID))
        peer.send(pdu(DATA, pdv(1, COMMAND | LAST, command)), pdu(DATA, pdv(1, 0, bytes(9000))))
        halves.append(peer)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    assert [peer.receive()[0] for peer in halves] == [0] * 6  # no answer: it is sent again
    _until(lambda: len(_branches(stem) - victims) == 2)
    assert _stems() == {stem}
    for _ in range(6):  # every place is free
        with association(port) as sender:
            assert sender.send_c_store(image).Status == 0x0000
    house.inbox.recover()
    (new,) = set(kept_files(house.inbox)) - before
    assert dcmread(new).SOPInstanceUID == image.SOPInstanceUID


@pytest.mark.slow  # it takes as long as a process takes to start
def test_the_stem_is_started_anew_too(house: House) -> None:
    (stem,) = _stems()
    victims = _branches(stem)
    for victim in (stem, *victims):
        os.kill(victim, signal.SIGKILL)
    _until(lambda: _stems() - {stem} and len(_branches(*_stems())) == 2, 60)
    with association(house.listener.port) as sender:
        assert sender.send_c_store(ct()).Status == 0x0000


def test_signals_to_all_of_a_group_end_no_object(house: House) -> None:
    """Ctrl-C and systemd tell every process; the server has them stop when it does."""
    (stem,) = _stems()
    with association(house.listener.port) as sender:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for process in (stem, *_branches(stem)):
                os.kill(process, number)
        assert sender.send_c_store(ct()).Status == 0x0000


def test_stop_ends_processes_that_have_not_begun(tmp_path: Path, store: Store) -> None:
    before = _stems()
    settings = ListenerSettings(host="127.0.0.1", port=0, data_path="own", processes=2)
    with Listener(settings, Inbox(tmp_path / "inbox", store, 0)):
        assert len(_stems() - before) == 1
    assert _stems() == before


def test_stop_ends_every_process(house: House) -> None:
    """The last of this house."""
    (stem,) = _stems()
    processes = {stem, *_branches(stem)}
    assert len(processes) == 3
    house.listener.stop()
    assert not any(Path(f"/proc/{each}").exists() for each in processes)


def _stems() -> set[int]:
    """Children of this process that listener processes branch off."""
    return {each for each in _branches(os.getpid()) if b"receiver.process" in _command(each)}


def _branches(parent: int) -> set[int]:
    """Its children."""
    found = set()
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with suppress(OSError):
                status = (place / "stat").read_text().rpartition(")")[2].split()
                if int(status[1]) == parent and status[0] != "Z":
                    found.add(int(place.name))
    return found


def _command(process: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def _until(true: Any, seconds: float = PATIENT_S) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
