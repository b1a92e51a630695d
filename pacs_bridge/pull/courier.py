"""Brings one study: series by series, only the images that are not here, at the rule's pace.

Killed in the middle, it goes on where it was: what is here is not fetched again. A study counts
as fetched when everything that was wanted is in the store, whatever the archive says it sent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from pacs_bridge.archive import Archive
from pacs_bridge.dimse.retrieve import FETCHED_CLASSES, UnknownHere, Wanted
from pacs_bridge.errors import (
    BridgeError,
    DiskFull,
    PeerBusy,
    PeerRefused,
    PeerUnreachable,
    WrongState,
)
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.pace import Pace
from pacs_bridge.pull.search import Search
from pacs_bridge.pull.values import Found, Pull, SeriesWish
from pacs_bridge.settings import PullSettings
from pacs_bridge.store import Instance

log = logging.getLogger(__name__)

IMAGES_A_REQUEST = 200
"""UIDs that one request names; 200 of 64 characters fit any archive's limit of a PDU."""
FRESH_S = 300.0
"""What was found is good for so long."""
STOPPING = "the server stops; it is gone on with at the next start"
LATE_S = 5.0
"""What C-MOVE sent may be recorded so long after the archive said that it is done."""

Progress = Callable[[str, int, int], None]
"""Told StudyInstanceUID, images that came and images wanted."""


class Stopped(PeerBusy):
    """We were told to end; the study is gone on with later."""


