"""Brings a study that was ordered and is not here, from the archive that the settings name.

Where a workitem itself says its input can be fetched from is not heeded: who may order something
shall not have us call anybody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection

from pacs_bridge.errors import BridgeError
from pacs_bridge.inbox import Inbox
from pacs_bridge.pull.ledger import PullLedger
from pacs_bridge.pull.puller import Puller
from pacs_bridge.pull.values import PullState
from pacs_bridge.settings import PullSettings, Settings
from pacs_bridge.store import Instance

_log = logging.getLogger(__name__)

RULE = "ordered"
"""The rule's name of what is fetched because a workitem asks for it."""


class Fetcher:
    """Fetches ordered studies, one after another, on a thread of its own.

    Args:
        settings: the archive is that of ``priors``, or ``assembly.source``.
        inbox: where what comes is kept.
        kept: told of each object that comes over our own request (not by C-MOVE).
    """

    def __init__(self, settings: Settings, inbox: Inbox, kept: Callable[[Instance], None]) -> None:
        rule = archive_rule(settings) if settings.ups.fetch else None
        self._puller = None if rule is None else Puller(rule, settings, inbox, kept, by_hand=True)
        self._ledger = PullLedger(inbox.store)
        self._wanted: dict[str, None] = {}
        self._problem: dict[str, str] = {}
        self._lock = threading.Lock()
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ups-fetch", daemon=True)

    def start(self) -> None:
        """Begin; what an earlier run was fetching is gone on with when it is wanted again."""
        if self._puller is not None:
            self._thread.start()

    def stop(self, grace_s: float = 5.0) -> None:
        """End soon."""
        self._stopping.set()
        self._bell.set()
        if self._puller is not None:
            self._puller.stop()
        if self._thread.is_alive():
            self._thread.join(grace_s)

    def want(self, study_uid: str) -> None:
        """Have a study fetched, if it can be; cheap, and may be repeated."""
        with self._lock:
            self._wanted[study_uid] = None
        self._bell.set()

    def only(self, study_uids: Collection[str]) -> None:
        """Forget every other study: no workitem under way asks for it any more."""
        with self._lock:
            self._wanted = {uid: None for uid in self._wanted if uid in study_uids}
            self._problem = {uid: told for uid, told in self._problem.items() if uid in study_uids}

    def standing(self, study_uid: str) -> str:
        """How it stands with a study, for people."""
        if self._puller is None:
            return "no archive is set up to fetch it from"
        with self._lock:
            problem = self._problem.get(study_uid, "")
        if problem:
            return problem
        pull = self._ledger.of(study_uid)
        if pull is None:
            return "it is being looked for"
        if pull.last_error:
            return f"{pull.archive}: {pull.last_error}"
        return f"it is fetched from {pull.archive}"

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.wait()
            self._bell.clear()
            while not self._stopping.is_set():
                with self._lock:
                    study_uid = next(iter(self._wanted), "")
                    self._wanted.pop(study_uid, None)
                if not study_uid:
                    break
                self._fetch(study_uid)

    def _fetch(self, study_uid: str) -> None:
        assert self._puller is not None
        problem = ""
        try:
            pull = self._ledger.of(study_uid)
            if pull is None or pull.state in (PullState.FETCHED, PullState.GIVEN_UP):
                found = self._puller.find(by_hand=True, study_uid=study_uid)
                if not found:
                    problem = "the archive does not have the study"
                for each in found:
                    problem = each.why_not
            self._puller.bring()
        except BridgeError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the boundary of one study: the thread goes on
            _log.exception("ordered study %s could not be fetched", study_uid)
            problem = f"{type(error).__name__}: {error}"
        with self._lock:
            self._problem.pop(study_uid, None)
            if problem:
                self._problem[study_uid] = problem
        if problem:
            _log.warning("ordered study %s: %s", study_uid, problem)


def archive_rule(settings: Settings) -> PullSettings | None:
    """How an ordered study is fetched; None where no archive is set up."""
    method = settings.priors.method
    values: dict[str, object] = {
        "name": RULE, "method": method, "days": 0, "modalities": (), "read_already": "complete",
        "settle_minutes": 0.0, "first_wait_s": 15.0, "attempts": 3,
    }  # fmt: skip
    if method == "dicomweb":
        if not settings.priors.dicomweb_url:
            return None
        values["dicomweb_url"] = settings.priors.dicomweb_url
    else:
        if settings.priors_pacs is None:
            return None
        values["source"] = settings.priors_pacs.model_dump()
    return PullSettings.model_validate(values)
