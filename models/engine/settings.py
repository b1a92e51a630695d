"""How an engine works: how much it keeps, and how many batches run at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class EngineSettings:
    """How an engine works.

    Args:
        most_models: kept warm at the same time, unless more are in use.
        memory_bytes: what the process may take; 0: half of the machine. Above it the least
            recently used models leave. Studies in flight may reserve half of it.
        minimum_free_bytes: models leave, too, while the machine has less; 0: a twentieth.
        batch_wait_s: how long a patch waits for others to fill its batch.
        most_waiting: patches in a network's queue.
        most_waiting_bytes: likewise.
        patience: how often routine work is passed over by urgent work in a row.
        cpu_batches: batches on the CPU at the same time.
        gpu_batches: batches on a GPU, or at a server, at the same time: one crosses to the
            device or back while another is computed.
        cpu_batch_voxels: on the CPU larger batches gain nothing and take memory.

    Raises:
        ValueError: a number is too small.
    """

    most_models: int = 8
    memory_bytes: int = 0
    minimum_free_bytes: int = 0
    batch_wait_s: float = 0.005
    most_waiting: int = 32
    most_waiting_bytes: int = 512 * 2**20
    patience: int = 8
    cpu_batches: int = 1
    gpu_batches: int = 2
    cpu_batch_voxels: int = 64**3

    def __post_init__(self) -> None:
        counts = (self.most_models, self.patience, self.cpu_batches, self.gpu_batches)
        if min(counts) < 1 or min(self.memory_bytes, self.minimum_free_bytes) < 0:
            raise ValueError(f"{self}: numbers are at least 1, memory is not negative")
