"""All rules inside the server: each on a thread of its own, on its clock and in its hours."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from pacs_bridge.announced import Announcements
from pacs_bridge.errors import BridgeError
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.hours import open_at
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.puller import Puller
from pacs_bridge.settings import PullSettings, Settings
from pacs_bridge.store import Instance

log = logging.getLogger(__name__)

TICK_S = 2.0
"""How often a rule's thread, and the one that hands on, look at the ledger."""
BRING_S = 30.0
"""A rule fetches one study after another for so long before it looks about again."""
TOLD_S = 86400.0
"""What was announced so long ago is looked at again after a start, if images of it are missing."""
STOP_S = 5.0
"""Stopping waits so long for what is under way; it is gone on with at the next start."""


class PullSchedule:
    """Fetches by rules; what any process fetched is handed on to be read.

    Args:
        settings: the rules, and our AE title.
        inbox: where what comes is kept.
        kept: told of each object that comes over our own request (not by C-MOVE).
        touch: told of each study of which all came; it is to be read soon.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        kept: Callable[[Instance], None],
        touch: Callable[[str], None],
    ) -> None:
        self._ledger = PullLedger(inbox.store)
        self._touch = touch
        self._stopping = threading.Event()
        self._rules = [
            _Rule(rule, Puller(rule, settings, inbox, kept), self._ledger, self._stopping)
            for rule in settings.pull
        ]
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Free what a killed process left, and begin."""
        freed = self._ledger.release()
        if freed:
            log.warning(
                "%d studies were being fetched when the last run ended; gone on with", freed
            )
        if any(rule.heeds for rule in self._rules):
            self._remember_announced()
        for rule in self._rules:
            self._begin(rule.run, f"pull-{rule.name}")
        self._begin(self._hand_on, "pull-hand-on")

    def stop(self) -> None:
        """End soon."""
        self._stopping.set()
        for rule in self._rules:
            rule.puller.stop()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def announced(self, study_uid: str) -> None:
        """An archive says that it has a study: the rules that heed that look at it. Cheap."""
        for rule in self._rules:
            rule.announced(study_uid)

    def _remember_announced(self) -> None:
        told = Announcements(self._ledger.store)
        for study_uid, _ in told.studies_since(time.time() - TOLD_S):
            if told.missing_images(study_uid):
                self.announced(study_uid)

    def _begin(self, run: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _hand_on(self) -> None:
        while not self._stopping.wait(TICK_S):
            try:
                for study_uid in self._ledger.take_handed_on():
                    self._touch(study_uid)
            except Exception:  # the loop boundary: tried again at the next turn
                log.exception("pulled studies could not be handed on, trying again")


class _Rule:
    """One rule's thread."""

    def __init__(
        self, rule: PullSettings, puller: Puller, ledger: PullLedger, stopping: threading.Event
    ) -> None:
        self.name = rule.name
        self.heeds = rule.announced
        self.puller = puller
        self._rule = rule
        self._ledger = ledger
        self._stopping = stopping
        self._announced: set[str] = set()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def announced(self, study_uid: str) -> None:
        """See :meth:`PullSchedule.announced`."""
        if self.heeds:
            with self._lock:
                self._announced.add(study_uid)

    def run(self) -> None:
        """Until the server stops."""
        asked = False
        while not self._stopping.is_set():
            try:
                asked = self._turn(asked)
            except BridgeError as error:  # the archive is away, or doesn't know us
                log.warning("rule %s: %s", self.name, error)
                self._pause(str(error))
            except Exception as error:  # the loop boundary: one rule must not end the rest
                log.exception("rule %s", self.name)
                self._pause(f"{type(error).__name__}: {error}")
            self._stopping.wait(TICK_S)

    def _turn(self, asked: bool) -> bool:
        """Look where it is time to, and fetch what is due; whether a person's wish goes on."""
        run = self._ledger.run_of(self.name)
        if run.asked_at is not None:
            self._not_before = 0.0
            self.puller.find(by_hand=True)
            asked = True
        elif self._is_open() and time.time() >= self._not_before:
            if self._due(run.begun_at):
                self.puller.find()
            self.puller.find_settled()
            self._find_announced()
        if (asked or self._is_open()) and time.time() >= self._not_before:
            # After so long there may be another wish, or something new.
            tried = self.puller.bring(BRING_S)
            if tried and run.problem:
                self._ledger.trouble(self.name, "")
        return asked and self._ledger.waiting(self.name) is not None

    def _is_open(self) -> bool:
        return open_at(self._rule.hours, datetime.now())

    def _due(self, begun_at: float | None) -> bool:
        if not self._rule.every_minutes:
            return False
        return begun_at is None or time.time() >= begun_at + self._rule.every_minutes * 60

    def _find_announced(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                if not self._announced:
                    return
                study_uid = self._announced.pop()
            try:
                self.puller.find(study_uid=study_uid)
            except BridgeError:  # the archive is away: it is looked at when that is back
                self.announced(study_uid)
                raise

    def _pause(self, problem: str) -> None:
        """Have the page tell what is wrong, and try again in a while."""
        self._not_before = time.time() + self._rule.first_wait_s
        try:
            self._ledger.trouble(self.name, problem)
        except SQLAlchemyError as lost:  # the database is away: the log has it
            log.warning("rule %s: its trouble can't be kept: %s", self.name, lost)
