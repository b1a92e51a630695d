"""Two lungs drawn in a body, with fissures where we put them, vessels and noise."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from imaging.geometry import Grid
from imaging.volume import Region, Volume

SPACING = (2.0, 1.5, 1.5)
SHAPE = (135, 140, 200)
HALF = (120.0, 85.0, 62.0)
"""Half axes of a lung, mm: height, depth, width."""
MIDDLE_X = 70.0
"""Of the left lung; the right one lies at minus this."""


def axes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x in mm from the middle (LPS), broadcastable."""
    z, y, x = ((np.arange(n) - (n - 1) / 2) * s for n, s in zip(SHAPE, SPACING, strict=True))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def in_lung(side: int, shrink: float = 0.0) -> np.ndarray:
    """One lung, -1 right, +1 left: an ellipsoid cut flat below by the diaphragm."""
    z, y, x = axes()
    a, b, c = (h - shrink for h in HALF)
    round_ = (z / a) ** 2 + (y / b) ** 2 + ((x - side * MIDDLE_X) / c) ** 2 < 1
    return round_ & (z > -90 + shrink)


def oblique(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance to the oblique fissures drawn, mm; positive up and forward."""
    bend = 0.0015 * (np.abs(x) - MIDDLE_X) ** 2
    return 0.70 * (z + bend - 2.0) - 0.714 * (y - 6.0)


def minor(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distance to the minor fissure drawn, mm; positive above."""
    return z - 12.0 - 0.06 * y + 0 * x


def lobe_at(point: tuple[float, float, float]) -> str:
    """The drawn lobe of an LPS point."""
    x, y, z = (np.array(v) for v in point)
    side = "right" if x < 0 else "left"
    if oblique(z, y, x) < 0:
        return f"{side}-lower"
    if side == "left":
        return "left-upper"
    return "right-upper" if minor(z, y, x) > 0 else "right-middle"


def chest(
    *,
    fissures: bool = True,
    sides: tuple[int, ...] = (-1, 1),
    seed: int = 0,
    touching: bool = False,
) -> Volume:
    """A drawn chest CT.

    Args:
        fissures: draw them.
        sides: which lungs are aerated.
        seed: of noise and vessels.
        touching: lay the lungs so near that only a thin line parts them in front.
    """
    rng = np.random.default_rng(seed)
    z, y, x = axes()
    hu = np.full(SHAPE, -1000, np.float32)
    hu[np.broadcast_to(np.abs(y / 102) ** 3 + np.abs(x / 147) ** 3 < 1, SHAPE)] = 40
    for side in sides:
        lung = in_lung(side)
        if touching:
            front = np.broadcast_to(
                (side * x > 0.8) & (side * x < 40) & (np.abs(y + 55) < 12), SHAPE
            )
            lung |= front & np.broadcast_to((z > 0) & (z < 60), SHAPE)
        hu[lung] = -870
        inner = in_lung(side, 2.0)
        if fissures:
            away = oblique(z, y, x)
            sheet = 90 * np.exp(-((away / 1.3) ** 2))
            if side < 0:
                ahead = away > 0
                sheet = np.maximum(sheet, 90 * np.exp(-((minor(z, y, x) / 1.3) ** 2)) * ahead)
            hu[inner] += sheet[inner]
        _vessels(hu, side, rng)
    noise = sitk.GetImageFromArray(rng.standard_normal(SHAPE).astype(np.float32))
    soft = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 0.5))
    hu += 30 * soft / soft.std()
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * np.array(SPACING)
    affine[:3, 3] = [float(a.ravel()[0]) for a in (x, y, z)]
    return Volume(np.rint(hu).astype(np.int16), Grid(SHAPE, affine))


def _vessels(hu: np.ndarray, side: int, rng: np.random.Generator) -> None:
    """Straight tubes from the hilum outwards, none across a drawn fissure."""
    z, y, x = axes()
    lung = in_lung(side, 3.0)
    hilum = np.array([side * 25.0, 6.0, 2.0])
    for _ in range(60):
        way = rng.normal(size=3) * [1, 1, 1.3] + [side * 0.7, 0, 0]
        way /= np.linalg.norm(way)
        for step in np.arange(12.0, 95.0, 1.2):
            px, py, pz = hilum + step * way
            if abs(float(oblique(np.array(pz), np.array(py), np.array(px)))) < 4:
                break
            k, j, i = (
                round((v - float(a.ravel()[0])) / s)
                for v, a, s in zip((pz, py, px), (z, y, x), SPACING, strict=True)
            )
            if not (1 < k < SHAPE[0] - 2 and 1 < j < SHAPE[1] - 2 and 1 < i < SHAPE[2] - 2):
                break
            r = 1 if step < 60 else 0
            spot = (slice(k - r, k + r + 1), slice(j - r, j + r + 1), slice(i - r, i + r + 1))
            hu[spot] = np.where(lung[spot], np.float32(20), hu[spot])


def ball(volume: Volume, point: tuple[float, float, float], mm: float = 8.0) -> Region:
    """A ball of a diameter as a region."""
    grid = volume.grid
    reach = mm / 2 / np.array(grid.spacing_mm) + 1
    middle = grid.to_index(point)
    low = np.maximum(np.floor(middle - reach), 0).astype(int)
    high = np.minimum(np.ceil(middle + reach) + 1, grid.shape).astype(int)
    index = np.stack(
        np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)], indexing="ij"), -1
    )
    inside = np.linalg.norm(grid.to_lps(index) - np.array(point), axis=-1) <= mm / 2
    return Region(inside, (int(low[0]), int(low[1]), int(low[2])), grid)
