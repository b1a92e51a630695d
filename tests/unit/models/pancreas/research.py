"""A made gland in a made abdomen, with a lesion where a test wants one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from imaging.character.fields import smoothed
from imaging.geometry import Grid
from imaging.volume import Region, SourceSlice, Volume

LENGTH_MM, THICK_MM, HEIGHT_MM = 110.0, 26.0, 30.0


@dataclass(frozen=True, eq=False)
class MadeGland:
    """A bent gland of 100 HU in fat, noise of 18 HU, and what was drawn in it."""

    volume: Volume
    organ: Region
    lesion: np.ndarray


@cache
def made_gland(
    *, lesion_at_mm: float | None = 25.0, diameter_mm: float = 18.0, lesion_hu: float = -45.0,
    spacing: tuple[float, float, float] = (2.5, 0.8, 0.8), seed: int = 0, level_hu: float = 100.0,
) -> MadeGland:  # fmt: skip
    """A gland along x, its middle bent forward.

    Args:
        lesion_at_mm: place along x from the middle; None: no lesion.
    """
    shape = tuple(round(mm / s) for mm, s in zip((60, 100, 150), spacing, strict=True))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, spacing[2]], [0, spacing[1], 0], [spacing[0], 0, 0]])
    affine[:3, 3] = (-75.0, -50.0, -30.0)
    grid = Grid((shape[0], shape[1], shape[2]), affine)
    at = grid.to_lps(np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1))
    x, y, z = at[..., 0], at[..., 1] - 0.003 * at[..., 0] ** 2, at[..., 2]
    half = THICK_MM / 2 * np.sqrt(np.clip(1 - (2 * x / LENGTH_MM) ** 2, 0, 1))
    organ = ((y / np.maximum(half, 0.1)) ** 2 + (2 * z / HEIGHT_MM) ** 2 < 1) & (half > 3)
    clean = np.where(organ, level_hu, level_hu - 190.0)
    lesion = np.zeros(shape, bool)
    if lesion_at_mm is not None:
        middle = (lesion_at_mm, 0.0, 0.0)
        lesion = (x - middle[0]) ** 2 + y**2 + z**2 < (diameter_mm / 2) ** 2
        lesion &= organ
        clean = clean + lesion_hu * lesion
    noise = np.random.default_rng(seed).normal(0, 18, shape)
    hu = smoothed(clean.astype(np.float32), spacing, 0.8) + noise
    sources = tuple(SourceSlice(Path(f"{k}.dcm"), "1.2", f"1.2.{k}") for k in range(shape[0]))
    inside = np.argwhere(organ)
    low, high = inside.min(0), inside.max(0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    start = (int(low[0]), int(low[1]), int(low[2]))
    region = Region(organ[box].copy(), start, grid)
    return MadeGland(Volume(hu.astype(np.float32), grid, sources), region, lesion)
