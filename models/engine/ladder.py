"""Running a batch come what may: short memory, a poisoned patch, a runtime that raises.

The batcher decides which patches go together; here they run, and each gets outputs or an
error of its own.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.engine.fair_queue import Shape
from models.engine.poison import check_count, finite_or_refused
from models.engine.rungs import Degradation, Rung, Rungs
from models.errors import (
    EndpointFailed,
    InferenceFailed,
    ModelError,
    OutOfMemory,
    SessionClosed,
)
from models.runner import PatchInput, PatchOutputs
from models.runtime import Batch, Outputs, Runtime
from models.splitting import Split, most_cuts, run_split

log = logging.getLogger(__name__)

SHAPES_KEPT = 64
"""Shapes whose shortage is remembered; plain networks see a new shape with every study."""

Turn = Callable[[bool], AbstractContextManager[None]]
"""Waits for the device (False) or the CPU (True); it is held for as long as the block runs."""


@dataclass(frozen=True)
class Outcome:
    """What became of one patch.

    Attributes:
        result: its outputs, or why there are none.
        how: what was done for want of memory.
    """

    result: PatchOutputs | ModelError
    how: Degradation | None = None


class Stage:
    """Memory in which batches are put together, one after another; one to a thread."""

    def __init__(self) -> None:
        self._flat: NDArray[np.float32] = np.empty(0, np.float32)

    def stack(self, patches: Sequence[PatchInput]) -> Batch:
        """(n, c, *spatial); good until the next call. A single patch is not copied."""
        if len(patches) == 1:
            return patches[0][np.newaxis]
        size = len(patches) * patches[0].size
        if self._flat.size < size:
            self._flat = np.empty(size, np.float32)
        batch = self._flat[:size].reshape(len(patches), *patches[0].shape)
        np.stack(patches, out=batch)
        return batch

    def clear(self) -> None:
        """Give the memory back."""
        self._flat = np.empty(0, np.float32)


class Ladder:
    """A runtime that several threads run batches on, with a way down when memory is short.

    Args:
        runtime: what runs them.
        maximum_batch: patches a forward pass, at most.
        batch_voxels: spatial voxels a forward pass, at most (one patch may be larger); 0: any.
        split: how a patch may be cut; None: never (the network takes one size only).
        fallback: loads the same network on the CPU, at the first need; None: there is none.
        make_room: frees device memory that others hold and don't use; False: there was none.
        patience: good forward passes on a lower rung before a higher one is tried.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        maximum_batch: int,
        batch_voxels: int = 0,
        split: Split | None = None,
        fallback: Callable[[], Runtime] | None = None,
        make_room: Callable[[], bool] | None = None,
        patience: int = 32,
    ) -> None:
        self._runtime = runtime
        self._maximum = maximum_batch
        self._voxels = batch_voxels
        self._split = split
        self._load_fallback = fallback
        self._make_room = make_room or (lambda: False)
        self._patience = patience
        self._lock = threading.Lock()
        self._rungs: OrderedDict[Shape, Rungs] = OrderedDict()
        self._cpu = threading.Lock()
        self._fallback: Runtime | None = None

    def limit(self, shape: Shape) -> int:
        """How many patches of a shape a batch may hold now."""
        with self._lock:
            rungs = self._rungs.get(shape)
            return rungs.now.batch if rungs else self._most(shape)

    @property
    def fallback_loaded(self) -> bool:
        """Whether the network is held on the CPU, too."""
        return self._fallback is not None

    def run(self, patches: Sequence[PatchInput], turn: Turn, stage: Stage) -> list[Outcome]:
        """Run patches of one shape; one outcome each, in their order. Raises nothing.

        Args:
            patches: (c, *spatial) float32, all of one shape.
            turn: held around each forward pass.
            stage: the calling thread's own.
        """
        outcomes: list[Outcome] = []
        waiting = deque(patches)
        asked: Rung | None = None
        while waiting:
            rungs, rung, how = self._rung(patches[0].shape)
            part = [waiting.popleft() for _ in range(min(len(waiting), rung.batch))]
            if how is Degradation.BATCH and len(part) < rung.batch:
                how = None  # there was no more to run
            try:
                outputs = self._forward(part, rung, turn, stage)
                check_count(outputs, len(part), self._runtime.name)
            except OutOfMemory as error:
                waiting.extendleft(reversed(part))
                if not rung.cpu and rung != asked:  # once at each rung
                    asked = rung
                    if self._make_room():
                        continue
                if not self._down(rungs, rung, len(part), error):
                    outcomes.append(Outcome(error, how))
                    waiting.popleft()
                continue
            except (EndpointFailed, SessionClosed) as error:
                # Says nothing of the patches; asking for each of them would only take longer.
                outcomes += [Outcome(error, how)] * len(part)
                continue
            except ModelError as error:
                if len(part) == 1:
                    outcomes.append(Outcome(error, how))
                    continue
                log.warning("%s: a batch of %d failed: %s", self._runtime.name, len(part), error)
                for patch in part:  # only the guilty one fails
                    outcomes += self.run([patch], turn, stage)
                continue
            with self._lock:
                rungs.succeeded(rung, len(part))
            results = finite_or_refused(outputs, len(part), self._runtime.name)
            outcomes += [Outcome(result, how) for result in results]
        if self._fallback is not None and not self._on_cpu():
            self.give_back()
        return outcomes

    def give_back(self) -> None:
        """Unload the CPU's copy of the network; the next need loads it again."""
        with self._cpu:
            if self._fallback is not None:
                log.info("%s is no longer needed", self._fallback.name)
                self._fallback.close()
                self._fallback = None

    def _most(self, shape: Shape) -> int:
        if not self._voxels:
            return self._maximum
        return max(1, min(self._maximum, self._voxels // math.prod(shape[1:])))

    def _on_cpu(self) -> bool:
        with self._lock:
            return any(rungs.now.cpu for rungs in self._rungs.values())

    def _rung(self, shape: Shape) -> tuple[Rungs, Rung, Degradation | None]:
        with self._lock:
            rungs = self._rungs.get(shape)
            if rungs is None:
                rungs = self._new(shape)
            else:
                self._rungs.move_to_end(shape)
            return rungs, rungs.now, rungs.degradation

    def _new(self, shape: Shape) -> Rungs:
        cuts = most_cuts(shape, self._split)
        rungs = Rungs(self._most(shape), cuts, self._load_fallback is not None, self._patience)
        self._rungs[shape] = rungs
        if len(self._rungs) > SHAPES_KEPT:
            self._rungs.popitem(last=False)
        return rungs

    def _down(self, rungs: Rungs, rung: Rung, patches: int, error: OutOfMemory) -> bool:
        with self._lock:
            moved = rungs.failed(rung, patches)
            now = rungs.now
        where = f"a batch of {patches}" if patches > 1 else "one patch"
        if moved:
            log.warning("%s: no memory for %s, now %s: %s", self._runtime.name, where, now, error)
        else:
            log.error("%s: no memory for %s, nothing left: %s", self._runtime.name, where, error)
        return moved

    def _forward(self, part: Sequence[PatchInput], rung: Rung, turn: Turn, stage: Stage) -> Outputs:
        """One forward pass at a rung; whatever goes wrong is a ModelError."""
        try:
            batch = part[0][np.newaxis] if rung.cpu or rung.cuts else stage.stack(part)
            if rung.cpu:
                with turn(True), self._cpu:
                    outputs = self._cpu_runtime().run(batch)
            elif rung.cuts and self._split is not None:
                return run_split(part[0], self._split, rung.cuts, lambda b: self._run(b, turn))
            else:
                outputs = self._run(batch, turn)
            # A network that passes its input through may give that very memory.
            return tuple(o.copy() if np.may_share_memory(o, batch) else o for o in outputs)
        except ModelError:
            raise
        except MemoryError as error:
            raise OutOfMemory(f"{self._runtime.name}: no host memory: {error}") from error
        except BaseException as error:  # the boundary: a runtime may raise anything
            raise InferenceFailed(
                f"{self._runtime.name}: {type(error).__name__}: {error}"
            ) from error

    def _run(self, batch: Batch, turn: Turn) -> Outputs:
        with turn(False):
            return self._runtime.run(batch)

    def _cpu_runtime(self) -> Runtime:
        """The network on the CPU; ``_cpu`` is held."""
        if self._fallback is None:
            assert self._load_fallback is not None
            try:
                self._fallback = self._load_fallback()
            except ModelError as error:
                raise InferenceFailed(
                    f"{self._runtime.name}: no memory, and no CPU to fall back on: {error}"
                ) from error
            log.warning("%s: falls back on %s", self._runtime.name, self._fallback.name)
        return self._fallback
