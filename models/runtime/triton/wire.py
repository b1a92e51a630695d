"""What is asked of a Triton server and what it answers, whatever carries it.

The protocol is KServe's open inference protocol, version 2, with Triton's extensions for
binary tensors and system shared memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from models.runtime import Batch

Shape = tuple[int, ...]


class Trouble(StrEnum):
    """How a request can go wrong."""

    UNREACHED = "unreached"
    """No connection, or it broke: asking again may help at once."""
    LATE = "late"
    """No whole answer in time."""
    REFUSED = "refused"
    """The server said no, and why."""
    GARBLED = "garbled"
    """The answer is not what the protocol says."""


class WireError(Exception):
    """A request to the server failed."""

    def __init__(self, trouble: Trouble, words: str) -> None:
        super().__init__(words)
        self.trouble = trouble


@dataclass(frozen=True)
class Port:
    """An input or output: -1 in the shape stands for any size."""

    name: str
    kind: str
    """``FP32`` and so on"""
    shape: Shape


@dataclass(frozen=True)
class Description:
    """What the server says of a model. ``maximum_batch`` 0: the batch is in the shapes."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    maximum_batch: int


@dataclass(frozen=True)
class Place:
    """Where in a shared-memory region a tensor lies, bytes."""

    region: str
    size: int
    offset: int = 0


@dataclass(frozen=True)
class Request:
    """One inference. With ``places`` the input lies in shared memory, and outputs go there."""

    input: str
    batch: Batch
    outputs: tuple[str, ...]
    places: Mapping[str, Place] | None = None


@dataclass(frozen=True)
class Answer:
    """One output. ``data`` is flat; None: it lies in shared memory."""

    port: Port
    data: np.ndarray | None


class Wire(Protocol):
    """A connection to one model of one server. Threads may share it.

    Every method takes the seconds that are left for it and raises :class:`WireError`.
    """

    def describe(self, seconds: float) -> Description:
        """The model's inputs and outputs; refused if it is unknown or not ready."""

    def infer(self, request: Request, seconds: float) -> list[Answer]:
        """Run the model."""

    def register(self, region: str, size: int, seconds: float) -> None:
        """Let the server map a region of shared memory."""

    def unregister(self, region: str, seconds: float) -> None:
        """Let it go again."""

    def regions(self, seconds: float) -> list[str]:
        """The regions that the server has mapped, whoever registered them."""

    def close(self) -> None:
        """Close the connections."""
