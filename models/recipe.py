"""How voxels become a network's input and its output becomes labels: one value.

A recipe is written in ``preread.toml`` (a plain ONNX or TorchScript file) or read out of a
MONAI bundle's inference config (``models.bundle``). Arrays are MONAI's: (c, x, y, z), with an
affine from (x, y, z, 1) to **RAS mm**. Each step names the MONAI transform it equals.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Spacing = tuple[float, float, float]
Patch = tuple[int, int, int]


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Orient(_Step):
    """Flip and permute the axes (``Orientation``)."""

    kind: Literal["orient"] = "orient"
    axes: str = Field(default="RAS", pattern="^[RLAPSI]{3}$")


class Space(_Step):
    """Resample to a spacing in mm along the axes as they stand (``Spacing``)."""

    kind: Literal["space"] = "space"
    spacing_mm: Spacing
    interpolation: Literal["linear", "nearest"] = "linear"


class Window(_Step):
    """Map [low, high] to [to_low, to_high] (``ScaleIntensityRange``); HU in."""

    kind: Literal["window"] = "window"
    low: float
    high: float
    to_low: float = 0.0
    to_high: float = 1.0
    clip: bool = True


class Normalise(_Step):
    """Subtract the mean, divide by the standard deviation (``NormalizeIntensity``)."""

    kind: Literal["normalise"] = "normalise"
    nonzero: bool = Field(default=False, description="over values that are not 0, and only them")
    channel_wise: bool = False
    mean: float | None = Field(default=None, description="instead of the image's own")
    deviation: float | None = None


class Rescale(_Step):
    """Map the image's own minimum and maximum to [low, high] (``ScaleIntensity``)."""

    kind: Literal["rescale"] = "rescale"
    low: float = 0.0
    high: float = 1.0
    channel_wise: bool = False


class CropForeground(_Step):
    """Crop to where any channel is above 0 (``CropForeground``)."""

    kind: Literal["crop-foreground"] = "crop-foreground"
    margin: int = Field(default=0, ge=0, description="voxels on each side")
    allow_smaller: bool = True


PrepareStep = Annotated[
    Orient | Space | Window | Normalise | Rescale | CropForeground, Field(discriminator="kind")
]


class Windows(_Step):
    """How the volume is cut and blended (``SlidingWindowInferer``)."""

    patch: Patch
    overlap: tuple[float, float, float] = (0.25, 0.25, 0.25)
    blend: Literal["constant", "gaussian"] = "constant"
    sigma_scale: float = 0.125
    padding: Literal["constant", "replicate", "reflect"] = "constant"
    fill: float = 0.0
    batch: int = Field(default=4, ge=1, description="patches a forward pass, at most")


class Finish(_Step):
    """From blended outputs to a label map on the source grid.

    ``activation``, then ``select`` before or after the way back to the source grid. Channels
    are independent where ``select`` is ``threshold``: ``merge`` lists (channel, label) in
    order of precedence. ``argmax`` gives the channel's number as the label. ``prompts`` gives
    the label that the greatest channel stands for, where that channel's logit is above 0
    (``VistaPostTransform``).
    """

    activation: Literal["none", "softmax", "sigmoid"] = "softmax"
    select: Literal["argmax", "threshold", "prompts"] = "argmax"
    prompts: tuple[int, ...] = Field(default=(), description="each channel's label")
    threshold: float = Field(default=0.5, ge=0, le=1)
    merge: tuple[tuple[int, int], ...] = ()
    invert: Literal["before-select", "after-select"] = "before-select"
    interpolation: Literal["linear", "nearest"] = "linear"

    @model_validator(mode="after")
    def _prompts_fit(self) -> Self:
        if (self.select == "prompts") != bool(self.prompts):
            raise ValueError('prompts name the channels\' labels where select is "prompts"')
        if self.prompts and (self.activation, self.invert) != ("none", "after-select"):
            raise ValueError('select = "prompts" needs activation "none", invert "after-select"')
        if any(label < 1 for label in self.prompts):
            raise ValueError("prompts are labels from 1 on; 0 is the background")
        return self


class Recipe(_Step):
    """The whole way of one network."""

    channels: int = Field(default=1, ge=1, description="series that are stacked as input")
    prepare: tuple[PrepareStep, ...]
    windows: Windows
    finish: Finish = Finish()
