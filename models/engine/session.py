"""One study's way into a batcher."""

from __future__ import annotations

from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from models.engine.fair_queue import Lane
from models.engine.rungs import Degradation
from models.errors import PatchRefused
from models.runner import PatchInput, PatchOutputs
from models.runtime import Batch, Outputs, Runtime


class Shared(Protocol):
    """What a session needs of the batcher it belongs to."""

    @property
    def runtime(self) -> Runtime:
        """The network."""

    def put(self, session: Session, patch: PatchInput) -> Future[PatchOutputs]:
        """See :meth:`Session.submit`."""

    def leave(self, session: Session) -> None:
        """The session is closed; what waits of it is dropped."""


class Session:
    """A study's :class:`~models.runner.Runner`; made by a batcher. Threads may share it.

    Attributes:
        study: whose patches these are, for messages.
        lane: its line in the queue.
    """

    def __init__(self, batcher: Shared, lane: Lane) -> None:
        self._batcher = batcher
        self.study = lane.study
        self.lane = lane
        self._how: set[Degradation] = set()

    @property
    def name(self) -> str:
        """The runtime's."""
        return self._batcher.runtime.name

    @property
    def device(self) -> str:
        """The runtime's."""
        return self._batcher.runtime.device

    @property
    def degradations(self) -> tuple[Degradation, ...]:
        """What was done for want of memory while this study's patches ran."""
        return tuple(how for how in Degradation if how in self._how)

    def run(self, batch: Batch) -> Outputs:
        """Run patches that come as (n, c, *spatial), each as :meth:`submit` does.

        Raises:
            ModelError: the first patch's that failed.
        """
        if not isinstance(batch, np.ndarray) or batch.ndim < 1 or len(batch) == 0:
            raise PatchRefused("a batch is an array (n, c, *spatial) of at least one patch")
        futures: list[Future[PatchOutputs]] = []
        try:
            futures += (self.submit(patch) for patch in batch)
            results = [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()  # after a failure nobody waits for the others
        if len(results) == 1:
            return tuple(output[np.newaxis] for output in results[0])
        return tuple(np.stack(outputs) for outputs in zip(*results, strict=True))

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        """Run one patch (c, *spatial), together with others where that pays.

        The patch isn't copied: leave it as it is until the future is done. Blocks while the
        queue is full. The outputs may be views of a whole batch's, which stay in memory as
        long as one of them does.

        Returns:
            A future, which may fail with :class:`~models.errors.PatchRefused` (this patch will
            never run), :class:`~models.errors.SessionClosed` or another
            :class:`~models.errors.InferenceFailed` (retryable).
        """
        return self._batcher.put(self, patch)

    def note(self, how: Degradation) -> None:
        """Remember what the result must say."""
        self._how.add(how)

    def close(self) -> None:
        """Nothing more comes; patches that wait fail with ``SessionClosed``."""
        self._batcher.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
