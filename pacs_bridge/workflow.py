"""The main path of a study, as durable workflows that read top to bottom.

::

    images ... quiet ->  preliminary:  complete? -> open -> plan -> find priors -> analyse
                                       -> compose -> deliver -> await signature
                                       (-> shadow: models that run without reporting)
    a radiologist signs  ->  final:    compose -> deliver -> finish

DBOS checkpoints each step: a server that is killed resumes a study at the step it was in.
The wait for the signature is a state in the table and not a sleeping workflow, so ten
thousand unread studies cost nothing and survive upgrades; signing starts ``final``.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from dbos import DBOS, DBOSConfig, Debouncer, SetWorkflowID

from imaging.language import Text
from imaging.report import Signature
from models.engine.turns import Priority
from pacs_bridge.priors.gather import NOTHING, Gathered
from pacs_bridge.settings import Settings
from pacs_bridge.states import State
from pacs_bridge.steps import Completeness, Steps

log = logging.getLogger(__name__)

QUEUE, URGENT, SHADOWS = "readings", "urgent", "shadows"
"""Urgent studies stand in a line of their own, so that a backlog does not hold them up."""
ANALYSE_TRIES = 4
MOST_REMEMBERED = 1000
"""Studies of one sender whose associations have not all ended."""
EXECUTOR = "preread"
PATH_VERSION = "1"
"""Grows when the order of steps below changes, so that a study begun before isn't confused."""

_steps: Steps | None = None  # DBOS is one to a process and calls plain functions


def _s() -> Steps:
    if _steps is None:
        raise RuntimeError("start the workflows first: Workflows(steps).start()")
    return _steps


@DBOS.workflow()
def preliminary(study_uid: str) -> None:
    """Images that have come to rest -> a preliminary report in the PACS and on the page."""
    completeness = _judged(study_uid)
    if not completeness.complete:
        # The PACS holds more than came: judge again after another quiet time.
        log.info("study %s waits: %s", study_uid, completeness.because.en)
        _debounce(study_uid)
        return
    revision = open_reading(
        study_uid, str(DBOS.workflow_id), completeness.because, completeness.missing
    )
    if revision is None:
        return
    read(study_uid, revision)


def _judged(study_uid: str) -> Completeness:
    """Whether it is complete; a study that can't be judged doesn't wait for ever for that."""
    try:
        return complete(study_uid)
    except Exception as error:  # the loop boundary: logged, kept with the reading and shown
        log.exception("study %s could not be judged", study_uid)
        told = f"{type(error).__name__}: {error}"
        because = Text(
            en=f"whether all images are here could not be judged: {told}",
            zh=f"无法判定图像是否齐全：{told}",
        )
        return Completeness(True, because, because)


def read(study_uid: str, revision: int) -> None:
    """The part of the way that a reading can be sent on again after it came to nothing."""
    try:
        if not plan(study_uid, revision):
            return
        # A study begun before this step was there goes on without it.
        gathered = find_priors(study_uid, revision) if DBOS.patch("priors") else NOTHING
        if not analyse(study_uid, revision, gathered):
            return
        compose(study_uid, revision)
        deliver(study_uid, revision)
        await_signature(study_uid, revision)
        for model in _s().settings.models.shadow:
            DBOS.enqueue_workflow(SHADOWS, shadow, study_uid, revision, model)
    except Exception as error:  # the loop boundary: logged, kept and shown
        log.exception("study %s revision %d", study_uid, revision)
        fail(study_uid, revision, f"{type(error).__name__}: {error}")


@DBOS.workflow()
def again(study_uid: str, revision: int) -> None:
    """A person wants a reading that came to nothing begun again."""
    read(study_uid, revision)


@DBOS.workflow()
def wanted(study_uid: str, who: str) -> None:
    """A person wants a study read that was fetched only to compare with."""
    because = Text(
        en=f"{who} asked for it; what had been fetched was taken",
        zh=f"{who} 要求分析；采用已调取的图像",
    )
    revision = open_reading(study_uid, str(DBOS.workflow_id), because)
    if revision is not None:
        read(study_uid, revision)


