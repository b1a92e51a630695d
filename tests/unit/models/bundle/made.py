"""Real bundle configs with weights made on the spot, and volumes to run them on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from imaging.geometry import Grid
from imaging.volume import Volume
from models.bundle.config import Config
from models.bundle.network import channels_of, find_weights
from models.sections import NetworkSection

SEGMENTATIONS = (
    "spleen_ct_segmentation",
    "pancreas_ct_dints_segmentation",
    "brats_mri_segmentation",
    "swin_unetr_btcv_segmentation",
    "wholeBody_ct_segmentation",
)


def published(shared: Path, name: str, into: Path) -> Path:
    """A copy of a real bundle's folder, as published, without weights."""
    folder = into / name
    shutil.copytree(shared / "bundles" / name, folder)
    for each in folder.rglob("*"):
        each.chmod(0o755 if each.is_dir() else 0o644)
    folder.chmod(0o755)
    (folder / "models").mkdir()
    if "dints" in name:
        save_search_code(folder / "models" / "search_code_18590.pt")
    return folder


def save_search_code(path: Path) -> None:
    """A DiNTS architecture: in each of 12 blocks the four depths go on, and some change."""
    depths, blocks = 4, 12
    straight = [0, 3, 6, 9]
    arch_a = np.zeros((blocks, 3 * depths - 2), np.int64)
    arch_a[:, straight] = 1
    arch_a[::3, [1, 2, 4, 5, 7, 8]] = 1
    arch_c = np.ones((blocks, 3 * depths - 2), np.int64)
    arch_c[1::2] = 2
    code = {"arch_code_a": arch_a, "arch_code_c": arch_c, "node_a": np.ones((blocks + 1, depths))}
    torch.save(code, path)


def save_weights(
    folder: Path, section: NetworkSection | None = None, seed: int = 0, spread: float = 4.0
) -> Path:
    """Write models/model.pt: random weights whose output varies decisively over an image.

    Each channel of the last layer is scaled so that, on noise, its output has mean 0 and
    standard deviation ``spread``.
    """
    config = Config.read(folder, section or NetworkSection())
    torch.manual_seed(seed)
    side = 64 if "swin" in folder.name else 32  # as small as the network can be
    module = config.resolve(config.role("network")).eval()
    noise = nn.functional.interpolate(
        torch.randn(1, channels_of(config), 8, 8, 8), size=(side,) * 3, mode="trilinear"
    )
    ran: list[nn.Module] = []
    hooks = [
        each.register_forward_hook(lambda layer, _, output: ran.append(layer))
        for each in module.modules()
        if isinstance(each, (nn.Conv3d, nn.ConvTranspose3d))
    ]
    with torch.no_grad():
        output = module(noise)[0].flatten(1)
        last, scale = ran[-1], spread / output.std(dim=1)
        turned = isinstance(last, nn.ConvTranspose3d)
        last.weight.mul_(scale.reshape((1, -1, 1, 1, 1) if turned else (-1, 1, 1, 1, 1)))
        if last.bias is not None:
            last.bias.copy_((last.bias - output.mean(dim=1)) * scale)
    for hook in hooks:
        hook.remove()
    path = find_weights(config)[0]
    torch.save(module.state_dict(), path)
    return path


def volume(
    shape: tuple[int, int, int] = (24, 48, 44),
    spacing_mm: tuple[float, float, float] = (2.5, 1.25, 1.25),
    seed: int = 1,
    values: Callable[[np.ndarray], np.ndarray] = lambda x: x * 120 + 40,
    axes: tuple[tuple[int, int], ...] = ((2, 1), (1, 1), (0, 1)),
) -> Volume:
    """Smooth blobs with some noise, (k, j, i), at an odd origin.

    Spacing and origin should be exact in float32: NIfTI keeps its affine in it, and a voxel
    that is 0 in one reader and 1e-7 in the other is another image to ``nonzero``.

    Args:
        values: smooth noise of mean 0 and deviation 1 to HU or signal.
        axes: for k, j and i the LPS axis it runs along, and which way.
    """
    from scipy.ndimage import gaussian_filter

    noise = np.random.default_rng(seed).normal(size=shape)
    smooth = gaussian_filter(noise, 2.0)
    smooth = smooth / smooth.std() + 0.05 * noise
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, ((row, way), spacing) in enumerate(zip(axes, spacing_mm, strict=True)):
        affine[row, column] = way * spacing
    affine[:3, 3] = (-31.5, -42.25, -103.0)
    return Volume(np.round(values(smooth)).astype(np.int16), Grid(shape, affine))


def signal(count: int, shape: tuple[int, int, int] = (24, 48, 44)) -> list[Volume]:
    """MR series of one patient, nothing (0) around the head."""

    def inside(values: np.ndarray) -> np.ndarray:
        at = np.indices(shape)
        radius = sum(((a - n / 2) / (0.45 * n)) ** 2 for a, n in zip(at, shape, strict=True))
        return np.where(radius < 1, np.abs(values * 300 + 500), 0)

    return [volume(shape, (1.0, 1.0, 1.0), seed=n, values=inside) for n in range(count)]
