"""Several listener processes on one port: one listener to senders and to the server."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, generate_uid
from pynetdicom import AE, build_context, evt

from pacs_bridge.dimse.listener import Listener
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import ListenerSettings
from pacs_bridge.store import Instance, Store, open_store
from tests.network.senders import association, kept_files
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
    house = House(Listener(settings, inbox, note, [service]), inbox, store, [])
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


def test_the_limit_counts_over_all_processes(house: House) -> None:
    contexts = [build_context(CTImageStorage)]
    ae = AE("SENDER")
    port = house.listener.port
    many = [ae.associate("127.0.0.1", port, contexts, ae_title="PREREAD") for _ in range(6)]
    assert all(each.is_established for each in many)
    with association(port) as one_more:
        assert one_more.is_rejected
    for each in many:
        each.release()
    _until(lambda: _enters(port))


@pytest.mark.slow  # it takes as long as two processes take to start
def test_a_process_that_dies_is_started_anew_and_its_places_are_free(house: House) -> None:
    port = house.listener.port
    ae = AE("SENDER")
    contexts = [build_context(CTImageStorage)]
    many = [ae.associate("127.0.0.1", port, contexts, ae_title="PREREAD") for _ in range(6)]
    victims = _listener_processes()
    assert len(victims) == 2
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    _until(lambda: not any(each.is_established for each in many))
    _until(lambda: len(_listener_processes() - victims) == 2, 60)
    with association(port) as sender:
        assert sender.send_c_store(ct()).Status == 0x0000


def test_stop_ends_every_process(tmp_path: Path, store: Store) -> None:
    before = _listener_processes()
    settings = ListenerSettings(host="127.0.0.1", port=0, data_path="own", processes=2)
    with Listener(settings, Inbox(tmp_path / "inbox", store, 0)):
        assert len(_listener_processes() - before) == 2
    assert _listener_processes() <= before


def _listener_processes() -> set[int]:
    """Children of this process that listen."""
    found = set()
    for place in Path("/proc").iterdir():
        try:
            if not place.name.isdigit():
                continue
            status = (place / "stat").read_text().rpartition(")")[2].split()
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue
        if int(status[1]) == os.getpid() and status[0] != "Z" and b"receiver.process" in command:
            found.add(int(place.name))
    return found


def _enters(port: int) -> bool:
    with association(port) as sender:
        return sender.is_established


def _until(true: Any, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)