@DBOS.workflow()
def shadow(study_uid: str, revision: int, model: str) -> None:
    """A model that reports nothing reads a study that is read already."""
    try:
        run_shadow(study_uid, revision, model)
    except Exception as error:  # the loop boundary: logged and kept, it never touches the study
        log.exception("study %s revision %d: shadow model %s", study_uid, revision, model)
        shadow_failed(study_uid, model, f"{type(error).__name__}: {error}")


@DBOS.workflow()
def final(study_uid: str, revision: int) -> None:
    """A signed report -> the verified objects in the PACS."""
    try:
        compose(study_uid, revision)
        deliver(study_uid, revision)
        finish(study_uid, revision)
    except Exception as error:  # the loop boundary: logged, kept and shown
        log.exception("study %s revision %d", study_uid, revision)
        fail(study_uid, revision, f"{type(error).__name__}: {error}")


def _can_help(error: BaseException) -> bool:
    return bool(getattr(error, "retryable", False)) or isinstance(error, OSError)


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=2, should_retry=_can_help)
def complete(study_uid: str) -> Completeness:
    """See :meth:`Steps.judge_complete`."""
    return _s().judge_complete(study_uid)


@DBOS.step()
def open_reading(
    study_uid: str, opened_by: str, because: Text, missing: Text | None = None
) -> int | None:
    """See :meth:`Steps.open`."""
    return _s().open(study_uid, opened_by, because, missing)


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=2, should_retry=_can_help)
def plan(study_uid: str, revision: int) -> bool:
    """See :meth:`Steps.plan`."""
    return _s().plan(study_uid, revision)


@DBOS.step()
def find_priors(study_uid: str, revision: int) -> Gathered:
    """See :meth:`Steps.find_priors`."""
    return _s().find_priors(study_uid, revision)


@DBOS.step(
    retries_allowed=True, max_attempts=ANALYSE_TRIES, interval_seconds=5, should_retry=_can_help
)
def analyse(study_uid: str, revision: int, gathered: Gathered) -> bool:
    """See :meth:`Steps.analyse`."""
    status = DBOS.step_status
    tries = (status.current_attempt or 0) + 1 if status else 1
    return _s().analyse(study_uid, revision, tries >= ANALYSE_TRIES, gathered)


@DBOS.step(retries_allowed=True, max_attempts=2, interval_seconds=30, should_retry=_can_help)
def run_shadow(study_uid: str, revision: int, model: str) -> None:
    """See :meth:`Steps.run_shadow`."""
    _s().run_shadow(study_uid, revision, model)


@DBOS.step()
def shadow_failed(study_uid: str, model: str, told: str) -> None:
    """See :meth:`Steps.shadow_failed`."""
    _s().shadow_failed(study_uid, model, told)


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=2, should_retry=_can_help)
def compose(study_uid: str, revision: int) -> None:
    """See :meth:`Steps.compose`."""
    _s().compose(study_uid, revision)


@DBOS.step(retries_allowed=True, max_attempts=4, interval_seconds=2, should_retry=_can_help)
def deliver(study_uid: str, revision: int) -> None:
    """See :meth:`Steps.deliver`."""
    _s().deliver(study_uid, revision)


@DBOS.step()
def await_signature(study_uid: str, revision: int) -> None:
    """See :meth:`Steps.await_signature`."""
    _s().await_signature(study_uid, revision)


@DBOS.step()
def finish(study_uid: str, revision: int) -> None:
    """See :meth:`Steps.finish`."""
    _s().finish(study_uid, revision)


@DBOS.step()
def fail(study_uid: str, revision: int, told: str) -> None:
    """See :meth:`Steps.fail`."""
    _s().fail(study_uid, revision, told)


def _debounce(study_uid: str, *, ended: bool = False) -> None:
    """Judge the study when it has been quiet for a while; sooner where its sender has gone."""
    assembly = _s().settings.assembly
    quiet_s = min(assembly.quiet_s, assembly.ended_s) if ended else assembly.quiet_s
    urgent = _s().priority(study_uid) is Priority.URGENT
    debouncer = Debouncer.create(preliminary, queue=URGENT if urgent else QUEUE)
    debouncer.debounce(study_uid, quiet_s, study_uid)


