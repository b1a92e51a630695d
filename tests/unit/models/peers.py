"""Small networks for the batcher: a real one, and scripted ones that fail as devices do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from models.errors import OutOfMemory
from models.runtime import Batch, Outputs, Runtime
from models.runtime.source import OnnxFile, RuntimeOptions

WAIT_S = 10.0
"""Nothing here takes long; this only ends a test that would hang."""


class Doubler:
    """Twice the input. Keeps what it was given and never runs longer than it must."""

    name = "doubler cpu"
    device = "cuda:0"

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.closed = 0
        self._lock = threading.Lock()

    def run(self, batch: Batch) -> Outputs:
        assert not self.closed, "run after close"
        with self._lock:
            self.batches.append(batch.copy())
        return (2 * batch,)

    def close(self) -> None:
        self.closed += 1

    @property
    def firsts(self) -> list[list[float]]:
        """The first value of each patch, by batch: tests mark patches so."""
        return [[float(patch.flat[0]) for patch in batch] for batch in self.batches]


class Gated(Doubler):
    """Runs when the test lets it: ``begun`` is set while it works, ``go`` ends the work."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.go = threading.Event()
        self.at_once = self.most_at_once = 0

    def run(self, batch: Batch) -> Outputs:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        self.begun.set()
        assert self.go.wait(WAIT_S)
        outputs = super().run(batch)
        with self._lock:
            self.at_once -= 1
        return outputs


class Small:
    """A network on a device that has room for so many voxels at a time."""

    name = "small cuda:0"
    device = "cuda:0"

    def __init__(self, inner: Runtime, voxels: int) -> None:
        self._inner = inner
        self.voxels = voxels
        self.sizes: list[tuple[int, ...]] = []
        self.refused = 0

    def run(self, batch: Batch) -> Outputs:
        if batch.size > self.voxels:
            self.refused += 1
            raise OutOfMemory(f"{batch.size} voxels, room for {self.voxels}")
        self.sizes.append(batch.shape)
        return self._inner.run(batch)

    def close(self) -> None:
        self._inner.close()


def convolution(folder: Path) -> Runtime:
    """The contract suite's network on ONNX Runtime: a padded 3 x 3 x 3 convolution to two
    channels, then ReLU; its sides are multiples of 4."""
    from models.runtime.onnx import OnnxRuntime
    from tests.contract.runtime_suite import write_network

    path = folder / "tiny.onnx"
    if not path.exists():
        write_network(path)
    return OnnxRuntime(OnnxFile(path), RuntimeOptions(device="cpu", threads=1))


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.0005)


def marked(value: float, shape: tuple[int, ...] = (1, 2, 2, 2)) -> Batch:
    """A patch that can be told from others."""
    return np.full(shape, value, np.float32)


def result(future: Future[tuple[Batch, ...]]) -> Batch:
    """The first output of a patch."""
    return future.result(WAIT_S)[0]
