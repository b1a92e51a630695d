"""One rule at work: look at the archive, enter what is to be fetched, fetch it."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from pacs_bridge.errors import BridgeError
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.archives import open_archive
from pacs_bridge.pull.courier import Progress, PullCourier
from pacs_bridge.pull.ledger import LEASE_S, PullLedger, owner_here
from pacs_bridge.pull.pace import Pace
from pacs_bridge.pull.search import Search
from pacs_bridge.pull.values import Found
from pacs_bridge.settings import PullSettings, Settings
from pacs_bridge.store import Instance

log = logging.getLogger(__name__)


class Puller:
    """A rule with its archive and its ledger.

    Args:
        rule: what is wanted, and how.
        settings: our AE title, and when a study counts as coming by itself.
        inbox: where what comes is kept.
        kept: told of each object that comes over our own request (not by C-MOVE).
        progress: told how a study gets on.
        by_hand: a person asks; see :class:`Search`.
    """

    def __init__(
        self,
        rule: PullSettings,
        settings: Settings,
        inbox: Inbox,
        kept: Callable[[Instance], None] = lambda instance: None,
        progress: Progress = lambda study_uid, came, wanted: None,
        *,
        by_hand: bool = False,
    ) -> None:
        self.rule = rule
        # An archive may say nothing for as long as a request may take.
        self.ledger = PullLedger(inbox.store, rule.wait_s + LEASE_S)
        self._archive = open_archive(rule, settings.listener.ae_title, inbox)
        quiet_s = settings.assembly.quiet_s
        self._search = Search(rule, self._archive, self.ledger, quiet_s, by_hand)
        self._asked = Search(rule, self._archive, self.ledger, quiet_s, True)
        self._stop = threading.Event()
        self._courier = PullCourier(
            rule, self._archive, self.ledger, self._search, owner_here(),
            Pace(rule.images_a_minute), self._stop, kept, progress,
        )  # fmt: skip

    def find(self, *, dry: bool = False, by_hand: bool = False, study_uid: str = "") -> list[Found]:
        """Look at the archive, and enter what is to be fetched.

        Args:
            dry: enter nothing.
            by_hand: a person asks this time.
            study_uid: look at this study alone.

        Returns:
            Every study that the archive told of, and what becomes of it.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: with archive, answer and remedy; what was
                found before is entered.
        """
        name, taken, seen = self.rule.name, 0, []
        search = self._asked if by_hand else self._search
        counts = not dry and not study_uid  # one study alone is no look at the archive
        if counts:
            self.ledger.begun(name, asked=by_hand)
        problem = ""
        try:
            for found in search.run(datetime.now(), study_uid):
                seen.append(found)
                if self._stop.is_set():
                    break
                if found.why_not:
                    continue
                taken += not found.settling
                if not dry:
                    self.ledger.enter(found, name, str(self._archive))
                    self._courier.expect(found)
        except BridgeError as error:
            problem = str(error)
            raise
        finally:
            if counts:
                self.ledger.ended(name, len(seen), taken, problem)
        log.info(
            "rule %s: %d studies in %s, %d to be fetched", name, len(seen), self._archive, taken
        )
        return seen

    def find_settled(self) -> None:
        """Look again at the studies that have had time to settle.

        Raises:
            PeerUnreachable, PeerRefused, PeerBusy: as :meth:`find`.
        """
        for study_uid in self.ledger.settled(self.rule.name, self.rule.settle_minutes * 60):
            if all(found.why_not for found in self.find(study_uid=study_uid)):
                self.ledger.forget(study_uid)  # it is gone, or not wanted any more

    def bring(self, for_s: float = math.inf) -> int:
        """Fetch every study that is due, some at a time; how many were tried.

        Args:
            for_s: begin no other study after so many seconds.

        Raises:
            PeerUnreachable, UnknownHere: nothing comes from there for now; the rest waits.
        """
        at_once = self.rule.studies_at_once
        with ThreadPoolExecutor(at_once, thread_name_prefix="pull") as threads:
            until = time.monotonic() + for_s
            tried = [threads.submit(self._bring_all, until) for _ in range(at_once)]
        return sum(each.result() for each in tried)

    def stop(self) -> None:
        """End as soon as the archive answers next; what is under way is gone on with later."""
        self._stop.set()

    def _bring_all(self, until: float) -> int:
        tried = 0
        while not self._stop.is_set() and self._courier.bring_next():
            tried += 1
            if time.monotonic() > until:
                break
        return tried
