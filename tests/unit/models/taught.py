"""Networks made on the spot that know their labels by density: same shape, no training.

A published architecture gets weights drawn by lot that look at one voxel at a time (only the
middle of each kernel counts), and its last layer is fitted to one volume whose truth is known: a
regression on what the layer before gives. On that volume it then labels what it should, so that
everything around the network can be checked, geometry included. It knows nothing of patients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imaging.phantom_abdomen import AbdomenPhantom
from imaging.volume import Volume
from models.runner import PatchInput, PatchOutputs

Patch = NDArray[np.float32]
Run = Callable[[Volume, "Watcher"], object]
"""A model's own way from a volume to its patches."""

OTHERS_HU = 20
"""Whatever else there is is no denser."""
MARK_HU = 400


def painted(phantom: AbdomenPhantom, densities: Mapping[str, int]) -> Volume:
    """The phantom with a density of its own for each structure that a network is to know.

    Args:
        phantom: whose masks are true.
        densities: HU by mask, above :data:`OTHERS_HU`; a later one is painted over an earlier.
    """
    hu = np.minimum(phantom.volume.voxels, OTHERS_HU).astype(np.float32)
    for name, value in densities.items():
        hu[phantom.masks[name]] = value
    hu += np.random.default_rng(7).normal(0, 2, hu.shape)
    return Volume(hu.astype(np.int16), phantom.volume.grid, phantom.volume.sources)


def by_voxel(network: nn.Module, seed: int = 0, *, silent: str = "") -> nn.Module:
    """Draw weights of which only the middle of each kernel counts; norms get odd offsets.

    Modules whose names hold ``silent`` give nothing: what comes up from coarser grids blurs.
    """
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, module in network.named_modules():
            if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
                weight = module.weight
                fan = weight.shape[0 if isinstance(module, nn.ConvTranspose3d) else 1]
                middle = torch.randn(weight.shape[:2]) * (2 / fan) ** 0.5
                weight.zero_()
                if isinstance(module, nn.ConvTranspose3d):
                    weight += middle[..., None, None, None]
                else:
                    weight[(..., *(side // 2 for side in weight.shape[2:]))] = middle
                if module.bias is not None:
                    module.bias.zero_()
                if silent and silent in name:
                    module.weight.zero_()
            elif isinstance(module, nn.InstanceNorm3d) and module.bias is not None:
                module.weight.fill_(1.0)
                module.bias.normal_(0.0, 1.0)
    return network.eval()


class Watcher:
    """A runner that keeps the patches it is given and answers with nothing found.

    Args:
        channels: of the network's output.
    """

    name = "watcher"
    device = "cpu"

    def __init__(self, channels: int) -> None:
        self._channels = channels
        self.patches: list[Patch] = []

    def run(self, batch: NDArray[np.float32]) -> PatchOutputs:
        self.patches += list(batch.copy())
        return (np.zeros((len(batch), self._channels, *batch.shape[2:]), np.float32),)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        future: Future[PatchOutputs] = Future()
        future.set_result(tuple(each[0] for each in self.run(patch[np.newaxis])))
        return future

    def close(self) -> None: ...


def patches_of(
    volume: Volume, labels: Mapping[int, NDArray[np.bool_]], run: Run, channels: int
) -> tuple[Patch, NDArray[np.int64]]:
    """What the network is given of a volume, and the label of each voxel of it.

    Labels take the way of the voxels themselves: a volume whose labelled voxels are bright is
    prepared alike.
    """

    def given(voxels: NDArray[np.int16]) -> Patch:
        watcher = Watcher(channels)
        run(Volume(voxels, volume.grid), watcher)
        (patch,) = watcher.patches
        return patch

    image = given(volume.voxels)
    known = np.logical_or.reduce(list(labels.values()))
    base = np.where((volume.voxels > 0) | known, 5, -1000).astype(np.int16)
    plain = given(base)
    truth = np.zeros(image.shape[1:], np.int64)
    for index, mask in labels.items():
        more = given(np.where(mask, MARK_HU, base).astype(np.int16)) - plain
        truth[more[0] > more.max() / 2] = index
    return image, truth


def features_before(network: nn.Module, layer: nn.Module, patch: Patch) -> torch.Tensor:
    """What ``layer`` is given, (voxels, channels), when the network sees a patch."""
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(torch.from_numpy(patch)[None])
    hook.remove()
    (features,) = seen
    return features[0].flatten(1).T.clone()


def fitted(
    features: torch.Tensor,
    truth: NDArray[np.int64],
    classes: int,
    *,
    bias: bool = True,
    each: int = 1500,
) -> tuple[torch.Tensor, torch.Tensor]:
    """A linear map from features to the logits of classes 0 to ``classes`` - 1; weight and bias.

    Without ``bias`` the logit of class 0 is nothing, whatever the features.
    """
    draw = np.random.default_rng(0)
    flat = truth.reshape(-1)
    chosen = []
    for value in np.unique(flat):
        there = np.flatnonzero(flat == value)
        chosen.append(draw.choice(there, 40 * each if value == 0 else each))
    take = np.concatenate(chosen)
    known, wanted = features[take].double(), torch.from_numpy(flat[take])
    if bias:
        known = torch.cat([known, torch.ones(len(known), 1, dtype=known.dtype)], dim=1)
    # Features of a network that nobody trained are nearly the same; these are not.
    left, size, right = torch.linalg.svd(known, full_matrices=False)
    size, right = size[size > 1e-5 * size[0]], right[size > 1e-5 * size[0]]
    apart = left[:, : len(size)] * len(known) ** 0.5
    weight = torch.zeros(classes, len(size), dtype=known.dtype, requires_grad=True)
    counts = torch.ones(classes, 1, dtype=known.dtype)
    if not bias:
        counts[0] = 0
    solver = torch.optim.LBFGS([weight], max_iter=500, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        solver.zero_grad()
        loss = nn.functional.cross_entropy(apart @ (weight * counts).T, wanted)
        loss.backward()
        return loss

    solver.step(closure)
    with torch.no_grad():
        logits = apart @ (weight * counts).T
        share = (logits.argmax(1) == wanted).double().mean()
        assert share > 0.9, f"the layer tells only {share:.3f} of the voxels apart"
        whole = (weight * counts * len(known) ** 0.5 / size) @ right
        # nnU-Net adds tenfold logits up in half precision, which ends at 65504.
        whole *= min(1.0, 4000 / float(logits.abs().max()))
    made = whole.detach().float()
    return (made[:, :-1], made[:, -1]) if bias else (made, torch.zeros(classes))
