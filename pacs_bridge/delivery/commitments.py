"""Delivered is what a destination has committed itself to keep (PS3.4 J), where it offers that.

::

    waiting --C-STORE--> sent --committed--> delivered
       ^                  |  '--no report in time--> asked again (new transaction)
       '---- not there ---'

A report comes over the association of the request or over one that the destination opens to our
listener; both end in :meth:`Commitments.take`. A report that comes late is taken too, unless the
object was sent again meanwhile.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.uid import generate_uid

from pacs_bridge.back_off import back_off_s
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.delivery.outcomes import WHO, Outcomes, what
from pacs_bridge.dimse.commitment import CommitmentResult, Reference, request_commitment
from pacs_bridge.errors import PeerError, PeerUnreachable
from pacs_bridge.records import Delivery
from pacs_bridge.settings import DestinationSettings, PeerSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store

_log = logging.getLogger(__name__)

MOST_AT_ONCE = 100
"""Objects that one request names."""
SAME_ASSOCIATION_S = 1.0
"""A destination that reports over the association of the request does so at once."""


class Ask(Protocol):
    """As :func:`pacs_bridge.dimse.commitment.request_commitment`."""

    def __call__(
        self,
        settings: PeerSettings,
        our_ae: str,
        transaction_uid: str,
        references: Sequence[Reference],
        wait_s: float = ...,
    ) -> CommitmentResult | None:
        """Ask a node to commit itself."""


class Commitments:
    """Asks destinations for commitment, and takes what they report.

    Args:
        store: where deliveries are kept.
        destinations: those that offer it are asked.
        our_ae: the AE title we call with.
        changed: called when an object is to be sent again.
        ask: asks a node.
    """

    def __init__(
        self,
        store: Store,
        destinations: Sequence[DestinationSettings],
        our_ae: str,
        changed: Callable[[], None],
        ask: Ask = request_commitment,
    ) -> None:
        self._store = store
        self._ledger = DeliveryLedger(store)
        self._outcomes = Outcomes(store)
        self._destinations = {each.name: each for each in destinations}
        self._our_ae = our_ae
        self._changed = changed
        self._ask = ask

    def recover(self) -> None:
        """What was sent to a destination that is not asked any more waits for nothing."""
        for delivery in self._ledger.sent(float("inf")):
            destination = self._destinations.get(delivery.destination)
            if destination is None:
                self._outcomes.given_up(
                    delivery,
                    f"it was taken, but no destination is called {delivery.destination!r} in the "
                    "settings any more that could be asked whether it keeps it",
                )
            elif not destination.commitment:
                self._outcomes.delivered(delivery, "not asked for commitment any more")

    def ask_for(self, destination: DestinationSettings) -> None:
        """Ask for whatever a destination took and is due to be asked for."""
        due = self._ledger.sent(time.time(), destination.name) if destination.commitment else []
        for start in range(0, len(due), MOST_AT_ONCE):
            named = [each for each in due[start : start + MOST_AT_ONCE] if self._asks_on(each)]
            self._ask_once(destination, named)

    def take(self, result: CommitmentResult) -> None:
        """Take what a destination reported; a transaction that is not ours changes nothing."""
        named = self._ledger.answered(result.transaction_uid)
        committed = {each.sop_instance_uid: each.sop_class_uid for each in result.committed}
        failed = {each.reference.sop_instance_uid: each.why for each in result.failed}
        again = False
        for delivery, sop_class_uid in named:
            destination = self._destinations.get(delivery.destination)
            if destination is None or delivery.state is not DeliveryState.SENT:
                continue
            title = destination.commitment_ae_title or destination.ae_title
            if result.reported_by.strip() != title.strip():
                _log.warning(
                    "commitment for %s reported by %s, which is not %s: ignored. Is it to be "
                    "believed, set commitment_ae_title",
                    delivery.destination, result.reported_by, title,
                )  # fmt: skip
                continue
            uid = delivery.sop_instance_uid
            if uid in committed and committed[uid] in ("", sop_class_uid):
                self._outcomes.delivered(delivery, "committed")
                continue
            why = failed.get(uid, "its report does not name the object as we sent it")
            self._outcomes.failed(
                delivery, destination, f"it does not commit itself to keep it: {why}"
            )
            again = True
        if again:
            self._changed()

    # inside ------------------------------------------------------------------------------

    def _asks_on(self, delivery: Delivery) -> bool:
        """Whether a delivery may be asked for once more."""
        destination = self._destinations[delivery.destination]
        asked = self._ledger.times_asked(delivery)
        if asked < destination.attempts:
            return True
        why = delivery.last_error or "no report came"
        self._outcomes.given_up(
            delivery, f"it was taken, but not committed to, asked {asked} times: {why}"
        )
        return False

    def _ask_once(self, destination: DestinationSettings, named: Sequence[Delivery]) -> None:
        transaction = generate_uid()
        objects = []
        for delivery in named:
            try:
                head = dcmread(
                    delivery.path, specific_tags=["SOPClassUID"], stop_before_pixels=True
                )
                objects.append((delivery, str(head.SOPClassUID)))
            except (OSError, InvalidDicomError, AttributeError) as error:
                self._outcomes.given_up(delivery, f"it was taken; {delivery.path}: {error}")
        if not objects:
            return
        for delivery, _ in objects:
            asked = self._ledger.times_asked(delivery)
            told = delivery.last_error or (f"no report came, asked {asked} times" if asked else "")
            self._ask_again_in(delivery, destination.commitment_wait_s, told)
        self._ledger.asked(transaction, objects)
        references = [Reference(kind, each.sop_instance_uid) for each, kind in objects]
        try:
            result = self._ask(
                destination, self._our_ae, transaction, references, wait_s=SAME_ASSOCIATION_S
            )
        except PeerError as error:
            _log.warning("%s was not asked for commitment: %s", destination.name, error)
            self._not_asked(destination, transaction, [each for each, _ in objects], error)
            return
        if result is not None:
            self.take(result)

    def _not_asked(
        self,
        destination: DestinationSettings,
        transaction: str,
        named: Sequence[Delivery],
        error: PeerError,
    ) -> None:
        away = isinstance(error, PeerUnreachable)
        if away:  # it has what it took, and answers when it is back: no try is used up
            self._ledger.unasked(transaction)
        for delivery in named:
            wait = back_off_s(destination, self._ledger.times_asked(delivery))
            if away:
                wait = min(destination.commitment_wait_s, destination.longest_wait_s)
            self._ask_again_in(delivery, wait, str(error))
            if delivery.last_error != str(error):
                told = f"{what(delivery)} of {destination.name}: {error}"
                self._store.record(WHO, "commitment-not-asked", delivery.study_uid, told)

    def _ask_again_in(self, delivery: Delivery, wait_s: float, error: str) -> None:
        later = replace(delivery, last_error=error, next_attempt_at=time.time() + wait_s)
        self._ledger.change(later, DeliveryState.SENT)
