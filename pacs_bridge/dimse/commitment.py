"""Storage commitment, push model (PS3.4 J): its data sets, asking for it, hearing its result.

The SCU names objects under a transaction UID (N-ACTION); the SCP answers that it will see, and
reports later what it takes responsibility for and what not (N-EVENT-REPORT): on the same
association where the SCU keeps it open, else on one that the SCP opens. An SCU has to be ready
for both.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID
from pynetdicom import build_context, evt

from pacs_bridge.dimse.peer import Peer
from pacs_bridge.dimse.services import Answered, Asked, Event, Service
from pacs_bridge.errors import PeerBusy
from pacs_bridge.settings import PeerSettings

COMMITMENT_CLASS = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model SOP Class (PS3.4 J.3.5)."""
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""Its well-known SOP instance."""
REQUEST = 1
"""ActionTypeID of the request (PS3.4 J.3.2)."""
ALL_COMMITTED = 1
"""EventTypeID: everything asked for (PS3.4 J.3.3.1)."""
SOME_FAILED = 2
"""EventTypeID: some of it, or nothing."""

PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT = 0x0112
INVALID_ARGUMENT = 0x0115
CLASS_CONFLICT = 0x0119
DUPLICATE_TRANSACTION = 0x0131
_REASONS = {
    PROCESSING_FAILURE: "processing failure there",
    NO_SUCH_OBJECT: "it does not have the object",
    0x0213: "it lacks resources",
    0x0122: "it does not take this SOP class",
    CLASS_CONFLICT: "it holds the object as another SOP class",
    DUPLICATE_TRANSACTION: "the transaction UID was used before",
}  # Failure Reason (0008,1197), PS3.3 C.14.1.1


@dataclass(frozen=True)
class Reference:
    """One object that storage commitment is asked for."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Failure:
    """One object that the SCP takes no responsibility for."""

    reference: Reference
    reason: int
    """Failure Reason (0008,1197)."""

    @property
    def why(self) -> str:
        """The reason in words."""
        return _REASONS.get(self.reason, f"failure reason 0x{self.reason:04X}")


