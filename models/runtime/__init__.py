"""What runs a network; one file a runtime, its heavy import inside.

``Runtime.run(batch) -> outputs`` is all a runtime does: one forward pass of (n, c, *spatial)
float32 to a tuple of float32 arrays, one for each output of the network (a segmenter has one,
a detector has maps at several scales). ``source`` says what is loaded, ``choose`` which
runtime loads it; ``onnx``, ``openvino``, ``torch`` and ``triton`` are the runtimes.
"""

from __future__ import annotations

from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = Annotated[NDArray[np.float32], "n, c, *spatial"]
Outputs = tuple[Annotated[NDArray[np.float32], "n, channels, *spatial of that output"], ...]


class Runtime(Protocol):
    """A loaded network on a device. Threads may share it."""

    @property
    def name(self) -> str:
        """Which runtime on which device, e.g. ``onnxruntime CPUExecutionProvider``."""

    @property
    def device(self) -> str:
        """``cpu``, ``cuda:0``, or the address of a server."""

    def run(self, batch: Batch) -> Outputs:
        """One forward pass.

        Raises:
            OutOfMemory: the device had no room for it.
            InferenceFailed: it could not be run.
        """

    def close(self) -> None:
        """Give the memory back; ``run`` must not be called after."""


__all__ = ["Batch", "Outputs", "Runtime"]
