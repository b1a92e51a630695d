"""One network shared by all studies in flight: their patches go through it in common batches.

::

    study threads -- submit --> room --> fair queue --> workers: collect, stack
                                                          -> device -> outputs to the futures

A worker collects a batch and stacks it, waits for the device, runs it, gives the device back
and hands the outputs over. There is one worker more than batches on the device, so that the
next batch is put together, and the last one's outputs are checked and handed over, while the
device works. A batch stays open until it is full, or the device is free and the patch that
leads it has waited long enough.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from models.engine.fair_queue import FairQueue, Lane, Waiting
from models.engine.ladder import Ladder, Outcome, Stage
from models.engine.poison import checked
from models.engine.room import Room
from models.engine.session import Session
from models.engine.turns import Priority
from models.errors import InferenceFailed, ModelError, PatchRefused, SessionClosed
from models.runner import PatchInput, PatchOutputs
from models.runtime import Runtime
from models.splitting import Split

log = logging.getLogger(__name__)

IDLE_S = 30.0
"""Without a patch for this long, memory that is not needed is given back."""


@dataclass(frozen=True)
class BatcherOptions:
    """How a batcher works.

    Args:
        maximum_batch: patches a forward pass, at most.
        maximum_wait_s: how long a patch waits for others to fill its batch.
        batch_voxels: spatial voxels a forward pass, at most (one patch may be larger); 0: any.
        most_waiting: patches in the queue; ``submit`` blocks beyond.
        most_waiting_bytes: likewise; one larger patch may stand there alone.
        patience: how often routine patches are passed over by urgent ones in a row.
        grow_after: good forward passes before more memory is asked for again.

    Raises:
        ValueError: a number is too small.
    """

    maximum_batch: int = 4
    maximum_wait_s: float = 0.005
    batch_voxels: int = 0
    most_waiting: int = 32
    most_waiting_bytes: int = 512 * 2**20
    patience: int = 8
    grow_after: int = 32

    def __post_init__(self) -> None:
        least = min(self.maximum_batch, self.most_waiting, self.most_waiting_bytes, self.patience)
        if least < 1 or self.grow_after < 1 or self.maximum_wait_s < 0 or self.batch_voxels < 0:
            raise ValueError(f"{self}: patches and bytes are at least 1, nothing is negative")


@dataclass(frozen=True)
class BatcherCounts:
    """What a batcher has done, and what waits.

    Attributes:
        waiting: patches in the queue now.
        most_waiting: at any time so far.
        blocked: threads that wait for room in the queue.
        sessions: studies that use it now.
        patches: patches that were taken from the queue to be run.
        batches: batches they went in.
        fitting: patches that would have fitted into those batches.
        refused: patches refused (not finite, wrong shape), before or after they ran.
        failed: patches that came to nothing for another reason.
        degraded: patches run in each degraded way, by the notice's code.
    """

    waiting: int
    most_waiting: int
    blocked: int
    sessions: int
    patches: int
    batches: int
    fitting: int
    refused: int
    failed: int
    degraded: dict[str, int]


class Batcher:
    """A loaded network and the threads that run batches on it.

    Args:
        runtime: the network; closing the batcher leaves it open.
        options: see there.
        device: the device's room, one place for each batch on it at the same time; batchers
            of one device share it. None: a room of one place.
        cpu: the CPU's room, for the fallback. None: a room of one place.
        split: how a patch may be cut when memory is short; None: never.
        fallback: loads the same network on the CPU at the first need; None: there is none.
        make_room: frees device memory that is held and not used; False: there was none.
    """

    def __init__(
        self,
        runtime: Runtime,
        options: BatcherOptions | None = None,
        *,
        device: Room | None = None,
        cpu: Room | None = None,
        split: Split | None = None,
        fallback: Callable[[], Runtime] | None = None,
        make_room: Callable[[], bool] | None = None,
    ) -> None:
        self.runtime = runtime
        self.options = options or BatcherOptions()
        self._device = device or Room(1, self.options.patience)
        self._cpu = cpu or Room(1, self.options.patience)
        self._ladder = Ladder(
            runtime,
            maximum_batch=self.options.maximum_batch,
            batch_voxels=self.options.batch_voxels,
            split=split,
            fallback=fallback,
            make_room=make_room,
            patience=self.options.grow_after,
        )
        self._room = Room(self.options.most_waiting_bytes, self.options.patience)
        # So much of the room that most_waiting patches fit, and not one more.
        self._least_cost = self._room.capacity // (self.options.most_waiting + 1) + 1
        self._queue = FairQueue(self.options.patience)
        self._changed = threading.Condition()
        self._collecting = threading.Lock()
        self._ahead = 0  # batches collected that are not yet on the device
        self._sessions: dict[Lane, Session] = {}
        self._axes: tuple[int, int] | None = None  # channels and axes, once a patch has run
        self._closed = False
        self._tally: Counter[str] = Counter()
        self._degraded: Counter[str] = Counter()
        self._workers: list[threading.Thread] = []
        self._unwatch = self._device.watch(self._look_again)

    @property
    def closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self._closed

    @property
    def counts(self) -> BatcherCounts:
        """What was done so far."""
        blocked = self._room.waiting
        with self._changed:
            tally = self._tally
            return BatcherCounts(
                waiting=len(self._queue),
                most_waiting=tally["most waiting"],
                blocked=blocked,
                sessions=len(self._sessions),
                patches=tally["patches"],
                batches=tally["batches"],
                fitting=tally["fitting"],
                refused=tally["refused"],
                failed=tally["failed"],
                degraded=dict(self._degraded),
            )

    def session(self, study: str, urgent: bool = False, *, shadow: bool = False) -> Session:
        """A way in for one study.

        Args:
            study: for messages.
            urgent: its patches go first.
            shadow: its patches go last (a model that runs without reporting).

        Raises:
            SessionClosed: the batcher is closed.
        """
        session = Session(self, Lane(study, Priority.of(urgent, shadow)))
        with self._changed:
            if self._closed:
                raise SessionClosed(f"{self.runtime.name}: nothing more is taken")
            self._sessions[session.lane] = session
            if not self._workers:
                self._start()
        return session

    def put(self, session: Session, patch: PatchInput) -> Future[PatchOutputs]:
        """See :meth:`Session.submit`."""
        future: Future[PatchOutputs] = Future()
        lane = session.lane
        try:
            values = checked(patch)
            if self._axes is not None and (values.shape[0], values.ndim) != self._axes:
                channels, axes = self._axes
                raise PatchRefused(
                    f"{self.runtime.name} takes {channels} channel(s) and {axes - 1} spatial "
                    f"axes; this patch has shape {values.shape}"
                )
            if lane not in self._sessions:
                raise SessionClosed(f"study {session.study}: its session is closed")
            cost = max(values.nbytes, self._least_cost)
            self._room.acquire(cost, lane.priority, owner=lane)
        except ModelError as error:
            self._count_error(error)
            future.set_exception(error)
            return future
        waiting = Waiting(lane, values, cost, time.monotonic(), future)
        with self._changed:
            if lane in self._sessions:
                alike = self._queue.put(waiting)
                total = len(self._queue)
                self._tally["most waiting"] = max(self._tally["most waiting"], total)
                # Others need not wake: nobody collects yet, or the batch is still not full.
                if total == 1 or alike >= self._ladder.limit(values.shape):
                    self._changed.notify()
                return future
        self._drop([waiting], f"study {session.study}: its session is closed")
        return future

    def leave(self, session: Session) -> None:
        """See :meth:`Session.close`."""
        with self._changed:
            if self._sessions.pop(session.lane, None) is None:
                return
            dropped = self._queue.drop(session.lane)
        self._room.turn_away(session.lane)
        self._drop(dropped, f"study {session.study} was given up while the patch waited")

    def stop(self) -> None:
        """Take nothing more: patches that wait fail with ``SessionClosed``, those that run end."""
        with self._changed:
            self._closed = True
            self._sessions.clear()
            dropped = self._queue.drop_all()
            self._changed.notify_all()
        self._room.close()
        self._device.turn_away(self)
        self._cpu.turn_away(self)
        self._drop(dropped, "the engine was stopped while the patch waited")

    def close(self, timeout_s: float = 60.0) -> bool:
        """:meth:`stop`, and wait until the threads have ended.

        Returns:
            Whether every thread ended in that time; if not, the runtime is still in use.
        """
        self.stop()
        self._unwatch()
        end = time.monotonic() + timeout_s
        for worker in self._workers:
            worker.join(max(0.0, end - time.monotonic()))
        ended = not any(worker.is_alive() for worker in self._workers)
        if ended:
            self._ladder.give_back()
        else:
            log.error("%s: still runs a batch after %.0f s", self.runtime.name, timeout_s)
        return ended

    def _start(self) -> None:
        for n in range(self._device.capacity + 1):
            name = f"batcher {n} of {self.runtime.name}"
            self._workers.append(threading.Thread(target=self._work, name=name, daemon=True))
        for worker in self._workers:
            worker.start()

    def _drop(self, patches: Sequence[Waiting], why: str) -> None:
        if patches:
            self._room.release(sum(patch.cost for patch in patches))
        for patch in patches:
            if patch.future.set_running_or_notify_cancel():
                patch.future.set_exception(SessionClosed(why))

    def _look_again(self) -> None:
        with self._changed:
            self._changed.notify()

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            # Only a mistake in collecting gets here early; nobody may wait for a dead thread.
            self.stop()

    def _serve(self) -> None:
        stage = Stage()
        while (batch := self._collect()) is not None:
            if not batch:  # nothing came for long
                stage.clear()
                self._ladder.give_back()
                continue
            try:
                self._run(batch, stage)
            except BaseException as error:  # the boundary: this thread goes on
                log.exception("%s: a batch came to nothing", self.runtime.name)
                for patch in batch:
                    with suppress(InvalidStateError):
                        patch.future.set_exception(InferenceFailed(f"{self.runtime.name}: {error}"))
            batch.clear()  # or its arrays stay until the next one comes

    def _collect(self) -> list[Waiting] | None:
        """The next batch; none of it is waiting any more. Empty: idle. None: closed."""
        with self._collecting, self._changed:
            while not self._closed:
                head = self._queue.head()
                if head is None:
                    if not self._changed.wait(IDLE_S):
                        return []
                    continue
                shape = head.values.shape
                most = self._ladder.limit(shape)
                free = self._device.free > self._ahead
                left = head.arrived + self.options.maximum_wait_s - time.monotonic()
                if self._queue.count(shape) < most and (not free or left > 0):
                    self._changed.wait(left if free else None)
                    continue
                batch = self._queue.take(most)
                self._ahead += 1
                self._tally["patches"] += len(batch)
                self._tally["batches"] += 1
                self._tally["fitting"] += most
                return batch
            return None

    def _run(self, batch: list[Waiting], stage: Stage) -> None:
        priority = min(patch.lane.priority for patch in batch)
        ahead = True

        def settle() -> None:
            """The batch doesn't wait for the device any more."""
            nonlocal ahead
            if ahead:
                ahead = False
                with self._changed:
                    self._ahead -= 1
                    self._changed.notify()

        @contextmanager
        def turn(on_cpu: bool) -> Iterator[None]:
            if on_cpu:
                settle()
            with (self._cpu if on_cpu else self._device).place(1, priority, owner=self):
                settle()
                yield

        try:
            self._room.release(sum(patch.cost for patch in batch))
            live = [patch for patch in batch if patch.future.set_running_or_notify_cancel()]
            outcomes = self._ladder.run([patch.values for patch in live], turn, stage)
        finally:
            settle()
        for patch, outcome in zip(live, outcomes, strict=True):
            self._hand_over(patch, outcome)

    def _hand_over(self, patch: Waiting, outcome: Outcome) -> None:
        if outcome.how is not None:
            with self._changed:
                self._degraded[outcome.how.value] += 1
                session = self._sessions.get(patch.lane)
            if session is not None:
                session.note(outcome.how)
        if isinstance(outcome.result, ModelError):
            self._count_error(outcome.result)
            patch.future.set_exception(outcome.result)
        else:
            self._axes = (patch.values.shape[0], patch.values.ndim)
            patch.future.set_result(outcome.result)

    def _count_error(self, error: ModelError) -> None:
        if not isinstance(error, SessionClosed):
            with self._changed:
                self._tally["refused" if isinstance(error, PatchRefused) else "failed"] += 1
