"""Delivered is what a destination committed itself to keep: a real Orthanc, scripted archives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pynetdicom import build_context

from pacs_bridge.deliver import Courier
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.dimse.commitment import (
    COMMITMENT_CLASS,
    CommitmentResult,
    Reference,
    request_commitment,
)
from pacs_bridge.dimse.listener import Listener
from pacs_bridge.inbox import Inbox
from pacs_bridge.settings import DestinationSettings, ListenerSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store
from tests.network.archive import (
    archive,
    destination,
    entered,
    everything,
    nothing,
    row_of,
    send_report,
    state_of,
)
from tests.network.orthanc import Orthanc, free_port
from tests.network.senders import association
from tests.patience import PATIENT_S

SENT, DELIVERED, GIVEN_UP = DeliveryState.SENT, DeliveryState.DELIVERED, DeliveryState.GIVEN_UP


def wait_for(true: Callable[[], bool], seconds: float = PATIENT_S) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@contextmanager
def delivering(
    store: Store,
    inbox: Inbox,
    *destinations: DestinationSettings,
    port: int = 0,
    **arguments: object,
) -> Iterator[tuple[Courier, Listener]]:
    """A courier at work beside the listener that hears what is reported."""
    courier = Courier(store, destinations, "PREREAD", **arguments)  # type: ignore[arg-type]
    settings = ListenerSettings(host="127.0.0.1", port=port)
    with Listener(settings, inbox, services=courier.services) as listener:
        courier.start()
        try:
            yield courier, listener
        finally:
            courier.stop()


def happened(store: Store, study_uid: str) -> list[str]:
    return [event.what for event in store.events_of(study_uid)]


@pytest.mark.parametrize("web", [False, True], ids=["C-STORE", "STOW-RS"])
def test_orthanc_commits_itself_and_what_it_lost_is_sent_again(
    orthanc: Orthanc, store: Store, inbox: Inbox, preread_port: int, tmp_path: Path, web: bool
) -> None:
    """Orthanc reports on an association of its own; the first object is gone before it is asked."""
    lost: list[str] = []

    def ask(settings, our_ae, transaction, references, wait_s=1.0):  # type: ignore[no-untyped-def]
        if not lost:
            uid = references[0].sop_instance_uid
            (held,) = orthanc.find("Instance", {"SOPInstanceUID": uid})
            orthanc.delete(f"/instances/{held['ID']}")
            lost.append(uid)
        return request_commitment(settings, our_ae, transaction, references, wait_s)

    url = f"{orthanc.http}/dicom-web" if web else ""
    pacs = destination(orthanc.dicom_port, commitment=True, dicomweb_url=url)
    with delivering(store, inbox, pacs, port=preread_port, ask=ask) as (courier, _):
        image, _path = entered(courier, tmp_path)
        wait_for(lambda: state_of(store, image) is DELIVERED)
        (state,) = courier.destinations()
    assert lost == [image.SOPInstanceUID]
    assert row_of(store, image).attempts == 2
    assert len(orthanc.instances(str(image.StudyInstanceUID))) == 1
    study = str(image.StudyInstanceUID)
    assert happened(store, study) == [
        "delivery-sent", "delivery-failed", "delivery-sent", "delivered",
    ]  # fmt: skip
    failed = next(e for e in store.events_of(study) if e.what == "delivery-failed")
    assert "does not commit itself to keep it: it does not have the object" in failed.detail
    assert (state.delivered, state.sent, state.commitment) == (1, 0, True)


def test_a_report_on_the_association_of_the_request(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    with archive(everything) as pacs:
        there = destination(pacs.port, commitment=True)
        with delivering(store, inbox, there) as (courier, _):
            image, _path = entered(courier, tmp_path)
            wait_for(lambda: state_of(store, image) is DELIVERED)
        assert len(pacs.got) == len(pacs.asked) == 1
    assert row_of(store, image).delivered_at is not None


def test_without_a_report_it_is_asked_again_and_a_late_report_counts(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    with archive(lambda transaction, references: None) as pacs:
        there = destination(pacs.port, commitment=True, commitment_wait_s=0.2, attempts=9)
        with delivering(store, inbox, there) as (courier, listener):
            image, _path = entered(courier, tmp_path)
            wait_for(lambda: len(pacs.asked) == 2)
            assert state_of(store, image) is SENT
            assert pacs.asked[0] != pacs.asked[1]
            reference = Reference(str(image.SOPClassUID), str(image.SOPInstanceUID))
            late = CommitmentResult(pacs.asked[0], (reference,))
            contexts = [build_context(COMMITMENT_CLASS)]
            with association(listener.port, contexts, calling="STRANGER") as stranger:
                send_report(stranger, late)  # who was not asked is not believed
            assert state_of(store, image) is SENT
            with association(listener.port, contexts, calling="ORTHANC") as caller:
                send_report(caller, late)
            wait_for(lambda: state_of(store, image) is DELIVERED)
        assert len(pacs.got) == 1


def test_what_is_never_committed_to_is_given_up_on_and_can_be_tried_again(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    answers = [nothing]
    with archive(lambda *asked: answers[0](*asked)) as pacs:
        there = destination(pacs.port, commitment=True, attempts=2)
        with delivering(store, inbox, there) as (courier, _):
            image, _path = entered(courier, tmp_path)
            wait_for(lambda: state_of(store, image) is GIVEN_UP)
            assert len(pacs.got) == 2
            assert "attempt 2 was the last: it does not commit" in row_of(store, image).last_error
            answers[0] = everything
            courier.retry(str(image.SOPInstanceUID), "pacs", "wang")
            wait_for(lambda: state_of(store, image) is DELIVERED)
        assert len(pacs.got) == 3


def test_a_destination_that_offers_none_after_all_says_so(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    with archive() as pacs:
        there = destination(pacs.port, commitment=True, attempts=2)
        with delivering(store, inbox, there) as (courier, _):
            image, _path = entered(courier, tmp_path)
            wait_for(lambda: state_of(store, image) is GIVEN_UP)
        assert len(pacs.got) == 1, "it was taken; only its commitment is missing"
    row = row_of(store, image)
    assert "it was taken, but not committed to, asked 2 times" in row.last_error
    assert "takes none of the services" in row.last_error


def test_a_destination_that_is_away_is_asked_when_it_is_back(store: Store, tmp_path: Path) -> None:
    there = destination(free_port(), commitment=True, attempts=1, commitment_wait_s=900.0)
    courier = Courier(store, [there], "PREREAD")
    image, _path = entered(courier, tmp_path)
    row = row_of(store, image)
    store.update_delivery(type(row)(**(vars(row) | {"state": SENT, "attempts": 1})))
    for _ in range(3):
        courier._commitments.ask_for(there)
        row = row_of(store, image)
        assert row.state is SENT
        assert "no association" in row.last_error
        assert 0 < row.next_attempt_at - time.time() <= there.longest_wait_s
        store.update_delivery(type(row)(**(vars(row) | {"next_attempt_at": 0.0})))
    assert DeliveryLedger(store).times_asked(row) == 0
    assert happened(store, str(image.StudyInstanceUID)) == ["commitment-not-asked"]


def test_what_was_sent_is_still_asked_for_after_a_restart(
    store: Store, inbox: Inbox, tmp_path: Path
) -> None:
    answers = [lambda transaction, references: None]
    with archive(lambda *asked: answers[0](*asked)) as pacs:
        there = destination(pacs.port, commitment=True, commitment_wait_s=0.2)
        with delivering(store, inbox, there) as (courier, _):
            image, _path = entered(courier, tmp_path)
            wait_for(lambda: len(pacs.asked) == 1)
        answers[0] = everything
        with delivering(store, inbox, there):
            wait_for(lambda: state_of(store, image) is DELIVERED)
        assert len(pacs.got) == 1


@pytest.mark.parametrize(
    ("after", "expected"),
    [([], GIVEN_UP), ([destination(104)], DELIVERED)],
    ids=["gone", "offers none"],
)
def test_a_destination_that_is_not_asked_any_more_leaves_nothing_hanging(
    store: Store, tmp_path: Path, after: list[DestinationSettings], expected: DeliveryState
) -> None:
    before = Courier(store, [destination(104, commitment=True)], "PREREAD")
    image, _path = entered(before, tmp_path)
    row = row_of(store, image)
    store.update_delivery(type(row)(**(vars(row) | {"state": SENT, "attempts": 1})))
    courier = Courier(store, after, "PREREAD")
    courier.start()
    courier.stop()
    assert state_of(store, image) is expected


def test_a_report_that_comes_twice_or_names_another_class(store: Store, tmp_path: Path) -> None:
    there = destination(104, commitment=True)
    courier = Courier(store, [there], "PREREAD")
    image, _path = entered(courier, tmp_path)
    row = row_of(store, image)
    sent = type(row)(**(vars(row) | {"state": SENT, "attempts": 1}))
    store.update_delivery(sent)
    ledger = DeliveryLedger(store)
    ledger.asked("1.2.5", [(sent, str(image.SOPClassUID))])
    (service,) = courier.services
    assert service.peer_is_scp
    take = courier._commitments.take
    other = Reference("1.2.840.10008.5.1.4.1.1.4", str(image.SOPInstanceUID))
    take(CommitmentResult("1.2.5", (other,), (), "ORTHANC"))
    assert "does not name the object as we sent it" in row_of(store, image).last_error
    store.update_delivery(sent)
    named = Reference("", str(image.SOPInstanceUID))  # some archives leave the class out
    for _ in range(2):
        take(CommitmentResult("1.2.5", (named,), (), "ORTHANC"))
    assert state_of(store, image) is DELIVERED
    assert happened(store, str(image.StudyInstanceUID)).count("delivered") == 1
    take(CommitmentResult("1.2.6", (named,), (), "ORTHANC"))  # not ours: ignored
