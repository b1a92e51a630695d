"""Those who ask us for storage commitment, and our listener that they ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from pydicom.dataset import Dataset
from pynetdicom import AE, build_context, evt

from pacs_bridge.custody import Keeper
from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentResult,
    Reference,
    read_result,
)
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import CommitmentSettings, ListenerSettings, PeerSettings
from pacs_bridge.store import Store
from tests.network.senders import association
from tests.patience import PATIENT_S
from tests.unit.pacs_bridge.made import command, ct, encoded

CT = "1.2.840.10008.5.1.4.1.1.2"
DataPath = Literal["own", "pynetdicom"]


def eventually(true: Callable[[], bool], seconds: float = PATIENT_S) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def held(inbox: Inbox, count: int = 2) -> list[Reference]:
    """Objects that came and are kept."""
    kept = []
    for _ in range(count):
        image = ct()
        inbox.receive(encoded(image), **command(image))
        kept.append(Reference(CT, str(image.SOPInstanceUID)))
    return kept


def happened(store: Store, study_uid: str) -> list[str]:
    """What the audit trail says of a study."""
    return [event.what for event in store.events_of(study_uid)]


def peer(port: int, title: str = "CT1") -> PeerSettings:
    return PeerSettings(ae_title=title, host="127.0.0.1", port=port)


@contextmanager
def keeping(
    store: Store,
    inbox: Inbox,
    asker: PeerSettings,
    data_path: DataPath = "own",
    **settings: Any,
) -> Iterator[Listener]:
    """Our listener with the commitment SCP; one peer may ask."""
    keeper = Keeper(CommitmentSettings(peers=(asker,), **settings), store, "PREREAD")
    where = ListenerSettings(host="127.0.0.1", port=0, data_path=data_path)
    listener = Listener(where, inbox, services=keeper.services)
    keeper.start()
    try:
        with listener:
            yield listener
    finally:
        keeper.stop()


class Asker:
    """The SCP side of a modality that asked: hears reports on associations of the archive."""

    def __init__(self, status: int = 0x0000) -> None:
        self.status = status
        self.heard: list[CommitmentResult] = []
        self.roles: list[Any] = []

    def take(self, event: evt.Event) -> tuple[int, None]:
        self.heard.append(read_result(event.event_information, "PREREAD"))
        self.roles.append(event.assoc.requestor.role_selection)
        return self.status, None

    @contextmanager
    def listening(self, port: int = 0) -> Iterator[int]:
        ae = AE("CT1")
        ae.add_supported_context(COMMITMENT_CLASS, scu_role=True, scp_role=True)
        server = ae.start_server(
            ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self.take)]
        )
        assert server is not None
        try:
            yield server.server_address[1]
        finally:
            ae.shutdown()


def ask(
    port: int, dataset: Dataset, action: int = 1, instance: str = COMMITMENT_INSTANCE,
    calling: str = "CT1",
) -> tuple[int, str]:  # fmt: skip
    """An N-ACTION whose association ends at once: status, error comment."""
    contexts = [build_context(COMMITMENT_CLASS)]
    with association(port, contexts, calling=calling) as sender:
        assert sender.is_established
        answer, _ = sender.send_n_action(dataset, action, COMMITMENT_CLASS, instance)
        return int(answer.Status), str(answer.get("ErrorComment", ""))
