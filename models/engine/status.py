"""What the engine reports of itself, as values that go over a wire as JSON."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from models.engine.footprint import MemoryState


class ModelState(StrEnum):
    """Where a model stands."""

    COLD = "cold"
    """Known, not loaded; the next study that needs it loads it."""
    LOADING = "loading"
    WARM = "warm"
    """Loaded and ready."""
    LEAVING = "leaving"
    """A version that was replaced or left; studies in flight finish on it."""
    FAILED = "failed"
    """It could not be loaded; the next study that needs it tries again."""


class _Status(BaseModel):
    model_config = ConfigDict(frozen=True)


class NetworkStatus(_Status):
    """One network of a model since it was loaded."""

    role: str
    runtime: str = Field(description="runtime and device as the runtime calls them")
    device: str
    studies: int = Field(description="that use it now")
    waiting: int = Field(description="patches in the queue")
    most_waiting: int = Field(description="patches in the queue, ever")
    patches: int = Field(description="taken to be run")
    batches: int
    fill: float | None = Field(description="mean filling of the batches, 0 to 1; None: no batch")
    refused: int = Field(description="patches not finite or of a wrong shape")
    failed: int = Field(description="patches that came to nothing otherwise")
    degraded: dict[str, int] = Field(description="patches run in each degraded way, by code")


class VersionStatus(_Status):
    """One version of a model."""

    version: str
    state: ModelState
    studies: int = Field(default=0, description="that use it now")
    networks: tuple[NetworkStatus, ...] = ()


class ModelStatus(_Status):
    """A model; ``versions`` has the present one first, then those that leave."""

    name: str
    versions: tuple[VersionStatus, ...]
    loads: int = Field(description="how often it was loaded")
    evictions: int = Field(description="how often it left because memory was short")
    failures: int = Field(description="how often it could not be loaded or replaced")
    failure: str = Field(default="", description="the last one's reason, until a load succeeds")


class EngineStatus(_Status):
    """The engine and its process."""

    models: tuple[ModelStatus, ...]
    process_bytes: int = Field(description="resident memory of this process")
    host: MemoryState | None = Field(description="the machine, or the container; None: not told")
    devices: dict[str, MemoryState] = Field(description="memory of each GPU in use")
    budget_bytes: int = Field(description="for studies in flight together")
    reserved_bytes: int = Field(description="of these")
    studies_waiting: int = Field(description="for memory")
