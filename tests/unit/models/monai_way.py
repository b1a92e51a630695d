"""MONAI's own transforms and inferer for a recipe, on volumes of ours; and grids to try."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    Compose,
    CropForegroundd,
    Identityd,
    Invertd,
    MapTransform,
    NormalizeIntensityd,
    Orientationd,
    ScaleIntensityd,
    ScaleIntensityRanged,
    Spacingd,
)
from numpy.typing import NDArray

from imaging.geometry import Grid, Shape3
from imaging.volume import Volume
from models.recipe import (
    CropForeground,
    Finish,
    Normalise,
    Orient,
    PrepareStep,
    Rescale,
    Space,
    Window,
    Windows,
)
from models.runner import PatchInput, PatchOutputs
from models.runtime import Batch, Outputs
from models.voxels.frames import Image, image_of

AXES = {
    # direction of growing k, j and i in LPS
    "axial": ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "feet first": ((0, 0, -1), (0, 1, 0), (-1, 0, 0)),
    "coronal": ((0, 1, 0), (0, 0, -1), (1, 0, 0)),
    "sagittal": ((1, 0, 0), (0, 0, -1), (0, 1, 0)),
}


def grid(
    shape: Shape3 = (13, 22, 17),
    spacing: Sequence[float] = (2.5, 0.7, 0.8),
    axes: str = "axial",
    *,
    turn: float = 0.0,
    shear: float = 0.0,
) -> Grid:
    """A grid with its axes along the patient's, or turned by radians about x and then z.

    ``shear`` tilts the k axis towards j, as a tilted gantry does.
    """
    affine = np.eye(4)
    affine[:3, :3] = np.array(AXES[axes], np.float64).T @ np.diag(spacing)
    c, s = np.cos(turn), np.sin(turn)
    about_x = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    affine[:3, :3] = about_z @ about_x @ affine[:3, :3]
    affine[:3, 0] += shear * affine[:3, 1]
    affine[:3, 3] = (-31.7, 12.25, -250.5)
    return Grid(shape, affine)


def noise(where: Grid, seed: int = 0, *, rim: int = 0) -> Volume:
    """HU noise, int16; ``rim`` voxels of air around it."""
    hu = np.random.default_rng(seed).integers(-1000, 1000, where.shape).astype(np.int16)
    if rim:
        kept = hu[rim:-rim, rim:-rim, rim:-rim].copy()
        hu[...] = -1000
        hu[rim:-rim, rim:-rim, rim:-rim] = kept
    return Volume(hu, where)


def meta_tensor(image: Image) -> MetaTensor:
    voxels = np.ascontiguousarray(image.voxels, np.float32)
    return MetaTensor(torch.from_numpy(voxels.copy()), affine=torch.tensor(image.affine))


def transforms(steps: Sequence[PrepareStep]) -> Compose:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Compose([_transform(step) for step in steps])


def _transform(step: PrepareStep) -> MapTransform:
    key = "image"
    if isinstance(step, Orient):
        return Orientationd(key, axcodes=step.axes)
    if isinstance(step, Space):
        mode = "bilinear" if step.interpolation == "linear" else "nearest"
        return Spacingd(key, pixdim=step.spacing_mm, mode=mode)
    if isinstance(step, Window):
        return ScaleIntensityRanged(
            key, step.low, step.high, step.to_low, step.to_high, clip=step.clip
        )
    if isinstance(step, Normalise):
        return NormalizeIntensityd(
            key, step.mean, step.deviation, nonzero=step.nonzero, channel_wise=step.channel_wise
        )
    if isinstance(step, Rescale):
        return ScaleIntensityd(key, step.low, step.high, channel_wise=step.channel_wise)
    assert isinstance(step, CropForeground)
    return CropForegroundd(
        key, source_key=key, margin=step.margin, allow_smaller=step.allow_smaller
    )


class Prepared:
    """A recipe's steps by MONAI, and its way back."""

    def __init__(self, volumes: Sequence[Volume], steps: Sequence[PrepareStep]) -> None:
        self.compose = transforms(steps)
        self.image = self.compose({"image": meta_tensor(image_of(volumes))})["image"]

    def probabilities(self, logits: NDArray[np.float32], finish: Finish) -> NDArray[np.float32]:
        """(channels, k, j, i) on the source grid, interpolated."""
        return self._back(logits, finish, select=False)

    def labels(self, logits: NDArray[np.float32], finish: Finish) -> NDArray[np.int64]:
        """(k, j, i) on the source grid."""
        chosen = self._back(logits, finish, select=True)
        if finish.select == "argmax":
            return chosen[0].astype(np.int64)
        labels = np.zeros(chosen.shape[1:], np.int64)
        pairs = finish.merge or [(n, n + 1) for n in range(len(chosen))]
        for channel, label in reversed(pairs):
            labels[chosen[channel] > 0] = label
        return labels

    def _back(
        self, logits: NDArray[np.float32], finish: Finish, *, select: bool
    ) -> NDArray[np.float32]:
        key = "pred"
        activate = (
            Identityd(key)
            if finish.activation == "none"
            else Activationsd(
                key, sigmoid=finish.activation == "sigmoid", softmax=finish.activation == "softmax"
            )
        )
        nearest = finish.interpolation == "nearest" or finish.invert == "after-select"
        back = Invertd(key, self.compose, "image", nearest_interp=nearest, to_tensor=True)
        choose = AsDiscreted(
            key,
            argmax=finish.select == "argmax",
            threshold=finish.threshold if finish.select == "threshold" else None,
        )
        order = [activate, back] if not select else [activate, back, choose]
        if select and finish.invert == "after-select":
            order = [activate, choose, back]
        data = {"image": self.image, key: MetaTensor(torch.from_numpy(logits.copy()))}
        found = Compose(order)(data)[key].numpy()
        return np.asarray(found, np.float32).transpose(0, 3, 2, 1)


def inferer(windows: Windows, batch: int = 1) -> SlidingWindowInferer:
    return SlidingWindowInferer(
        windows.patch,
        batch,
        windows.overlap,
        mode=windows.blend,
        sigma_scale=windows.sigma_scale,
        padding_mode=windows.padding,
        cval=windows.fill,
    )


Network = Callable[[torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]]


class TorchRunner:
    """A runner for a torch function, one patch at a time."""

    name = "torch"
    device = "cpu"

    def __init__(self, network: Network) -> None:
        self._network = network

    def run(self, batch: Batch) -> Outputs:
        with torch.no_grad():
            outputs = self._network(torch.from_numpy(batch))
        each = outputs if isinstance(outputs, tuple) else (outputs,)
        return tuple(output.numpy() for output in each)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        future: Future[PatchOutputs] = Future()
        future.set_result(tuple(output[0] for output in self.run(patch[np.newaxis])))
        return future

    def close(self) -> None: ...
