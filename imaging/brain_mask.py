"""Where the brain is in an MR series of a head, so that a network sees no skull.

A balloon inside the head grows until it meets the dark line between brain and skull, held smooth
by its own curvature (Smith 2002, Hum Brain Mapp 17:143, with its published constants). A
classical method with the classical limits: it can leave eyes, dura or neck in, and cut where a
lesion or a cavity lies at the brain's surface; it is not for small children, and needs most of
the head in view. :attr:`BrainMask.plausible` says whether the volume is one that a head can hold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid, Points
from imaging.resample import axial_grid, resample, resample_mask
from imaging.volume import Mask, Volume

SPACING_MM = 2.0
HEAD_MM = 170.0
"""From the crown down, what is taken for head rather than neck."""
ROUNDS = (400, 120)
"""Steps on 642 points, then on 2562."""
INWARD_MM, NEAR_MM = 20.0, 10.0
"""How deep inside a point the darkest and the brightest value are sought."""
DARKER = 0.7
"""Share of the local brain's signal that is its edge; more makes a smaller brain (published: 0.5).

Higher here, as users of the method set it too: at 0.5 the balloon passes a thin skull on thick
enhanced slices. Chosen on one such series and the phantom."""
FLATTEST_MM, SHARPEST_MM = 10.0, 3.33
"""Radii of curvature between which smoothing sets in."""
LEAST_ML, MOST_ML = 700.0, 2300.0
"""Volume with the fluid around it that an adult's skull can hold."""

Triangles = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class BrainMask:
    """The brain of one series.

    Attributes:
        mask: on a 2 mm grid along +S, +P, +L.
        volume_ml: of it.
    """

    mask: Mask
    volume_ml: float

    @property
    def plausible(self) -> bool:
        """Whether a head can hold so much brain."""
        return LEAST_ML <= self.volume_ml <= MOST_ML

    def on(self, grid: Grid) -> Mask:
        """The mask on another grid, nearest neighbour."""
        return resample_mask(self.mask, grid)


def brain_mask(volume: Volume) -> BrainMask:
    """Find the brain.

    Args:
        volume: MR signal of a head, any orthogonal grid; fluid may be dark or bright.

    Returns:
        The mask. What is no head gives a mask that is not ``plausible``.

    Raises:
        ValueError: the grid is sheared.
    """
    grid = axial_grid(volume.grid, SPACING_MM)
    signal = resample(volume, grid, fill=float(volume.voxels.min())).voxels.astype(np.float32)
    balloon = _Balloon.inside(signal)
    if balloon is None:
        return BrainMask(Mask(np.zeros(grid.shape, bool), grid), 0.0)
    points, triangles = _sphere(3)
    points = balloon.middle + points * balloon.radius / 2
    points = balloon.grown(points, triangles, ROUNDS[0])
    points, triangles = _divided(points, triangles)
    points = balloon.grown(points, triangles, ROUNDS[1])
    mask = Mask(_filled(points, triangles, signal.shape), grid)
    return BrainMask(mask, mask.volume_mm3 / 1000)


@dataclass(frozen=True, eq=False)
class _Balloon:
    """The head it grows in; places in voxels (k, j, i) of the 2 mm grid.

    ``low``, ``edge`` and ``inner`` are the darkest value, the one that parts head from air, and
    the median inside; ``radius`` that of a ball as large as the head.
    """

    signal: NDArray[np.float32]
    low: float
    edge: float
    inner: float
    middle: Points
    radius: float

    @classmethod
    def inside(cls, signal: NDArray[np.float32]) -> _Balloon | None:
        """Where it starts; None where nothing stands out from the air."""
        low, high = np.percentile(signal, (2, 98)).tolist()
        edge = low + 0.1 * (high - low)
        bright = np.argwhere(signal > edge)
        if high <= low or len(bright) < 1000:
            return None
        top = bright[:, 0].max() - HEAD_MM / SPACING_MM
        bright = bright[bright[:, 0] >= top]
        weight = np.minimum(signal[tuple(bright.T)], high)[:, None]
        middle = (bright * weight).sum(axis=0) / weight.sum()
        radius = float((3 * len(bright) / (4 * np.pi)) ** (1 / 3))
        near = bright[np.linalg.norm(bright - middle, axis=1) < radius]
        if not len(near):
            return None
        inner = float(np.median(signal[tuple(near.T)]))
        return cls(signal, low, edge, inner, middle, radius)

    def grown(self, points: Points, triangles: Triangles, rounds: int) -> Points:
        """The balloon after so many steps."""
        first, second, weight = _neighbours(triangles, len(points))
        slow, fast = (1 / (radius / SPACING_MM) for radius in (FLATTEST_MM, SHARPEST_MM))
        middle, steep = (fast + slow) / 2, 6 / (fast - slow)
        for _ in range(rounds):
            to_mean = _sums(first, points[second], len(points)) / weight[:, None] - points
            normal = _normals(points, triangles)
            along = (to_mean * normal).sum(axis=1, keepdims=True)
            length = float(np.linalg.norm(points[first] - points[second], axis=1).mean())
            bend = 2 * np.abs(along) / length**2
            smooth = (1 + np.tanh(steep * (bend - middle))) / 2
            push = 0.05 * length * self._pressure(points, normal)[:, None]
            points = points + 0.5 * (to_mean - along * normal) + (smooth * along + push) * normal
        return points

    def _pressure(self, points: Points, normal: Points) -> NDArray[np.float64]:
        """Out where what lies inside is brain, in where it is darker than brain."""
        deep = np.arange(1, round(INWARD_MM / SPACING_MM) + 1)
        at = np.rint(points[:, None] - deep[:, None] * normal[:, None]).astype(np.int64)
        shape = np.array(self.signal.shape)
        within = ((at >= 0) & (at < shape)).all(axis=-1)
        k, j, i = np.moveaxis(np.clip(at, 0, shape - 1), -1, 0)
        values = np.where(within, self.signal[k, j, i], self.low)
        darkest = np.clip(values.min(axis=1), self.low, self.inner)
        near = values[:, : round(NEAR_MM / SPACING_MM)].max(axis=1)
        brightest = np.clip(near, self.edge, self.inner)
        wanted = (brightest - self.low) * DARKER + self.low
        return np.asarray(2 * (darkest - wanted) / (brightest - self.low + 1e-6), np.float64)


