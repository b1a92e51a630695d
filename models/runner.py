"""What a pipeline hands its patches to: a runtime of its own, or the batcher shared by studies.

A pipeline sees only :class:`Runner`. :class:`Direct` runs each patch at once, alone; the
batcher's sessions (:mod:`models.engine.batcher`) put patches of several studies into one batch.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelError
from models.runtime import Batch, Outputs, Runtime

PatchInput = Annotated[NDArray[np.float32], "c, *spatial"]
PatchOutputs = tuple[Annotated[NDArray[np.float32], "channels, *spatial of that output"], ...]


class Runner(Protocol):
    """Runs patches of one study. ``run`` is a runtime's own; ``submit`` doesn't wait."""

    @property
    def name(self) -> str:
        """Which runtime on which device."""

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:0``, or the address of a server."""

    def run(self, batch: Batch) -> Outputs:
        """One forward pass; see :class:`models.runtime.Runtime`."""

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        """Run one patch, together with others where that pays.

        Blocks while the queue is full. The future fails with a
        :class:`~models.errors.ModelError`.
        """

    def close(self) -> None:
        """Nothing more comes."""


class Direct:
    """A runtime as a runner: every patch runs at once, in the caller's thread."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @property
    def name(self) -> str:
        """The runtime's."""
        return self._runtime.name

    @property
    def device(self) -> str:
        """The runtime's."""
        return self._runtime.device

    def run(self, batch: Batch) -> Outputs:
        """The runtime's."""
        return self._runtime.run(batch)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        """See :class:`Runner`."""
        future: Future[PatchOutputs] = Future()
        try:
            future.set_result(tuple(each[0] for each in self._runtime.run(patch[np.newaxis])))
        except ModelError as error:
            future.set_exception(error)
        return future

    def close(self) -> None:
        """The runtime stays: others may use it."""