@dataclass
class PullCourier:
    """Fetches the studies of one rule that wait in the ledger; any number of threads.

    Args:
        rule: how.
        archive: from where.
        ledger: what waits.
        search: asked again about each study, for what it has now.
        owner: this process.
        pace: shared by all threads of the rule.
        stop: set to end.
        kept: told of each object that comes over our own request.
        progress: told how a study gets on.
    """

    rule: PullSettings
    archive: Archive
    ledger: PullLedger
    search: Search
    owner: str
    pace: Pace
    stop: threading.Event = field(default_factory=threading.Event)
    kept: Callable[[Instance], None] = lambda instance: None
    progress: Progress = lambda study_uid, came, wanted: None
    _fresh: dict[str, tuple[float, Found]] = field(default_factory=dict, repr=False)

    def expect(self, found: Found) -> None:
        """What was just found of a study: for some minutes the archive needn't be asked again."""
        now = time.monotonic()
        for uid, (at, _) in list(self._fresh.items()):
            if now - at > FRESH_S:  # it is still settling, or another process fetched it
                self._fresh.pop(uid, None)
        self._fresh[found.study.study_uid] = (now, found)

    def bring_next(self) -> bool:
        """Fetch the next study that is due; False: none is.

        Raises:
            PeerUnreachable, UnknownHere: no other study would come either; it waits.
        """
        pull = self.ledger.claim(self.rule.name, self.owner)
        if pull is None:
            return False
        try:
            self._bring(pull)
        except (PeerUnreachable, UnknownHere) as error:
            # The study is not to blame: it has lost no attempt, and the rule says what is wrong.
            self.ledger.failed(
                pull.study_uid, self.owner, str(error), self.rule.first_wait_s, counts=False
            )
            raise
        except Stopped as error:
            self.ledger.failed(pull.study_uid, self.owner, str(error), 0.0, counts=False)
        except (BridgeError, OSError) as error:
            self._failed(pull, error)
        except Exception as error:  # the loop boundary: kept with the study, and tried again
            log.exception("study %s: pull", pull.study_uid)
            self._failed(pull, error)
        return True

    # one study ---------------------------------------------------------------------------

    def _bring(self, pull: Pull) -> None:
        started = time.monotonic()
        found = self._look_again(pull)
        pull = replace(pull, wanted=found.images)  # it may have more than when it was entered
        came = found.here
        self._say(pull, came)
        for wish in found.wanted:
            came += self._bring_series(pull, wish, came)
        self._check(pull, found)
        self._let_it_be_read(pull.study_uid)
        seconds = time.monotonic() - started
        left_out = f", {len(found.left_out)} series left out" if found.left_out else ""
        told = (
            f"rule {self.rule.name}: {came - found.here} images of {len(found.wanted)} series from "
            f"{self.archive} by {self.archive.method} in {seconds:.1f} s{left_out}"
        )
        log.info("study %s pulled: %s", pull.study_uid, told)
        self.ledger.fetched(pull.study_uid, self.owner, found.images, told)

    def _bring_series(self, pull: Pull, wish: SeriesWish, before: int) -> int:
        """What is missing of a series; how many images came."""
        came = 0
        for request in self._requests(pull.study_uid, wish):
            self._breathe(pull, before + came, len(request.instance_uids) or wish.images)
            try:
                came += self._fetch(pull, request, before + came)
            except PeerRefused as error:
                if isinstance(error, UnknownHere) or not request.instance_uids:
                    raise
                # It may know no retrieval of single images (PS3.4 C.4.2.2.1): the series then.
                log.info("study %s: %s; the whole series is asked for", pull.study_uid, error)
                came += self._fetch(pull, replace(request, instance_uids=()), before + came)
                self._say(pull, before + came)
                break
            self._say(pull, before + came)
        return came

    def _look_again(self, pull: Pull) -> Found:
        """What the archive has of the study now, and what of it is missing here."""
        at, known = self._fresh.pop(pull.study_uid, (0.0, None))
        if known is not None and time.monotonic() - at < FRESH_S:
            return known
        found = self.search.look(pull.study_uid)
        if found is None:
            raise PeerRefused(f"{self.archive} has no study {pull.study_uid} any more")
        if not found.wanted:
            raise PeerRefused(f"{self.archive}: {found.why_not}")
        return found

    def _requests(self, study_uid: str, wish: SeriesWish) -> Iterator[Wanted]:
        """The requests that bring what is missing of a series, each judged when it is made."""
        if not wish.images:
            return
        series_uid = wish.series.series_uid
        known = FETCHED_CLASSES.get(wish.series.modality, FETCHED_CLASSES["CT"])
        whole = Wanted(study_uid, series_uid, 0.0, sop_classes=wish.sop_classes or known)
        complete = wish.missing is None or len(wish.missing) == wish.series.images
        most = self.pace.images_a_request
        if wish.missing is None or (complete and (not most or wish.images <= most)):
            yield whole
            return
        each = min(most, IMAGES_A_REQUEST) if most else IMAGES_A_REQUEST
        for start in range(0, len(wish.missing), each):
            yield replace(whole, instance_uids=wish.missing[start : start + each])

    def _fetch(self, pull: Pull, request: Wanted, came: int) -> int:
        """One request; how many images it brought."""
        told_at = time.monotonic()

        def tell(images: int) -> None:
            nonlocal told_at
            if time.monotonic() - told_at > 1.0:
                told_at = time.monotonic()
                self._say(pull, came + images)

        def end(_images: int) -> str:
            return STOPPING if self.stop.is_set() else ""

        until = time.monotonic() + self.rule.wait_s
        wanted = replace(request, until=until, too_much=end, came=tell)
        try:
            return self.archive.fetch(wanted, prior=False, kept=self.kept)
        except BridgeError as error:
            if self.stop.is_set():
                raise Stopped(str(error)) from error
            raise

    def _check(self, pull: Pull, found: Found) -> None:
        """See that everything is here; images of C-MOVE may come a moment late."""
        deadline = time.monotonic() + (LATE_S if self.archive.method == "c-move" else 0)
        while True:
            lacking = self._lacking(pull.study_uid, found)
            if not lacking:
                return
            if time.monotonic() > deadline or self.stop.wait(0.1):
                raise PeerBusy(
                    f"{self.archive} said that it sent all, and {lacking} of {found.missing} "
                    "images are not here. See the log of the receiver for what was refused"
                )

    def _lacking(self, study_uid: str, found: Found) -> int:
        held = self.ledger.held(study_uid)
        lacking = 0
        for wish in found.wanted:
            here = held.get(wish.series.series_uid, set())
            if wish.missing is None:
                lacking += max(0, (wish.series.images or 0) - len(here))
            else:
                lacking += sum(uid not in here for uid in wish.missing)
        return lacking

    def _let_it_be_read(self, study_uid: str) -> None:
        """What was here to be compared with, or came while it was, is to be read now."""
        store = self.ledger.store
        if store.has_unread(study_uid) or self.ledger.was_read(study_uid):
            return
        try:
            store.take_up_prior(study_uid, f"rule {self.rule.name}")
        except WrongState:
            log.info("study %s: nothing of what was pulled is an image", study_uid)

    # telling -----------------------------------------------------------------------------

    def _say(self, pull: Pull, came: int) -> None:
        """We are at work; and are told to end where somebody else is, too."""
        if not self.ledger.at_work(pull.study_uid, self.owner, came, pull.wanted):
            raise Stopped(f"another process has taken study {pull.study_uid} over")
        self.progress(pull.study_uid, came, pull.wanted)

    def _breathe(self, pull: Pull, came: int, images: int) -> None:
        """Wait until the rule's pace lets so many images be asked for."""
        until = time.monotonic() + self.pace.reserve(images)
        while (left := until - time.monotonic()) > 0:
            if self.stop.wait(min(left, 20.0)):
                break
            self._say(pull, came)
        if self.stop.is_set():
            raise Stopped(STOPPING)

    def _failed(self, pull: Pull, error: Exception) -> None:
        told = str(error) if isinstance(error, BridgeError) else f"{type(error).__name__}: {error}"
        last = pull.attempts + 1 >= self.rule.attempts and not isinstance(error, DiskFull)
        wait = min(self.rule.longest_wait_s, self.rule.first_wait_s * 2**pull.attempts)
        self.ledger.failed(pull.study_uid, self.owner, told, None if last else wait)
        log.warning(
            "study %s: pull by rule %s: %s; %s", pull.study_uid, self.rule.name, told,
            "given up" if last else f"tried again in {wait:g} s",
        )  # fmt: skip