def _sphere(divisions: int) -> tuple[Points, Triangles]:
    """An icosahedron divided so often, on the unit sphere, seen from outside."""
    gold = (1 + 5**0.5) / 2
    corners = [(0, s, t * gold) for s in (-1, 1) for t in (-1, 1)]
    points = np.array([np.roll(corner, n) for n in range(3) for corner in corners], np.float64)
    edge = 2.0
    far = np.linalg.norm(points[:, None] - points[None], axis=-1)
    near = np.abs(far - edge) < 1e-6
    triangles = np.array(
        [
            (a, b, c)
            for a in range(12) for b in range(a + 1, 12) for c in range(b + 1, 12)
            if near[a, b] and near[b, c] and near[a, c]
        ]
    )  # fmt: skip
    a, b, c = (points[triangles[:, n]] for n in range(3))
    inward = np.einsum("ij,ij->i", np.cross(b - a, c - a), a + b + c) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    for _ in range(divisions):
        points, triangles = _divided(points, triangles)
        points = points / np.linalg.norm(points, axis=1, keepdims=True)
    return points, triangles


def _divided(points: Points, triangles: Triangles) -> tuple[Points, Triangles]:
    """Every triangle into four."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, place = np.unique(edges, axis=0, return_inverse=True)
    middles = place.reshape(-1, 3) + len(points)
    ab, bc, ca = middles.T
    a, b, c = triangles.T
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    finer = np.concatenate([np.stack(part, axis=1) for part in parts])
    return np.concatenate([points, points[unique].mean(axis=1)]), finer


def _neighbours(
    triangles: Triangles, count: int
) -> tuple[Triangles, Triangles, NDArray[np.float64]]:
    """Each edge both ways, from and to; and how many neighbours every point has."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique = np.unique(edges, axis=0)
    first = np.concatenate([unique[:, 0], unique[:, 1]])
    second = np.concatenate([unique[:, 1], unique[:, 0]])
    return first, second, np.bincount(first, minlength=count).astype(np.float64)


def _sums(at: NDArray[np.int64], vectors: Points, count: int) -> Points:
    """The sum of the vectors (n, 3) that belong to each of ``count`` points, (count, 3)."""
    return np.stack([np.bincount(at, vectors[:, n], count) for n in range(3)], axis=1)


def _normals(points: Points, triangles: Triangles) -> Points:
    """Outward unit normals of the points."""
    a, b, c = (points[triangles[:, n]] for n in range(3))
    faces = np.cross(b - a, c - a)
    normal = _sums(triangles.T.ravel(), np.tile(faces, (3, 1)), len(points))
    length: Points = np.linalg.norm(normal, axis=1, keepdims=True)
    return normal / np.maximum(length, 1e-9)


def _filled(points: Points, triangles: Triangles, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """The voxels on and inside a closed surface."""
    corners = points[triangles]
    longest = float(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1).max())
    parts = max(2, int(np.ceil(longest / 0.45)))
    share = [(a, b) for a in range(parts + 1) for b in range(parts + 1 - a)]
    weights = np.array([(a, b, parts - a - b) for a, b in share], np.float64) / parts
    pad = 2
    at = np.rint(np.einsum("wc,tcx->twx", weights, corners).reshape(-1, 3)).astype(np.int64)
    at = np.clip(at, -1, np.array(shape)) + pad
    shell = np.zeros(np.array(shape) + 2 * pad, np.uint8)
    shell[tuple(at.T)] = 1
    whole = sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(shell)))
    return np.ascontiguousarray(whole[pad:-pad, pad:-pad, pad:-pad]).astype(bool)
