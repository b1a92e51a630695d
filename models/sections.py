"""The sections of a ``preread.toml``; :mod:`models.spec` puts them together."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.finding import Code
from imaging.language import Text
from imaging.series import InputRule
from models.runtime.source import Precision, RuntimeName
from models.validated import Validated


class Section(BaseModel):
    """A table of ``preread.toml``: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OperatingPoint(Section):
    """Where the model's score becomes a finding."""

    score_threshold: float = Field(
        default=0.5, ge=0, le=1, description="least score that is a finding"
    )
    most_findings: int = Field(default=20, ge=1, description="the best ones are kept")
    mask_threshold: float = Field(default=0.5, gt=0, lt=1, description="probability of the mask")
    minimum_lung_ml: float = Field(
        default=500.0, ge=0, description="less lung in view is refused, ml (task lung-nodules)"
    )
    validated: Validated | None = Field(
        default=None,
        description="what an operator's validation showed; lets the model flag a study as urgent",
    )


class Label(Section):
    """What one value of the network's output means."""

    index: int = Field(default=1, ge=1, description="value in the label map, or the box's class+1")
    name: Text = Field(description="what one finding is called, e.g. Lung nodule")
    code: Code = Field(description="what it is (SNOMED CT or RadLex)")
    site: Code = Field(description="the organ it lies in")
    kind: Literal["lesion", "organ", "ignored"] = Field(
        default="lesion",
        description="lesion: each connected piece is a finding; organ: one structure, measured "
        "and segmented as a whole; ignored: not reported",
    )
    minimum_mm3: float = Field(default=0.0, ge=0, description="smaller pieces are left out, mm3")
    largest_only: bool = Field(default=False, description="keep the largest piece only")


class SeriesRole(Section):
    """One of several series that a network takes together, as one channel (MR)."""

    role: str = Field(description="its name, e.g. FLAIR; the order here is the channels' order")
    input: InputRule = Field(default_factory=InputRule)


class RegistrationSection(Section):
    """How several series of one patient are brought together before the network sees them."""

    method: Literal["none", "rigid"] = Field(
        default="none",
        description="none: positions stand as the headers say; rigid: every further series is "
        "laid over the first one, and what is left over is measured",
    )
    across_frames: bool = Field(
        default=False,
        description="take series of several frames of reference, where no single one has them "
        'all; needs method = "rigid"',
    )
    axial_mm: float = Field(
        default=0.0,
        ge=0,
        le=5,
        description="voxel size of the axial grid (to the left, the back, the head: as BraTS's "
        "files lie) that all are put on, mm; 0: the first series' own grid",
    )
    warned_mm: float = Field(
        default=1.5, gt=0, description="a series that stays farther off brings a warning, mm"
    )
    refused_mm: float = Field(
        default=3.0, gt=0, description="a series that stays farther off is refused, mm"
    )

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.across_frames and self.method != "rigid":
            raise ValueError(
                'registration.across_frames needs method = "rigid": positions of two frames of '
                "reference can't be compared"
            )
        if self.refused_mm < self.warned_mm:
            raise ValueError("registration.refused_mm must not lie below warned_mm")
        return self


class NetworkSection(Section):
    """Where the network is and in which form."""

    kind: Literal["onnx", "torchscript", "monai-bundle", "nnunet", "triton"] = "onnx"
    config: str = Field(
        default="configs/inference.json", description="the bundle's inference config"
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict,
        description="keys of a bundle's config to set, ids such as inferer#overlap; of an nnU-Net "
        "export: folds, checkpoint, tile_step_size, mirroring, trainer, orientation",
    )
    prompts: tuple[int, ...] = Field(
        default=(), description="class prompts (VISTA3D): label indices asked for"
    )
    fixed_patch: bool = Field(default=False, description="it takes no other size than its patch")
    url: str = Field(default="", description="of a Triton server: grpc://host:8001 or http://...")
    model: str = Field(default="", description="the model's name on the Triton server")
    shared_memory: bool = Field(default=False, description="Triton on this machine: no copies")
    timeout_s: float = Field(default=60.0, gt=0, description="a later answer is a failure")


class RuntimeSection(Section):
    """How it is run, where the site's settings leave it to the model."""

    prefer: RuntimeName = "auto"
    precision: Precision = "fp32"
    maximum_batch: int = Field(default=4, ge=1, description="patches a forward pass, at most")
    sensitivity_loss: float = Field(
        default=0.0, ge=0, le=1, description="gate of reduced precision: lesions lost, at most"
    )
    dice_loss: float = Field(
        default=0.005, ge=0, le=1, description="gate of reduced precision: mean Dice lost, at most"
    )
    false_findings_gain: float = Field(
        default=0.25,
        ge=0,
        description="gate of reduced precision: false findings a scan more, at most",
    )


class Origin(Section):
    """Where the weights come from, for `preread models pull`."""

    url: str = Field(default="", description="the bundle as a zip; empty: it came from a file")
    version: str
    sha1: str = Field(default="", description="of the zip, as the publisher's list gives it")
    licence: str = Field(description="SPDX name, or the publisher's")
    licence_note: Text | None = Field(default=None, description="what a site must know of it")
    non_commercial: bool = False
