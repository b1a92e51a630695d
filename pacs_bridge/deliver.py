"""Results on their way: every object to every destination that takes it, by C-STORE.

One thread a destination, so that a dead or slow one holds up no other. Where an object stands
is a row in the store: a crash between sending and keeping that means that the same object,
with the same UID, is sent once more, and the destination recognises it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from imaging.report import Stage
from pacs_bridge.dimse.outgoing import StoreOutcome
from pacs_bridge.dimse.peer import Peer
from pacs_bridge.errors import BridgeError, PeerError, WrongState
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store

_log = logging.getLogger(__name__)

_WHO = "preread"
_LOOK_AGAIN_S = 1.0
"""How often the store is asked for rows whose next attempt has come."""


class Sender(Protocol):
    """What a courier needs of a peer."""

    def store(self, objects: Sequence[Path]) -> list[StoreOutcome]:
        """As :meth:`pacs_bridge.dimse.peer.Peer.store`."""


class Courier:
    """Delivers what is entered in the store, until it is delivered or given up on.

    A failure that can pass is tried again after ``first_wait_s``, doubling up to
    ``longest_wait_s``, at most ``attempts`` times; an association that is refused counts as
    such, since an administrator can mend it. A destination that refuses the object itself is
    not asked again. An SR waits until the SEG of its reading was taken or given up on.

    Args:
        store: where deliveries are kept.
        destinations: where to.
        our_ae: the AE title we call with.
        connect: makes the sender for a destination (tests bring their own).
    """

    def __init__(
        self,
        store: Store,
        destinations: Sequence[DestinationSettings],
        our_ae: str,
        connect: Callable[[DestinationSettings, str], Sender] = Peer,
    ) -> None:
        self._store = store
        self._destinations = tuple(destinations)
        self._our_ae = our_ae
        self._connect = connect
        self._stopping = threading.Event()
        self._bells = {each.name: threading.Event() for each in self._destinations}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to deliver, with what an earlier run left waiting; returns at once."""
        self._give_up_orphans()
        self._stopping.clear()
        self._threads = [
            threading.Thread(
                target=self._serve, args=(each,), name=f"courier-{each.name}", daemon=True
            )
            for each in self._destinations
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """Take up no new object; wait at most ``grace_s`` seconds for those being sent.

        An object still being sent then is sent again at the next start.
        """
        self._stopping.set()
        self.wake()
        deadline = time.monotonic() + grace_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads = []

    def wake(self) -> None:
        """Look for due deliveries now."""
        for bell in self._bells.values():
            bell.set()

    def enqueue(
        self,
        study_uid: str,
        revision: int,
        stage: Stage,
        objects: Iterable[tuple[str, str, Path]],
        *,
        urgent: bool = False,
    ) -> None:
        """Enter the objects of a reading for every destination that takes their kind.

        A destination for urgent studies gets those of an urgent one, and later ones of a study
        that it got something of, also where the flag was taken back meanwhile. Entering the same
        again changes nothing.

        Args:
            study_uid: the study.
            revision: of its reading.
            stage: preliminary or final.
            objects: kind (``"SR"``, ``"SEG"``), SOP Instance UID, file.
            urgent: the study is flagged as urgent.
        """
        entries = list(objects)
        told = {delivery.destination for delivery in self._store.deliveries_of(study_uid)}
        self._store.add_deliveries(
            Delivery(uid, destination.name, study_uid, revision, stage, kind, path)
            for destination in self._destinations
            for kind, uid, path in entries
            if kind in destination.accepts
            and (destination.studies == "all" or urgent or destination.name in told)
        )
        self.wake()

    def retry(self, sop_instance_uid: str, destination: str, who: str) -> None:
        """Put a delivery that was given up on back to waiting, with all its attempts.

        One that waits for its next attempt is tried now.

        Raises:
            UnknownStudy: no such delivery.
            WrongState: it was delivered already.
        """
        delivery = self._store.delivery(sop_instance_uid, destination)
        if delivery.state is DeliveryState.DELIVERED:
            raise WrongState(f"{sop_instance_uid} was delivered to {destination} already")
        self._store.update_delivery(
            replace(delivery, state=DeliveryState.WAITING, attempts=0, next_attempt_at=0.0)
        )
        self._store.record(
            who, "delivery-retried", delivery.study_uid, f"{_what(delivery)} to {destination}"
        )
        self.wake()

    # one destination ---------------------------------------------------------------------

    def _serve(self, destination: DestinationSettings) -> None:
        bell = self._bells[destination.name]
        while not self._stopping.is_set():
            bell.clear()
            try:
                self._round(destination)
            except Exception:  # noqa: BLE001 - the boundary: this thread must outlive anything
                _log.exception("deliveries to %s failed, trying on", destination.name)
            bell.wait(_LOOK_AGAIN_S)

    def _round(self, destination: DestinationSettings) -> None:
        due = self._store.deliveries_due(time.time(), destination.name)
        due.sort(key=lambda each: each.kind != "SEG")  # stable: oldest first within a kind
        for position, delivery in enumerate(due):
            if self._stopping.is_set():
                return
            if delivery.kind != "SEG" and self._seg_is_waiting(delivery):
                continue
            if not delivery.path.is_file():
                self._give_up(delivery, f"{delivery.path} is not there any more")
                continue
            try:
                outcome = self._connect(destination, self._our_ae).store([delivery.path])[0]
            except PeerError as error:
                # Nobody home: what else is due would only wait for the same answer.
                for other in due[position:]:
                    if other.kind == "SEG" or not self._seg_is_waiting(other):
                        self._failed(other, destination, error)
                return
            if outcome.error is None:
                self._delivered(delivery, outcome)
            elif outcome.error.retryable:
                self._failed(delivery, destination, outcome.error)
            else:
                self._give_up(replace(delivery, attempts=delivery.attempts + 1), str(outcome.error))

    def _seg_is_waiting(self, delivery: Delivery) -> bool:
        return any(
            other.kind == "SEG"
            and other.destination == delivery.destination
            and other.state is DeliveryState.WAITING
            for other in self._store.deliveries_of(delivery.study_uid, delivery.revision)
        )

    def _delivered(self, delivery: Delivery, outcome: StoreOutcome) -> None:
        self._store.update_delivery(
            replace(
                delivery,
                state=DeliveryState.DELIVERED,
                attempts=delivery.attempts + 1,
                last_error="",
                delivered_at=time.time(),
            )
        )
        note = f" ({outcome.note})" if outcome.note else ""
        told = f"{_what(delivery)} to {delivery.destination}{note}"
        _log.info("study %s: delivered %s", delivery.study_uid, told)
        self._store.record(_WHO, "delivered", delivery.study_uid, told)

    def _failed(
        self, delivery: Delivery, destination: DestinationSettings, error: BridgeError
    ) -> None:
        attempts = delivery.attempts + 1
        if attempts >= destination.attempts:
            self._give_up(
                replace(delivery, attempts=attempts), f"attempt {attempts} was the last: {error}"
            )
            return
        wait = _wait_s(destination, attempts)
        self._store.update_delivery(
            replace(
                delivery,
                attempts=attempts,
                last_error=str(error),
                next_attempt_at=time.time() + wait,
            )
        )
        told = (
            f"{_what(delivery)} to {delivery.destination}, attempt {attempts} of "
            f"{destination.attempts}, next in {wait:.0f} s: {error}"
        )
        _log.warning("study %s: not delivered: %s", delivery.study_uid, told)
        self._store.record(_WHO, "delivery-failed", delivery.study_uid, told)

    def _give_up(self, delivery: Delivery, reason: str) -> None:
        self._store.update_delivery(
            replace(delivery, state=DeliveryState.GIVEN_UP, last_error=reason)
        )
        told = f"{_what(delivery)} to {delivery.destination}: {reason}"
        _log.error("study %s: GIVEN UP delivering %s", delivery.study_uid, told)
        self._store.record(_WHO, "delivery-given-up", delivery.study_uid, told)

    def _give_up_orphans(self) -> None:
        for delivery in self._store.deliveries_due(float("inf")):
            if delivery.destination not in self._bells:
                self._give_up(
                    delivery,
                    f"no destination is called {delivery.destination!r} in the settings any "
                    "more; add it again and retry",
                )


def _wait_s(destination: DestinationSettings, attempts: int) -> float:
    doublings = min(attempts - 1, 60)
    return float(min(destination.first_wait_s * 2**doublings, destination.longest_wait_s))


def _what(delivery: Delivery) -> str:
    return f"{delivery.stage} {delivery.kind} {delivery.sop_instance_uid}"
