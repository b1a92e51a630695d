"""Which models read, and on what."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from models.runtime.source import Precision, RuntimeName
from pacs_bridge.sections.base import Section


class ModelSettings(Section):
    """Which models read."""

    enabled: tuple[str, ...] = Field(
        default=("lung_nodule_reference",),
        description="model names, see `preread models`; the "
        "first that takes a series of a study decides which series the report stands on, the "
        "others read that series too if they take it, and are named in the report if they don't",
    )
    shadow: tuple[str, ...] = Field(
        default=(), description="models that run too, but whose findings are not reported"
    )
    research: tuple[str, ...] = Field(
        default=(),
        description="enabled models whose research maps are shown: places to look at, of research "
        "grade, no finding, no probability; e.g. pancreas_reference",
    )
    folder: str = Field(
        default="",
        description="where `preread models add` and `pull` put models; "
        "empty: models inside storage.folder",
    )
    folders: tuple[Path, ...] = Field(
        default=(), description="more folders with models beside that one and the catalogue"
    )
    runtime: RuntimeName = Field(
        default="auto",
        description="onnx, openvino, torch or triton; auto: what the model prefers, "
        "else the best that is installed",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:\d+)?)$",
        description="cpu, cuda or cuda:0; auto: every GPU that can be used, else the CPU",
    )
    precision: Literal["auto", Precision] = Field(
        default="auto",
        description="fp32, bf16, fp16 or int8 (a reduced one must have passed `preread models "
        "evaluate`); auto: what the model says",
    )
    threads: int = Field(default=0, ge=0, description="CPU threads for inference; 0: all cores")
    studies_at_once: int = Field(
        default=2,
        ge=1,
        description="studies analysed at the same time by each worker (one worker "
        "process a GPU, or one for the CPU); they share batches",
    )
    study_timeout_s: float = Field(
        default=3600.0,
        gt=0,
        description="an analysis that takes longer hangs: its worker is "
        "ended and started anew, and the study tried once more",
    )
    batch_wait_ms: float = Field(
        default=5.0, ge=0, description="longest that a patch waits for others to fill its batch"
    )
    memory_gb: float = Field(
        default=0.0,
        ge=0,
        description="what warm models and waiting patches may take together; "
        "0: half of this machine's memory",
    )

    @model_validator(mode="after")
    def _one_role_each(self) -> Self:
        both = sorted(set(self.enabled) & set(self.shadow))
        if both:
            raise ValueError(f"{', '.join(both)}: in enabled and in shadow; a model is in one")
        unknown = [name for name in self.research if name not in self.enabled]
        if unknown:
            raise ValueError(
                f"research: {', '.join(unknown)}: not among the enabled models "
                f"({', '.join(self.enabled) or 'none'}); enable it, or take it out of research"
            )
        return self
