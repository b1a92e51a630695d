"""Performs what is ordered of us: claims a workitem, has the study read, says what came of it.

::

    SCHEDULED, ours, due ->  claimed: images here?  -> read by the normal workflow
                             (fetched, waited for)     (progress)  -> sent -> COMPLETED
                                   |                       |
                                   CANCELED: they never came / nothing suits / it failed

Where each workitem stands is in the database: what a killed server began is gone on with.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError

from pacs_bridge.database import writing
from pacs_bridge.dicomweb.server.held import Holdings
from pacs_bridge.errors import BridgeError, UnknownStudy, WrongState
from pacs_bridge.settings import Settings
from pacs_bridge.states import DeliveryState, State
from pacs_bridge.store import Delivery, Reading, Store
from pacs_bridge.ups import codes, tasks
from pacs_bridge.ups.codes import Word
from pacs_bridge.ups.fetch import Fetcher
from pacs_bridge.ups.order import order_of
from pacs_bridge.ups.outcome import (
    PROGRESS,
    Performed,
    says_performed,
    says_progress,
    says_why_not,
)
from pacs_bridge.ups.states import UpsState
from pacs_bridge.ups.tasks import Step, Task
from pacs_bridge.ups.worklist import AUTHOR, Worklist

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often workitems and readings are looked at."""
ASK_AGAIN_S = 30.0
"""A study that did not come is asked for again after this."""
_READ = (State.AWAITING_SIGNATURE, State.FINALISING, State.FINAL)
_NOTHING = (State.NOT_ANALYSED, State.FAILED)
_UNDER_WAY = (DeliveryState.WAITING, DeliveryState.SENT)


@dataclass
class _Seen:
    """What need not be asked of the database each second about a workitem under way."""

    wanted: frozenset[str] | None = None
    asked_at: float = 0.0
    said: tuple[int, str] = (-1, "")


