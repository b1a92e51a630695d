"""How much of a shape a device takes at a time: down at once when memory fails, up with care."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from imaging.notices import Notice, notice

MOST_PATIENCE = 1024
"""Forward passes; a device that keeps failing is tried again at least this often."""


class Degradation(StrEnum):
    """What was done for want of device memory; the value is the notice's code."""

    BATCH = "device-memory-batch"
    """Smaller batches; nothing but the speed changes."""
    PATCH = "device-memory-patch"
    """Patches cut in two (or more) with an overlap, and joined again."""
    CPU = "device-memory-cpu"
    """The network ran on the CPU."""

    @property
    def notice(self) -> Notice:
        """How a result says so."""
        return notice(self.value)


@dataclass(frozen=True)
class Rung:
    """Where on the ladder a shape stands.

    Args:
        batch: patches a forward pass.
        cuts: how many times a patch is halved before it runs.
        cpu: it runs on the CPU instead.
    """

    batch: int
    cuts: int = 0
    cpu: bool = False


class Rungs:
    """The ladder of one shape. Not locked.

    Rungs from the top: ``maximum`` patches a batch, half as many, ..., one; the patch halved
    once, ..., ``cuts`` times; the CPU. Down as far as a failure says. Up by one (the batch by
    one patch) after ``patience`` good forward passes at the present rung; every failure
    doubles the patience, so that a device which stays short isn't tried all the time.

    Args:
        maximum: patches a batch at the top.
        cuts: how many times the shape can be halved; 0: never.
        cpu: whether there is a CPU to fall back on.
        patience: good forward passes before the first step up.
    """

    def __init__(self, maximum: int, cuts: int, cpu: bool, patience: int) -> None:
        self._maximum = maximum
        self._cuts = cuts
        self._has_cpu = cpu
        self._patience = patience
        self._good = 0
        self.now = Rung(maximum)

    @property
    def degradation(self) -> Degradation | None:
        """What the present rung is called; None at the top."""
        if self.now.cpu:
            return Degradation.CPU
        if self.now.cuts:
            return Degradation.PATCH
        return Degradation.BATCH if self.now.batch < self._maximum else None

    def failed(self, rung: Rung, patches: int) -> bool:
        """Memory was short for ``patches`` at ``rung``; False: there is nothing below it.

        Several threads may report one shortage: only the first moves the present rung.
        """
        lower = self._below(rung, patches)
        if lower is None:
            return False
        if _depth(lower) > _depth(self.now):
            self.now = lower
            self._good = 0
            self._patience = min(MOST_PATIENCE, 2 * self._patience)
        return True

    def succeeded(self, rung: Rung, patches: int) -> None:
        """A forward pass at ``rung`` with ``patches`` went well."""
        if rung != self.now or patches < rung.batch or self.degradation is None:
            return
        self._good += 1
        if self._good >= self._patience:
            self._good = 0
            self.now = self._above(rung)

    def _below(self, rung: Rung, patches: int) -> Rung | None:
        if rung.cpu:
            return None
        if not rung.cuts and patches > 1:
            return Rung(patches // 2)
        if rung.cuts < self._cuts:
            return Rung(1, rung.cuts + 1)
        return Rung(1, cpu=True) if self._has_cpu else None

    def _above(self, rung: Rung) -> Rung:
        if rung.cpu:
            return Rung(1, self._cuts)
        if rung.cuts:
            return Rung(1, rung.cuts - 1)
        return Rung(rung.batch + 1)


def _depth(rung: Rung) -> tuple[bool, int, int]:
    return rung.cpu, rung.cuts, -rung.batch
