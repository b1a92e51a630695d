"""What runs a network; one file a runtime, its heavy import inside.

``Runtime.run(batch) -> batch`` is all a runtime does. Arrays are float32, (n, c, k, j, i).
"""

from __future__ import annotations

from typing import Annotated, Protocol

import numpy as np
from numpy.typing import NDArray

Batch = Annotated[NDArray[np.float32], "n, c, k, j, i"]


class Runtime(Protocol):
    """A loaded network on a device."""

    @property
    def name(self) -> str:
        """Which runtime on which device, e.g. ``onnxruntime CPUExecutionProvider``."""

    def run(self, batch: Batch) -> Batch:
        """One forward pass.

        Raises:
            InferenceFailed: it could not be run.
        """


__all__ = ["Batch", "Runtime"]