@dataclass(frozen=True)
class CommitmentResult:
    """What an SCP reported of one transaction."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[Failure, ...] = ()
    reported_by: str = ""
    """AE title that reported: who it says it is, to be compared with whom was asked."""


def request_commitment(
    settings: PeerSettings,
    our_ae: str,
    transaction_uid: str,
    references: Sequence[Reference],
    wait_s: float = 5.0,
    timeout_s: float = 15.0,
) -> CommitmentResult | None:
    """Ask a node to commit itself to objects that it was sent.

    Args:
        settings: the node.
        our_ae: the AE title we call with; the node reports to it, on an association of its own
            to the address that it knows of us, where it does not report on this one.
        transaction_uid: new for every request.
        references: at least one.
        wait_s: how long the association is kept open for the report.
        timeout_s: as :class:`pacs_bridge.dimse.peer.Peer` has it.

    Returns:
        The report; None: the node took the request, and will report to the listener (see
        :func:`commitment_results`).

    Raises:
        PeerUnreachable, PeerRefused, PeerBusy: it did not take the request.
    """
    asker = _Asker(settings, our_ae, timeout_s)
    return asker.request(transaction_uid, references, wait_s)


def commitment_results(on_result: Callable[[CommitmentResult], None]) -> Service:
    """What the listener needs to hear results that come on associations of the SCP.

    Args:
        on_result: called from the association's thread, before the SCP is told that we have the
            result; what it raises is answered with 0x0110, and the SCP may report again.
            Transactions that it does not know are its to ignore.
    """

    def handle(asked: Asked) -> Answered:
        try:
            result = read_result(asked.dataset, asked.calling_ae)
        except ValueError as error:
            return Answered(INVALID_ARGUMENT, comment=str(error))
        on_result(result)
        return Answered(0x0000)

    return Service(COMMITMENT_CLASS, frozenset({"N-EVENT-REPORT"}), handle, peer_is_scp=True)


# data sets ---------------------------------------------------------------------------------


def request_dataset(transaction_uid: str, references: Sequence[Reference]) -> Dataset:
    """Action information of the request (PS3.4 table J.3-1)."""
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = Items([_item(each) for each in references])
    return dataset


def read_request(dataset: Dataset) -> tuple[str, tuple[Reference, ...]]:
    """Transaction UID and references of a request.

    Raises:
        ValueError: no transaction UID, no reference, or a UID that is none.
    """
    transaction = _uid(dataset, "TransactionUID")
    references = tuple(_reference(item) for item in _items(dataset, "ReferencedSOPSequence"))
    if not references:
        raise ValueError("ReferencedSOPSequence (0008,1199) is empty")
    return transaction, references


def result_event(result: CommitmentResult, done: Callable[[int | None], None]) -> Event:
    """The N-EVENT-REPORT of a result (PS3.4 table J.3-2)."""
    dataset = Dataset()
    dataset.TransactionUID = result.transaction_uid
    if result.committed:
        dataset.ReferencedSOPSequence = Items([_item(each) for each in result.committed])
    if result.failed:
        dataset.FailedSOPSequence = Items()
        for failure in result.failed:
            item = _item(failure.reference)
            item.FailureReason = failure.reason
            dataset.FailedSOPSequence.append(item)
    number = SOME_FAILED if result.failed else ALL_COMMITTED
    return Event(COMMITMENT_CLASS, COMMITMENT_INSTANCE, number, dataset, done)


def read_result(dataset: Dataset, reported_by: str = "") -> CommitmentResult:
    """The result that an N-EVENT-REPORT brings; the event type adds nothing to it.

    Raises:
        ValueError: no transaction UID, or a UID that is none.
    """
    return CommitmentResult(
        transaction_uid=_uid(dataset, "TransactionUID"),
        committed=tuple(_named(item) for item in _items(dataset, "ReferencedSOPSequence")),
        failed=tuple(
            Failure(_named(item), _reason(item)) for item in _items(dataset, "FailedSOPSequence")
        ),
        reported_by=reported_by,
    )


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    value = dataset.get(keyword)
    if value is not None and not isinstance(value, Items):
        raise ValueError(f"{keyword} is no sequence")
    return list(value or ())


def _reason(item: Dataset) -> int:
    value = item.get("FailureReason")
    return value if isinstance(value, int) else PROCESSING_FAILURE


def _item(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    return item


def _reference(item: Dataset) -> Reference:
    return Reference(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID"))


def _named(item: Dataset) -> Reference:
    """A reference of a report: some archives leave the SOP class out."""
    kind = str(item.get("ReferencedSOPClassUID") or "")
    return Reference(kind, _uid(item, "ReferencedSOPInstanceUID"))


def _uid(dataset: Dataset, keyword: str) -> str:
    value = str(dataset.get(keyword) or "")
    if not UID(value).is_valid:
        raise ValueError(f"{keyword} = {value[:64]!r} is no UID")
    return value


# asking ------------------------------------------------------------------------------------


class _Asker(Peer):
    """A node that is asked for storage commitment."""

    def request(
        self, transaction_uid: str, references: Sequence[Reference], wait_s: float
    ) -> CommitmentResult | None:
        """See :func:`request_commitment`."""
        reports = _Reports(transaction_uid)
        handlers = [(evt.EVT_N_EVENT_REPORT, reports.take)]
        with self._association([build_context(COMMITMENT_CLASS)], (), handlers) as association:
            answer, _ = association.send_n_action(
                request_dataset(transaction_uid, references),
                REQUEST,
                COMMITMENT_CLASS,
                COMMITMENT_INSTANCE,
            )
            error = self._error_of(answer, "N-ACTION (storage commitment)")
            if error is not None:
                raise error
            until = time.monotonic() + wait_s
            while reports.result is None and association.is_established:
                left = until - time.monotonic()
                if left <= 0 or reports.came.wait(min(left, 0.5)):
                    break
            reports.finish(self._timeout_s)
        if reports.unreadable:
            raise PeerBusy(f"{self} reported a storage commitment that can't be read: "
                           f"{reports.unreadable}")  # fmt: skip
        return reports.result


class _Reports:
    """The reports that come on the association of the request."""

    def __init__(self, transaction_uid: str) -> None:
        self._transaction_uid = transaction_uid
        self._thread: threading.Thread | None = None
        self.came = threading.Event()
        self.result: CommitmentResult | None = None
        self.unreadable = ""

    def take(self, event: evt.Event) -> tuple[int, Dataset | None]:
        """Answer N-EVENT-REPORT; called in a thread of its own, which then sends the answer."""
        acceptor: Any = event.assoc.acceptor
        try:
            result = read_result(event.event_information, str(acceptor.ae_title))
        except ValueError as error:
            self.unreadable = str(error)
            self._end()
            return INVALID_ARGUMENT, None
        if result.transaction_uid == self._transaction_uid:
            self.result = result
            self._end()
        return 0x0000, None

    def _end(self) -> None:
        self._thread = threading.current_thread()
        self.came.set()

    def finish(self, timeout_s: float) -> None:
        """Wait until the answer to the report is on its way: released before, it is lost."""
        if self._thread is not None:
            self._thread.join(timeout_s)
