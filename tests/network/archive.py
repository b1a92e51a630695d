"""A scripted archive, title ORTHANC: takes objects, commits itself to them as a test says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.association import Association

from imaging.report import Stage
from pacs_bridge.deliver import Courier
from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    CommitmentResult,
    Failure,
    Reference,
    read_request,
    result_event,
)
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store
from tests.network.scripted_peer import scp
from tests.unit.pacs_bridge.made import ct, saved

Report = Callable[[str, tuple[Reference, ...]], CommitmentResult | None]
"""What the archive reports of a transaction and its references; None: nothing."""


@dataclass
class Archive:
    """What came, in order."""

    got: list[Dataset] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Transaction UIDs."""
    port: int = 0

    def keep(self, event: evt.Event) -> int:
        """C-STORE."""
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        self.got.append(dataset)
        return 0


def everything(transaction: str, references: tuple[Reference, ...]) -> CommitmentResult:
    """All of it is committed to."""
    return CommitmentResult(transaction, references)


def nothing(transaction: str, references: tuple[Reference, ...]) -> CommitmentResult:
    """It has none of it."""
    return CommitmentResult(transaction, (), tuple(Failure(each, 0x0112) for each in references))


@contextmanager
def archive(report: Report | None = None) -> Iterator[Archive]:
    """Takes CT, explicit or implicit; with ``report`` it offers storage commitment and reports over
    the association of the request."""
    made = Archive()

    def act(event: evt.Event) -> tuple[int, None]:
        transaction, references = read_request(event.action_information)
        made.asked.append(transaction)
        assert report is not None
        result = report(transaction, references)
        if result is not None:
            send_report(event.assoc, result)
        return 0x0000, None

    syntaxes = [str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)]
    contexts = [(str(CTImageStorage), syntaxes)]
    if report is not None:
        contexts.append((COMMITMENT_CLASS, syntaxes))
    handlers = [(evt.EVT_C_STORE, made.keep), (evt.EVT_N_ACTION, act)]
    with scp(handlers, contexts) as made.port:
        yield made


def send_report(association: Association, result: CommitmentResult) -> None:
    """N-EVENT-REPORT of a result."""
    event = result_event(result, lambda status: None)
    answer, _ = association.send_n_event_report(
        event.dataset, event.number, COMMITMENT_CLASS, COMMITMENT_INSTANCE
    )
    assert answer.Status == 0x0000


def destination(port: int, name: str = "pacs", **changes: object) -> DestinationSettings:
    """At the loopback, not patient."""
    values = {
        "name": name, "ae_title": "ORTHANC", "host": "127.0.0.1", "port": port, "attempts": 3,
        "first_wait_s": 0.1, "longest_wait_s": 0.2,
    }  # fmt: skip
    return DestinationSettings.model_validate(values | changes)


def entered(courier: Courier, folder: Path, **changes: object) -> tuple[Dataset, Path]:
    """An image entered as the SR of its study."""
    image = ct(**changes)
    path = saved(image, folder / f"{image.SOPInstanceUID}.dcm")
    courier.enqueue(
        str(image.StudyInstanceUID), 1, Stage.PRELIMINARY,
        [("SR", str(image.SOPInstanceUID), path)],
    )  # fmt: skip
    return image, path


def row_of(store: Store, image: Dataset, name: str = "pacs") -> Delivery:
    """Where it stands."""
    return store.delivery(str(image.SOPInstanceUID), name)


def state_of(store: Store, image: Dataset, name: str = "pacs") -> DeliveryState:
    """Where it stands, in a word."""
    return row_of(store, image, name).state
