"""Glands, ducts and vessels of known shape: bent tubes, sampled as a scanner would."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.character.fields import smoothed
from imaging.geometry import Grid
from imaging.volume import Region, Volume

PARENCHYMA, FAT, FLUID = 95.0, -95.0, 8.0

KNOTS = np.array([
    (-45.0, 0.0, -38.0), (-40.0, -4.0, -15.0), (-28.0, -16.0, -2.0), (-12.0, -26.0, 4.0),
    (8.0, -28.0, 10.0), (32.0, -20.0, 16.0), (58.0, -2.0, 22.0), (78.0, 20.0, 28.0),
])  # fmt: skip
"""A gland's middle from the lower head to the tail, LPS mm."""


@dataclass(frozen=True, eq=False)
class Tube:
    """A gland of one thickness, with a duct along it.

    Attributes:
        volume: HU.
        gland: its mask.
        line: (n, 3), the true middle.
        length_mm: from tip to tip, the round ends included.
        duct: the duct's mask where it is, at the scan's own voxels.
    """

    volume: Volume
    gland: Region
    line: np.ndarray
    length_mm: float
    duct: Region


def smooth_line(knots: np.ndarray = KNOTS, step_mm: float = 0.5) -> np.ndarray:
    """A curve through about the knots, points every ``step_mm``."""
    at = np.linspace(0, 1, len(knots))
    fine = np.linspace(0, 1, 600)
    line = np.stack([np.interp(fine, at, knots[:, n]) for n in range(3)], axis=1)
    weights = np.exp(-0.5 * (np.arange(-60, 61) / 25) ** 2)
    weights /= weights.sum()
    wide = np.concatenate([2 * line[0] - line[60:0:-1], line, 2 * line[-1] - line[-2:-62:-1]])
    line = np.stack([np.convolve(wide[:, n], weights, "valid") for n in range(3)], axis=1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    even = np.arange(0, along[-1], step_mm)
    return np.stack([np.interp(even, along, line[:, n]) for n in range(3)], axis=1)


def turned(points: np.ndarray, degrees: tuple[float, float, float]) -> np.ndarray:
    """Points turned about z, then x, then y."""
    out = points - points.mean(axis=0)
    for axis, angle in zip((2, 0, 1), np.radians(degrees), strict=True):
        a, b = (n for n in range(3) if n != axis)
        turn = np.eye(3)
        turn[[a, a, b, b], [a, b, a, b]] = [np.cos(angle), -np.sin(angle), np.sin(angle),
                                            np.cos(angle)]  # fmt: skip
        out = out @ turn.T
    return out


def grid_around(points: np.ndarray, spacing: tuple[float, float, float], pad: float) -> Grid:
    """An axial grid (slices from the feet up) that holds the points with ``pad`` mm around."""
    low, high = points.min(axis=0) - pad, points.max(axis=0) + pad
    k, j, i = spacing
    shape = [int(np.ceil((h - a) / s)) + 1 for a, h, s in zip(low, high, (i, j, k), strict=True)]
    return Grid.from_dicom(
        (shape[2], shape[1], shape[0]), low, (1, 0, 0, 0, 1, 0), (j, i), (0, 0, k)
    )


def distance_to(line: np.ndarray, grid: Grid, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each voxel's centre to a line, mm, and the index of the nearest point."""
    shape = grid.shape
    best = np.full(shape, np.inf)
    which = np.zeros(shape, int)
    for number, point in enumerate(line):
        at = grid.to_index(point)
        pad = np.ceil(reach / np.array(grid.spacing_mm)).astype(int) + 1
        low = np.maximum(np.floor(at).astype(int) - pad, 0)
        high = np.minimum(np.ceil(at).astype(int) + pad + 1, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
        spread = [((axis - at[n]) * grid.spacing_mm[n]) ** 2 for n, axis in enumerate(axes)]
        far = np.sqrt(spread[0][:, None, None] + spread[1][:, None] + spread[2])
        better = far < best[box]
        best[box] = np.where(better, far, best[box])
        which[box] = np.where(better, number, which[box])
    return best, which


def tube(
    thickness: float = 18.0,
    *,
    duct: float | tuple[float, float] = 0.0,
    duct_from: float = 0.0,
    spacing: tuple[float, float, float] = (2.0, 0.8, 0.8),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    noise_hu: float = 12.0,
    seed: int = 0,
) -> Tube:
    """A bent tube with a duct in its middle, blurred and noisy as a CT.

    Args:
        thickness: of the gland, mm.
        duct: its width, mm; 0: none.
        duct_from: the share of the line's length from which on the duct runs.
        spacing: (k, j, i), mm.
        degrees: turned about z, x and y.
        noise_hu: standard deviation.
        seed: of the noise.
    """
    line = turned(smooth_line(), degrees)
    grid = grid_around(line, spacing, thickness / 2 + 12)
    far, which = distance_to(line, grid, thickness / 2 + 4)
    # An eighth of a pixel's share of partial volume is enough here: edges by distance.
    edge = 0.5
    share = np.clip((thickness / 2 - far) / (2 * edge) + 0.5, 0, 1)
    hu = FAT + share * (PARENCHYMA - FAT)
    duct_width = float(duct if not isinstance(duct, tuple) else duct[0])
    inside = np.clip((duct_width / 2 - far) / (2 * edge) + 0.5, 0, 1)
    inside = np.where(which >= duct_from * len(line), inside, 0.0) * (duct_width > 0)
    hu = hu + inside * (FLUID - PARENCHYMA)
    rng = np.random.default_rng(seed)
    blurred = smoothed(hu.astype(np.float32), spacing, 0.6)
    noise = smoothed(rng.normal(size=hu.shape).astype(np.float32), spacing, 0.5)
    noise *= noise_hu / max(float(noise.std()), 1e-6)
    volume = Volume((blurred + noise).astype(np.float32), grid)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    return Tube(
        volume,
        Region(far <= thickness / 2, (0, 0, 0), grid),
        line,
        float(steps) + thickness,
        Region(inside > 0.5, (0, 0, 0), grid),
    )
