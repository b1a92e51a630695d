"""Results on their way: every object to every destination that takes it.

One thread a destination, so that a dead or slow one holds up no other. Where an object stands
is a row in the store: a crash between sending and keeping that means that the same object,
with the same UID, is sent once more, and the destination recognises it. The parts are in
``delivery/``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from imaging.report import Stage
from pacs_bridge.delivery.circuit import Circuit, CircuitState
from pacs_bridge.delivery.commitments import Ask, Commitments
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.delivery.outcomes import WHO, Outcomes, what
from pacs_bridge.delivery.routing import Origin, Outcome, why_not
from pacs_bridge.delivery.senders import Sender, open_sender
from pacs_bridge.delivery.standing import DestinationState, standing
from pacs_bridge.dimse.commitment import commitment_results, request_commitment
from pacs_bridge.dimse.services import Service
from pacs_bridge.errors import BridgeError, PeerError, UnknownStudy, WrongState
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Delivery, Store

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 1.0
"""How often the store is asked for rows whose next attempt has come."""
_SOONEST_S = 0.05


class Courier:
    """Delivers what is entered in the store, until it is delivered or given up on.

    A failure that can pass is tried again after ``first_wait_s``, doubling up to
    ``longest_wait_s``, at most ``attempts`` times; an association that is refused counts as
    such, since an administrator can mend it. A destination that refuses the object itself is
    not asked again. An SR waits until the SEG of its reading, which it refers to, was taken or
    given up on; what does not refer to it goes at once, and urgent studies go before others. A
    destination where nobody is found time and again is left alone for a while (``circuit``); one
    that offers storage commitment has an object only when it has committed itself to it.

    Args:
        store: where deliveries are kept.
        destinations: where to.
        our_ae: the AE title we call with.
        connect: makes the sender for a destination (tests bring their own).
        ask: asks a destination for storage commitment.
    """

    def __init__(
        self,
        store: Store,
        destinations: Sequence[DestinationSettings],
        our_ae: str,
        connect: Callable[[DestinationSettings, str], Sender] = open_sender,
        ask: Ask = request_commitment,
    ) -> None:
        self._store = store
        self._destinations = tuple(destinations)
        self._our_ae = our_ae
        self._connect = connect
        self._ledger = DeliveryLedger(store)
        self._outcomes = Outcomes(store)
        self._circuits = {each.name: Circuit(each, store) for each in self._destinations}
        self._commitments = Commitments(store, destinations, our_ae, self.wake, ask)
        self._stopping = threading.Event()
        self._bells = {each.name: threading.Event() for each in self._destinations}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to deliver, with what an earlier run left waiting; returns at once."""
        self._give_up_orphans()
        self._commitments.recover()
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
        positive: bool = False,
        origin: Origin | None = None,
    ) -> None:
        """Enter the objects of a reading for every destination that is to have them.

        A destination for positive or urgent studies gets those, and later ones of a study that it
        got something of, also where that was taken back meanwhile. Entering the same again changes
        nothing.

        Args:
            study_uid: the study.
            revision: of its reading.
            stage: preliminary or final.
            objects: kind (``"SR"``, ``"SEG"``), SOP Instance UID, file.
            urgent: the study is flagged as urgent.
            positive: something was found.
            origin: where its images come from, for the destinations' rules.
        """
        entries = list(objects)
        told = {delivery.destination for delivery in self._store.deliveries_of(study_uid)}
        outcome = Outcome(positive, urgent)
        passed_over = []
        for destination in self._destinations:
            reason = why_not(
                destination, origin or Origin(), outcome, told=destination.name in told
            )
            if reason:
                passed_over.append(f"{destination.name}: {reason}")
                continue
            self._store.add_deliveries(
                Delivery(uid, destination.name, study_uid, revision, stage, kind, path)
                for kind, uid, path in entries
                if kind in destination.accepts
            )
        if passed_over:
            self._store.record(
                WHO, "not-routed", study_uid, f"revision {revision}, {stage}: "
                f"{'; '.join(passed_over)}",
            )  # fmt: skip
        self.wake()

    def retry(self, sop_instance_uid: str, destination: str, who: str) -> None:
        """Put a delivery that was given up on back to waiting, with all its attempts.

        One that waits for its next attempt is tried now, also where the destination is being left
        alone; one that was taken and not committed to is sent again, one that was set aside too.

        Raises:
            UnknownStudy: no such delivery.
            WrongState: it was delivered already, or just now.
            BridgeError: the destination is in the settings no more.
        """
        delivery = self._store.delivery(sop_instance_uid, destination)
        if destination not in self._circuits:
            raise BridgeError(
                f"no destination is called {destination!r} in the settings any more; add it again"
            )
        again = replace(
            delivery, state=DeliveryState.WAITING, attempts=0, next_attempt_at=0.0, last_error=""
        )
        if delivery.state is DeliveryState.DELIVERED:
            raise WrongState(f"{sop_instance_uid} was delivered to {destination} already")
        if not self._ledger.change(again, delivery.state):
            raise WrongState(f"{sop_instance_uid} to {destination} has just changed; look again")
        self._ledger.forget_asking(delivery)
        self._store.record(
            who, "delivery-retried", delivery.study_uid, f"{what(delivery)} to {destination}"
        )
        self._circuits[destination].try_now()
        self.wake()

    def set_aside(self, sop_instance_uid: str, destination: str, who: str, reason: str) -> None:
        """Say of a delivery that was given up on that it need not get there.

        It counts no more among what could not be delivered; :meth:`retry` takes it up again.

        Args:
            sop_instance_uid: of the object.
            destination: where it did not get to, also one that is in the settings no more.
            who: says so.
            reason: why, for the audit trail.

        Raises:
            UnknownStudy: no such delivery.
            WrongState: it was not given up on.
            BridgeError: no reason is given.
        """
        if not reason.strip():
            raise BridgeError("a delivery is set aside for a reason; none was given")
        delivery = self._store.delivery(sop_instance_uid, destination)
        told = f"set aside by {who}: {reason.strip()} (it was: {delivery.last_error})"
        aside = replace(delivery, state=DeliveryState.SET_ASIDE, last_error=told)
        if not self._ledger.change(aside, DeliveryState.GIVEN_UP):
            raise WrongState(f"{sop_instance_uid} to {destination} was not given up on")
        self._store.record(
            who, "delivery-set-aside", delivery.study_uid,
            f"{what(delivery)} to {destination}: {reason.strip()}",
        )  # fmt: skip

    def set_aside_all(self, destination: str, who: str, reason: str) -> int:
        """Set everything aside that was given up on at a destination; how many it was.

        Raises:
            BridgeError: no reason is given.
        """
        done = 0
        for letter in self._ledger.given_up(destination, limit=None):
            with suppress(WrongState):  # somebody else was quicker
                self.set_aside(letter.delivery.sop_instance_uid, destination, who, reason)
                done += 1
        return done

    def retry_all(self, destination: str, who: str) -> int:
        """Put everything that was given up on at a destination back to waiting; how many it was.

        What waits there is tried now, too.

        Raises:
            UnknownStudy: no such destination.
        """
        if destination not in self._circuits:
            raise UnknownStudy(f"no destination is called {destination!r} in the settings")
        done = 0
        for letter in self._ledger.given_up(destination, limit=None):
            with suppress(WrongState):  # it got there while we went through them
                self.retry(letter.delivery.sop_instance_uid, destination, who)
                done += 1
        self._ledger.hurry(destination)
        self._circuits[destination].try_now()
        self.wake()
        return done

    @property
    def services(self) -> tuple[Service, ...]:
        """What our listener answers for us: destinations that report storage commitment."""
        if not any(each.commitment for each in self._destinations):
            return ()
        return (commitment_results(self._commitments.take),)

    def destinations(self) -> tuple[DestinationState, ...]:
        """Where every destination stands."""
        circuits = {name: circuit.status for name, circuit in self._circuits.items()}
        return standing(self._destinations, circuits, self._ledger)

    # one destination ---------------------------------------------------------------------

    def _serve(self, destination: DestinationSettings) -> None:
        bell = self._bells[destination.name]
        look_again_s = max(_SOONEST_S, min(_LOOK_AGAIN_S, destination.first_wait_s))
        while not self._stopping.is_set():
            more = False
            try:
                more = self._round(destination)
                self._commitments.ask_for(destination)
            except Exception:  # noqa: BLE001 - the boundary: this thread must outlive anything
                _log.exception("deliveries to %s failed, trying on", destination.name)
            if not more:
                bell.wait(look_again_s)

    def _round(self, destination: DestinationSettings) -> bool:
        """Send what is next of what is due; returns whether more may be."""
        circuit, bell = self._circuits[destination.name], self._bells[destination.name]
        bell.clear()
        if circuit.left_alone:
            return False
        tried_once = circuit.state is CircuitState.HALF_OPEN
        due = self._ledger.due(time.time(), destination.name, tried_once=tried_once)
        for delivery in due:
            if self._stopping.is_set() or circuit.left_alone:
                return False
            if not delivery.path.is_file():
                self._outcomes.given_up(delivery, f"{delivery.path} is not there any more")
                continue
            self._send(delivery, destination, circuit)
            if bell.is_set():  # what came may be urgent: begin anew
                return True
        return bool(due)

    def _send(self, delivery: Delivery, destination: DestinationSettings, circuit: Circuit) -> None:
        tried = replace(delivery, attempts=delivery.attempts + 1)
        try:
            outcome = self._connect(destination, self._our_ae).store([delivery.path])[0]
        except PeerError as error:
            self._outcomes.failed(tried, destination, str(error))
            if circuit.found_nobody(str(error)):
                told = f"{destination.name}: {error}"
                _log.error("%s; its deliveries wait", told)
                self._store.record(WHO, "destination-down", detail=told)
            return
        except Exception as error:  # noqa: BLE001 - one object must not hold up the others
            _log.exception("study %s: %s", delivery.study_uid, what(delivery))
            self._outcomes.failed(tried, destination, f"{type(error).__name__}: {error}")
            return
        if outcome.error is None:
            keep = self._outcomes.sent if destination.commitment else self._outcomes.delivered
            keep(tried, outcome.note)
        elif outcome.error.retryable:
            self._outcomes.failed(tried, destination, str(outcome.error))
        else:
            self._outcomes.given_up(tried, str(outcome.error))
        met = outcome.error is None or isinstance(outcome.error, PeerError)
        if met and circuit.answered():
            _log.warning("%s is back; what waits for it is sent now", destination.name)
            self._store.record(WHO, "destination-back", detail=destination.name)
            self._ledger.hurry(destination.name)

    def _give_up_orphans(self) -> None:
        for delivery in self._store.deliveries_due(float("inf")):
            if delivery.destination not in self._bells:
                self._outcomes.given_up(
                    delivery,
                    f"no destination is called {delivery.destination!r} in the settings any "
                    "more; add it again and retry",
                )