class Workflows:
    """The workflow engine of this process.

    Args:
        steps: what the workflows do.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._touched: set[str] = set()
        self._ended: set[str] = set()
        self._by_sender: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._assemble, name="assembly", daemon=True)

    def start(self) -> None:
        """Resume what was interrupted, take up images no reading has seen, begin to listen."""
        global _steps
        _steps = self._steps
        DBOS(config=_config(self._steps.settings))
        DBOS.launch()
        # More than the workers take at a time: the next studies are planned, the last ones'
        # objects made, while these are read. Who is read first is the workers' affair.
        places = 2 * self._steps.workers.places + 2
        for name, at_once in ((QUEUE, places), (URGENT, places), (SHADOWS, 1)):
            DBOS.register_queue(name, worker_concurrency=at_once, polling_interval_sec=0.5)
        for study_uid in self._steps.store.unread_studies():
            self.touch(study_uid)
        for reading in self._steps.store.worklist([State.FINALISING]):
            self._start_final(reading.study.study_uid, reading.revision)
        self._thread.start()

    def touch(self, study_uid: str, sender: str = "") -> None:
        """An image of the study arrived: its quiet time begins anew. Cheap, any thread.

        Args:
            study_uid: which study.
            sender: AE title whose association brought it; empty: none did.
        """
        with self._lock:
            self._touched.add(study_uid)
            self._ended.discard(study_uid)
            if sender:
                brought = self._by_sender.setdefault(sender, set())
                if len(brought) >= MOST_REMEMBERED:  # it never ends: the quiet time decides
                    brought.clear()
                brought.add(study_uid)

    def left(self, sender: str) -> None:
        """The last association of a sender is over: what it brought is judged sooner."""
        with self._lock:
            brought = self._by_sender.pop(sender, set())
            self._touched |= brought
            self._ended |= brought

    def sign(self, study_uid: str, revision: int, signature: Signature, who: str) -> None:
        """Sign the report and send the verified objects on their way.

        Raises:
            UnknownStudy, WrongState: see :meth:`Store.sign`.
        """
        self._steps.store.sign(study_uid, revision, signature, who)
        self._start_final(study_uid, revision)

    def begin_again(self, study_uid: str, revision: int, who: str) -> None:
        """Read again what failed or was not analysed, or finish what was signed and failed.

        Revision 0 is a study that was fetched only to compare with, and is to be read now.

        Raises:
            UnknownStudy, WrongState: see :meth:`Store.reopen` and :meth:`Store.take_up_prior`.
        """
        if revision == 0:
            self._steps.store.take_up_prior(study_uid, who)
            DBOS.start_workflow(wanted, study_uid, who)
            return
        if self._steps.store.reopen(study_uid, revision, who):
            DBOS.start_workflow(final, study_uid, revision)
        else:
            DBOS.start_workflow(again, study_uid, revision)

    def stop(self) -> None:
        """End; what is under way resumes at the next start."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        DBOS.destroy()

    def _start_final(self, study_uid: str, revision: int) -> None:
        # One workflow a signed revision, however often it is asked for.
        with SetWorkflowID(f"final-{study_uid}-{revision}"):
            DBOS.start_workflow(final, study_uid, revision)

    def _assemble(self) -> None:
        # Hundreds of images a second touch a study; its debounce is moved twice a second.
        while not self._stopping.wait(0.5):
            self.schedule()

    def schedule(self) -> None:
        """Move the quiet time of every study that was touched."""
        with self._lock:
            touched, self._touched = self._touched, set()
            ended, self._ended = self._ended, set()
        for study_uid in touched:
            try:
                # What came to compare with, or came again, is not to be read.
                if self._steps.store.has_unread(study_uid):
                    _debounce(study_uid, ended=study_uid in ended)
            except Exception:  # the loop boundary: tried again at the next turn
                log.exception("study %s could not be scheduled, trying again", study_uid)
                self.touch(study_uid)


def _config(settings: Settings) -> DBOSConfig:
    database = settings.storage.database
    if not database:
        file = Path(settings.storage.folder).absolute() / "workflows.sqlite"
        database = f"sqlite:///{file}"
    return {
        "name": "preread",
        "system_database_url": database,
        "executor_id": EXECUTOR,
        "application_version": PATH_VERSION,
        "log_level": "WARNING",
        "run_migrations": True,
    }
