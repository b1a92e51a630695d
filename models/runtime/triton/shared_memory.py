"""System shared memory through which tensors reach a Triton server on the same machine."""

from __future__ import annotations

import errno
import logging
import math
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np

from models.runtime import Batch
from models.runtime.triton.wire import Place, Shape, Wire, WireError

log = logging.getLogger(__name__)

_MOUNT = Path("/dev/shm")
_PREFIX = "preread-"
_ALIGNED = 64
_BYTES = 4
"""of a float32"""


class Slot:
    """One region, for one request at a time: the input, behind it the outputs.

    It grows with what is asked of it. A process that is killed leaves none behind: Python's
    resource tracker outlives it and unlinks them.

    Args:
        wire: where the region is registered.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._memory: SharedMemory | None = None
        self._registered = False

    def lay_out(
        self, name: str, batch: Batch, outputs: Mapping[str, Shape], seconds: float
    ) -> dict[str, Place]:
        """Put the batch into the region, and say where everything lies.

        Raises:
            OSError: the machine has no room for the region.
            WireError: the server can't map it.
        """
        sizes = {name: batch.nbytes} | {
            output: math.prod(shape) * _BYTES for output, shape in outputs.items()
        }
        places, end = {}, 0
        for each, size in sizes.items():
            places[each] = (end, size)
            end += -(-size // _ALIGNED) * _ALIGNED
        if self._memory is None or self._memory.size < end:
            self.close(seconds)
            self._memory = _allocated(end)
        if not self._registered:
            self._wire.register(self._memory.name, self._memory.size, seconds)
            self._registered = True
        region = self._memory.name
        found = {each: Place(region, size, at) for each, (at, size) in places.items()}
        self._view(found[name], batch.shape)[...] = batch
        return found

    def take(self, place: Place, shape: Shape) -> np.ndarray:
        """A copy of an output."""
        return self._view(place, shape).copy()

    def forget(self) -> None:
        """The server doesn't know the region any more (it was restarted)."""
        self._registered = False

    def close(self, seconds: float) -> None:
        """Unregister the region and give its memory back."""
        if self._memory is None:
            return
        if self._registered:
            try:
                self._wire.unregister(self._memory.name, seconds)
            except WireError as error:  # a server that is gone holds nothing
                log.debug("region %s: %s", self._memory.name, error)
        self._registered = False
        self._memory.close()
        with suppress(FileNotFoundError):
            self._memory.unlink()
        self._memory = None

    def _view(self, place: Place, shape: Shape) -> np.ndarray:
        assert self._memory is not None
        return np.ndarray(shape, np.float32, self._memory.buf, place.offset)


def drop_orphans(wire: Wire, seconds: float) -> None:
    """Let the server go of regions whose process was killed; it would keep their memory.

    For a server that sees the same shared memory as this process.

    Raises:
        WireError: the server doesn't answer.
    """
    for region in wire.regions(seconds):
        if region.startswith(_PREFIX) and not (_MOUNT / region).exists():
            log.info("region %s: its process is gone; unregistering it", region)
            try:
                wire.unregister(region, seconds)
            except WireError as error:  # somebody else was faster
                log.debug("region %s: %s", region, error)


def _allocated(size: int) -> SharedMemory:
    """A region that is really there: writing to one that isn't kills the process."""
    memory = SharedMemory(f"{_PREFIX}{os.getpid()}-{secrets.token_hex(4)}", create=True, size=size)
    try:
        handle = os.open(_MOUNT / memory.name, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, size)
        finally:
            os.close(handle)
    except OSError as error:
        memory.close()
        memory.unlink()
        if error.errno == errno.ENOSPC:
            raise OSError(
                error.errno, f"{_MOUNT} has no room for {size} bytes; make it larger "
                "(Docker: --shm-size), or set network.shared_memory to false",
            ) from error  # fmt: skip
        raise
    return memory
