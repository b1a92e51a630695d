"""What becomes of a delivery: kept in its row, logged, and entered into the audit trail."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace

from pacs_bridge.back_off import back_off_s
from pacs_bridge.delivery.ledger import DeliveryLedger
from pacs_bridge.records import Delivery
from pacs_bridge.settings import DestinationSettings
from pacs_bridge.states import DeliveryState
from pacs_bridge.store import Store

_log = logging.getLogger(__name__)

WHO = "preread"


@dataclass(frozen=True)
class Outcomes:
    """Keeps how attempts went. ``delivery`` is always as it was before, but for its attempts."""

    store: Store = field(repr=False)

    def delivered(self, delivery: Delivery, note: str = "") -> None:
        """The destination has it, for good."""
        now = replace(
            delivery, state=DeliveryState.DELIVERED, last_error="", delivered_at=time.time()
        )
        if self._keep(now, delivery.state):
            told = f"{what(delivery)} to {delivery.destination}{f' ({note})' if note else ''}"
            _log.info("study %s: delivered %s", delivery.study_uid, told)
            self.store.record(WHO, "delivered", delivery.study_uid, told)

    def sent(self, delivery: Delivery, note: str = "") -> None:
        """The destination took it; its commitment is to be asked for now."""
        now = replace(delivery, state=DeliveryState.SENT, last_error="", next_attempt_at=0.0)
        if self._keep(now, delivery.state):
            told = f"{what(delivery)} to {delivery.destination}{f' ({note})' if note else ''}"
            _log.info("study %s: sent %s", delivery.study_uid, told)
            self.store.record(WHO, "delivery-sent", delivery.study_uid, told)

    def failed(self, delivery: Delivery, destination: DestinationSettings, why: str) -> None:
        """An attempt failed that may be repeated; it counts among ``delivery.attempts``."""
        if delivery.attempts >= destination.attempts:
            self.given_up(delivery, f"attempt {delivery.attempts} was the last: {why}")
            return
        wait = back_off_s(destination, delivery.attempts)
        now = replace(
            delivery,
            state=DeliveryState.WAITING,
            last_error=why,
            next_attempt_at=time.time() + wait,
        )
        if self._keep(now, delivery.state):
            told = (
                f"{what(delivery)} to {delivery.destination}, attempt {delivery.attempts} of "
                f"{destination.attempts}, next in {wait:.0f} s: {why}"
            )
            _log.warning("study %s: not delivered: %s", delivery.study_uid, told)
            self.store.record(WHO, "delivery-failed", delivery.study_uid, told)

    def given_up(self, delivery: Delivery, reason: str) -> None:
        """It is not tried again unless a person says so."""
        now = replace(delivery, state=DeliveryState.GIVEN_UP, last_error=reason)
        if self._keep(now, delivery.state):
            told = f"{what(delivery)} to {delivery.destination}: {reason}"
            _log.error("study %s: GIVEN UP delivering %s", delivery.study_uid, told)
            self.store.record(WHO, "delivery-given-up", delivery.study_uid, told)

    def _keep(self, now: Delivery, was: DeliveryState) -> bool:
        if was is DeliveryState.SENT:  # its result may come twice at once
            return DeliveryLedger(self.store).change(now, was)
        self.store.update_delivery(now)
        return True


def what(delivery: Delivery) -> str:
    """The object of a delivery, for the log and the audit trail."""
    return f"{delivery.stage} {delivery.kind} {delivery.sop_instance_uid}"
