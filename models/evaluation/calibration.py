"""Real patches of labelled cases, kept while the model runs over them, to calibrate int8."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import numpy as np
from numpy.typing import NDArray

from models.runner import PatchInput, PatchOutputs, Runner
from models.runtime import Batch, Outputs

MOST_PATCHES = 64
MOST_BYTES = 512 * 2**20


class Recorder:
    """A runner that keeps a fair sample of the patches that go through it.

    Every patch has the same chance to be kept (reservoir sampling, Vitter 1985), whatever
    their number; the same patches in the same order keep the same ones.

    Args:
        runner: what runs them.
        most_patches: patches kept, at most.
        most_bytes: likewise; one patch is kept in any case.
        seed: of the draw.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        most_patches: int = MOST_PATCHES,
        most_bytes: int = MOST_BYTES,
        seed: int = 1,
    ) -> None:
        self._runner = runner
        self._most_patches = most_patches
        self._most_bytes = most_bytes
        self._kept: list[NDArray[np.float32]] = []
        self._seen = 0
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The runner's."""
        return self._runner.name

    @property
    def device(self) -> str:
        """The runner's."""
        return self._runner.device

    @property
    def patches(self) -> Sequence[Batch]:
        """What was kept, each (1, c, *spatial)."""
        return [patch[np.newaxis] for patch in self._kept]

    def run(self, batch: Batch) -> Outputs:
        """The runner's; its patches are seen."""
        for patch in batch:
            self._see(patch)
        return self._runner.run(batch)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        """The runner's; the patch is seen."""
        self._see(patch)
        return self._runner.submit(patch)

    def close(self) -> None:
        """The runner's."""
        self._runner.close()

    def _see(self, patch: NDArray[np.float32]) -> None:
        most = max(1, min(self._most_patches, self._most_bytes // patch.nbytes))
        with self._lock:
            self._seen += 1
            if len(self._kept) < most:
                self._kept.append(np.array(patch, np.float32))
                return
            place = int(self._rng.integers(self._seen))
            if place < most:
                self._kept[place] = np.array(patch, np.float32)


def recorded(runners: Mapping[str, Runner]) -> dict[str, Recorder]:
    """A recorder around each runner."""
    return {role: Recorder(runner) for role, runner in runners.items()}
