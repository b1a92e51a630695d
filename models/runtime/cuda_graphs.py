"""CUDA graphs: a forward pass recorded once for a shape and replayed.

A recorded pass starts all its kernels at once, which pays for networks of many small steps.
**Not yet run on a GPU by its authors**: it is an option (``cuda_graphs``) and off by default.
A shape whose recording fails is run as it always was.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.runtime.failures import in_short, means_no_memory

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

MOST_SHAPES = 4
"""Graphs kept; each holds memory for all that lies between its input and its output."""
WARM_UPS = 3
"""Passes before recording, so that cuDNN has chosen its algorithms."""

Forward = Callable[["Tensor"], tuple["Tensor", ...]]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class _Recorded:
    graph: Any
    image: Tensor
    outputs: tuple[Tensor, ...]


class CudaGraphs:
    """Recorded passes of one network by shape. One thread at a time.

    Args:
        forward: the pass; its memory comes from PyTorch alone, and it never waits for the GPU.
        where: the network's name, for the log.
    """

    def __init__(self, forward: Forward, where: str) -> None:
        self._forward = forward
        self._where = where
        self._recorded: OrderedDict[Shape, _Recorded] = OrderedDict()
        self._seen: set[Shape] = set()
        self._refused: set[Shape] = set()

    def run(self, image: Tensor) -> tuple[Tensor, ...]:
        """The pass over ``image``, on its device.

        The outputs are overwritten by the next run of this shape: copy them first.
        """
        shape = tuple(image.shape)
        if shape not in self._recorded:
            if shape in self._refused or shape not in self._seen:
                # A shape that comes once (the last batch of a study) isn't worth recording.
                self._seen.add(shape)
                return self._forward(image)
            try:
                self._recorded[shape] = self._record(image)
            except RuntimeError as error:
                self._refused.add(shape)
                if means_no_memory(error):
                    self._recorded.clear()
                log.warning("%s: no CUDA graph for %s: %s", self._where, shape, in_short(error))
                return self._forward(image)
            while len(self._recorded) > MOST_SHAPES:
                self._recorded.popitem(last=False)
        recorded = self._recorded[shape]
        self._recorded.move_to_end(shape)
        recorded.image.copy_(image)
        recorded.graph.replay()
        return recorded.outputs

    def _record(self, image: Tensor) -> _Recorded:
        import torch

        fixed = image.clone()  # keeps its layout
        aside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # untyped in PyTorch
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self._forward(fixed)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            outputs = self._forward(fixed)
        return _Recorded(graph, fixed, outputs)