@dataclass
class Performer:
    """Sees to the workitems that are ours.

    Args:
        settings: ``ups``, ``listener``, ``site`` and ``storage`` are read.
        store: the studies and their readings.
        worklist: where workitems are claimed, amended and ended.
        fetcher: brings what is not here.
        begin_again: has a reading begun again, or a prior read; see
            :meth:`pacs_bridge.workflow.Workflows.begin_again`.
        url: where callers reach our DICOMweb server.
    """

    settings: Settings
    store: Store
    worklist: Worklist
    fetcher: Fetcher
    begin_again: Callable[[str, int, str], None]
    url: Callable[[], str]
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _bell: threading.Event = field(default_factory=threading.Event)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with what an earlier run was at."""
        self._thread = threading.Thread(target=self._run, name="ups-performer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is under way is gone on with at the next start."""
        self._stopping.set()
        self._bell.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Claim what is due, and take every workitem of ours as far as it goes."""
        self.worklist.claim_due()
        with self.store.engine.connect() as db:
            under_way = tasks.under_way(db)
        self._seen = {
            task.workitem_uid: self._seen.get(task.workitem_uid, _Seen()) for task in under_way
        }
        self.fetcher.only({task.study_uid for task in under_way})
        for task in under_way:
            if self._stopping.is_set():
                return
            try:
                self._advance(task)
            except SQLAlchemyError:  # the database is away: all of it is looked at again
                raise
            except Exception as error:  # noqa: BLE001 - the boundary of one workitem: it says why
                _log.exception("workitem %s", task.workitem_uid)
                self._cancel(task, codes.FAILURE, f"{type(error).__name__}: {error}")

    # inside ------------------------------------------------------------------------------

    def _run(self) -> None:
        end = self.worklist.listen(self._bell.set)
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the boundary: looked again at the next turn
                _log.exception("the worklist could not be worked off, trying again")
            self._stopping.wait(LOOK_S / 4)  # one change rings more than once
            self._bell.wait(LOOK_S)
        end()

    def _advance(self, task: Task) -> None:
        if task.step is Step.FETCHING:
            self._fetch(task)
        elif task.step is Step.READING:
            self._follow(task)
        else:
            self._send(task)

    def _fetch(self, task: Task) -> None:
        if not task.study_uid:
            self._cancel(
                task, codes.INCOMPLETE, "the workitem names no study, or more than one, as input"
            )
            return
        seen = self._seen[task.workitem_uid]
        if seen.wanted is None:
            seen.wanted = order_of(self.worklist.retrieve(task.workitem_uid)).images
        wanted = seen.wanted
        held = {each.sop_instance_uid for each in self.store.instances_of(task.study_uid)}
        missing = wanted - held
        if held and not missing:
            self._move(task, Step.READING)
            return
        here = f"{len(wanted) - len(missing)} of {len(wanted)} images are here" if wanted else (
            "nothing of the study is here"
        )  # fmt: skip
        told = f"{here}; {self.fetcher.standing(task.study_uid)}"
        if time.time() - task.since > self.settings.ups.wait_minutes * 60:
            self._cancel(task, codes.INCOMPLETE, f"the images did not come in time: {told}")
            return
        if time.time() - seen.asked_at > ASK_AGAIN_S:
            seen.asked_at = time.time()
            self.fetcher.want(task.study_uid)
        self._say(task, 0, told)

    def _follow(self, task: Task) -> None:
        """Wait for the workflow, which has begun by itself, to come to an end of the reading."""
        if self.store.has_unread(task.study_uid):
            self._say(task, *PROGRESS[State.RECEIVING])
            return
        try:
            reading = self.store.reading(task.study_uid)
        except UnknownStudy:  # what is here was fetched to compare with, or is no image
            self._again(task, 0, "there is no image of the study to be read")
            return
        if reading.state in _READ:
            self._move(task, Step.SENDING)
        elif reading.state in _NOTHING:
            if reading.changed_at >= task.taken_at:
                self._came_to_nothing(task, reading)
            else:  # before it was ordered: models or settings may be others now
                self._again(task, reading.revision, reading.reason.en)
        elif reading.state in PROGRESS:
            self._say(task, *PROGRESS[reading.state])

    def _again(self, task: Task, revision: int, why_not: str) -> None:
        with writing(self.store.engine) as db:
            ours = tasks.begin_again(db, task)
        if not ours:
            if time.time() - task.since > ASK_AGAIN_S:
                self._cancel(task, codes.INCOMPLETE, why_not)
            return
        try:
            self.begin_again(task.study_uid, revision, AUTHOR)
        except (UnknownStudy, WrongState) as error:
            _log.info("workitem %s: %s", task.workitem_uid, error)
            if revision == 0:
                self._cancel(task, codes.INCOMPLETE, why_not)

    def _came_to_nothing(self, task: Task, reading: Reading) -> None:
        failed = reading.state is State.FAILED
        reason = codes.FAILURE if failed else codes.NOT_SUPPORTED
        self._cancel(task, reason, reading.reason.en or str(reading.state))

    def _send(self, task: Task) -> None:
        """Complete it when the results have gone out, or have been long about it."""
        reading = self.store.reading(task.study_uid)
        if reading.state not in _READ:  # late images have begun another revision
            self._move(task, Step.READING)
            return
        deliveries = self.store.deliveries_of(task.study_uid, reading.revision)
        under_way = [each for each in deliveries if each.state in _UNDER_WAY]
        waited = time.time() - task.since
        if under_way and waited < self.settings.ups.delivery_wait_minutes * 60:
            self._say(task, *PROGRESS[State.AWAITING_SIGNATURE])
            return
        self._complete(task, reading, deliveries)

    def _complete(self, task: Task, reading: Reading, deliveries: list[Delivery]) -> None:
        results = self.settings.storage.folder.absolute() / "results"
        outputs = Holdings(self.store, results).made(task.study_uid)
        report = reading.report
        found = len(report.standing_findings) if report else 0
        stage = report.stage if report else "preliminary"
        performed = Performed(
            station=self.settings.listener.ae_title,
            site=self.settings.site,
            begun_at=task.taken_at,
            what=report.model_names if report else "",
            comments=f"{stage} report, revision {reading.revision}: {found} finding(s)",
            outputs=tuple(outputs),
            sent_to=self._sent_to({each.sop_instance_uid for each in outputs}, deliveries),
            url=self.url(),
        )
        self.worklist.end(task.workitem_uid, UpsState.COMPLETED, says_performed(performed))
        _log.info("workitem %s completed, %d objects", task.workitem_uid, len(outputs))

    def _sent_to(self, wanted: set[str], deliveries: list[Delivery]) -> tuple[str, ...]:
        """AE titles of destinations that took every object."""
        places = []
        for each in self.settings.destinations:
            took = {
                delivery.sop_instance_uid
                for delivery in deliveries
                if delivery.destination == each.name and delivery.state is DeliveryState.DELIVERED
            }
            if each.ae_title and wanted and wanted <= took:
                places.append(each.ae_title)
        return tuple(places)

    def _cancel(self, task: Task, reason: Word, told: str) -> None:
        _log.warning("workitem %s cancelled: %s", task.workitem_uid, told)
        try:
            self.worklist.end(task.workitem_uid, UpsState.CANCELED, says_why_not(reason, told))
        except BridgeError as error:
            # It is gone, or no longer ours to end: nothing is left to be done for it.
            _log.error("workitem %s could not be cancelled: %s", task.workitem_uid, error)
            with writing(self.store.engine) as db:
                tasks.end(db, task.workitem_uid)

    def _say(self, task: Task, percent: int, told: str) -> None:
        seen = self._seen[task.workitem_uid]
        if seen.said != (percent, told):
            self.worklist.amend(task.workitem_uid, says_progress(percent, told))
            seen.said = (percent, told)

    def _move(self, task: Task, step: Step) -> None:
        with writing(self.store.engine) as db:
            tasks.move(db, task, step)
