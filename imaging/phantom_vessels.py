"""The phantom's trees: pulmonary arteries, veins and bronchi that fill a lung, and tubes.

A tree grows by splitting territories: from a point, a branch goes part of the way to the
middle of the points it must supply, the points are halved by a plane through the branch, and
each half gets a branch of its own. Radii follow Murray's law (r^n of a parent is the sum of
its children's). Lungs grow much like that (Kitaoka et al., J Appl Physiol 1999; 87:2207).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import phantom_anatomy as anatomy
from imaging.geometry import Grid

Points3 = NDArray[np.float64]
"""(n, 3), LPS mm."""

LUNG_HU = -875.0
VESSEL_HU = 42.0
MURRAY = 3.1
TWIG_MM = 0.42
"""Radius of the last branches, mm."""
BLUR_MM = 0.62
"""Standard deviation of the scanner's point spread that thin tubes are drawn with, mm."""


@dataclass(frozen=True)
class Frame:
    """Where the phantom lies: axis-aligned grid, origin (x, y, z), spacing (k, j, i); LPS mm."""

    grid: Grid
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    height: float

    def u(self, z: float) -> float:
        """Model height of an LPS z."""
        return (z - self.origin[2]) * anatomy.HEIGHT / self.height

    def z(self, u: float) -> float:
        """LPS z of a model height."""
        return self.origin[2] + u * self.height / anatomy.HEIGHT


@dataclass(frozen=True)
class Branch:
    """One branch between two forks.

    Args:
        line: (n, 3), LPS mm, from the root outwards.
        radius: mm, at its root and at its tip.
        supplies: how many territory points lie beyond it.
    """

    line: Points3
    radius: tuple[float, float]
    supplies: int


def grow(
    start: Points3, heading: Points3, supply: Points3, rng: np.random.Generator
) -> list[Branch]:
    """A tree from ``start`` that reaches every point of ``supply``.

    Args:
        start: (3,), LPS mm.
        heading: (3,), the direction it comes from.
        supply: (n, 3), LPS mm.
        rng: forks are not quite regular.

    Returns:
        branches, thick ones first.
    """
    branches: list[Branch] = []
    todo = [(start, heading / np.linalg.norm(heading), supply)]
    while todo:
        origin, direction, points = todo.pop()
        count = len(points)
        if count == 0:
            continue
        way = points.mean(axis=0) - origin
        distance = float(np.sqrt(way @ way))
        part = 0.9 if count == 1 else 0.42 + 0.1 * rng.random()
        end = origin + part * way + rng.normal(0, 0.03 * distance, 3)
        radius = TWIG_MM * count ** (1 / MURRAY)
        tip = 0.6 * radius if count == 1 else 0.88 * radius
        bend = origin + 0.38 * part * distance * direction
        parts = min(max(int(part * distance / 5.0), 1), 5)
        t = (np.arange(parts + 1) / parts)[:, None]
        line = (1 - t) ** 2 * origin + 2 * t * (1 - t) * (0.45 * bend + 0.55 * (origin + end) / 2)
        line = line + t**2 * end
        branches.append(Branch(line, (radius, tip), count))
        if count == 1:
            continue
        ahead = end - bend
        ahead /= float(np.sqrt(ahead @ ahead)) + 1e-6
        spread = points - end
        flat = spread - (spread @ ahead)[:, None] * ahead
        widest = flat.T @ (flat @ (flat.T @ (flat @ rng.normal(0, 1, 3))))
        widest /= np.sqrt(widest @ widest) + 1e-9
        place = flat @ (widest + 0.35 * rng.normal(0, 1, 3))
        cut = min(max(int(count * rng.uniform(0.32, 0.68)), 1), count - 1)
        upper = np.zeros(count, np.bool_)
        upper[np.argpartition(place, cut)[cut:]] = True
        todo.append((end, ahead, points[upper]))
        todo.append((end, ahead, points[~upper]))
    return sorted(branches, key=lambda branch: -branch.radius[0])


def draw_tube(
    voxels: NDArray[np.float32],
    frame: Frame,
    line: Points3,
    radii: tuple[float, float],
    inside: float,
    outside: float | None = None,
) -> None:
    """Draw a tube of one density over everything that is darker than it (lighter, if it is air).

    Args:
        voxels: (k, j, i) HU, changed in place.
        frame: where they lie.
        line: (n, 3), LPS mm.
        radii: at both ends, mm.
        inside: HU of the tube.
        outside: HU that its blurred edge fades into; None: what is there. Pieces of one tree
            that overlap add up to no more than one of them where this is given.
    """
    origin, spacing = frame.origin, frame.spacing
    choose = np.minimum if inside < -500 else np.maximum
    steps = len(line) - 1
    for step in range(steps):
        a, b = line[step], line[step + 1]
        ra = radii[0] + (radii[1] - radii[0]) * step / steps
        rb = radii[0] + (radii[1] - radii[0]) * (step + 1) / steps
        reach = max(ra, rb) + 1.7
        low, high = np.minimum(a, b) - reach, np.maximum(a, b) + reach
        box, axes = [], []
        for axis in (2, 1, 0):
            size = spacing[2 - axis]
            n = voxels.shape[2 - axis]
            first = max(int(np.ceil((low[axis] - origin[axis]) / size)), 0)
            last = min(int((high[axis] - origin[axis]) / size) + 1, n)
            if last <= first:
                break
            box.append(slice(first, last))
            axes.append((origin[axis] - a[axis] + size * np.arange(first, last)).astype(np.float32))
        if len(box) < 3:
            continue
        z, y, x = axes[0][:, None, None], axes[1][:, None], axes[2]
        way = (b - a).astype(np.float32)
        along = (z * way[2] + y * way[1] + x * way[0]) / max(float(way @ way), 1e-6)
        t = np.minimum(np.maximum(along, 0), 1)
        d2 = (z - t * way[2]) ** 2 + (y - t * way[1]) ** 2 + (x - t * way[0]) ** 2
        r = ra + (rb - ra) * t
        if max(ra, rb) < 1.4 * BLUR_MM:
            s2 = 2 * BLUR_MM**2
            alpha = (1 - np.exp(-r * r / s2)) * np.exp(-d2 / (s2 + 0.7 * r * r))
        else:
            alpha = 0.5 + (r - np.sqrt(d2)) / np.float32(2.4 * BLUR_MM)
            alpha = np.minimum(np.maximum(alpha, 0), 1)
            alpha = alpha * alpha * (3 - 2 * alpha)
        part = voxels[box[0], box[1], box[2]]
        ground = part if outside is None else np.float32(outside)
        choose(part, ground + alpha * (np.float32(inside) - ground), out=part)


def oblique(
    x: NDArray[np.floating], y: NDArray[np.floating], u: float | NDArray[np.floating]
) -> NDArray[np.floating]:
    """Distance to the oblique fissure: positive above and in front of it, mm."""
    bend = 0.0009 * (np.abs(x) - 60) ** 2
    distance: NDArray[np.floating] = 0.76 * (u - 150 - bend) - 0.65 * (y - 12)
    return distance


def lung_points(frame: Frame, depth: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """Points (n, 3), LPS mm, about 10 mm apart, of the two lungs: right, left."""
    steps = np.array([9.8, 4.9, 4.9]) / frame.spacing
    halves = [max(round(step), 1) for step in steps]
    thin = depth[halves[0] // 2 :: halves[0], halves[1] // 2 :: halves[1], ::][
        :, :, halves[2] // 2 :: halves[2]
    ]
    k, j, i = np.nonzero(thin < -3.5)
    index = np.stack(
        [
            k * halves[0] + halves[0] // 2,
            (j * halves[1] + halves[1] // 2) * 2 + 0.5,
            (i * halves[2] + halves[2] // 2) * 2 + 0.5,
        ],
        axis=1,
    )
    points = frame.grid.to_lps(index)
    return points[points[:, 0] < 0], points[points[:, 0] >= 0]


def draw_trees(
    voxels: NDArray[np.float32],
    frame: Frame,
    depth: NDArray[np.floating[Any]],
    rng: np.random.Generator,
) -> None:
    """Arteries with bronchi beside them, and veins, of both lungs, lobe by lobe."""

    def draw(
        line: NDArray[np.float64], radii: tuple[float, float], hu: float, rim: float | None
    ) -> None:
        draw_tube(voxels, frame, line, radii, hu, rim)

    vessels: list[Branch] = []
    airways: list[tuple[NDArray[np.float64], tuple[float, float]]] = []
    for side, points in zip((-1, 1), lung_points(frame, depth), strict=True):
        if len(points) == 0:
            continue
        u = np.array([frame.u(z) for z in points[:, 2]])
        upper = oblique(points[:, 0], points[:, 1], u) > 0
        high = upper & (u > 178) if side < 0 else upper
        lobes = [high, upper & ~high, ~upper]
        roots = {
            "artery": np.array([side * 36.0, 0.0, frame.z(172)]),
            "vein": np.array([side * 30.0, 7.0, frame.z(148)]),
        }
        for kind, root in roots.items():
            for lobe in lobes:
                near = points[lobe] + rng.normal(0, 3.2, (int(lobe.sum()), 3))
                if len(near) == 0:
                    continue
                for branch in grow(root, np.array([side * 1.0, 0, 0]), near, rng):
                    vessels.append(branch)
                    middle = frame.grid.to_index(branch.line[len(branch.line) // 2]).astype(int)
                    k, j, i = np.clip(middle, 0, np.array(frame.grid.shape) - 1) // (1, 2, 2)
                    aerated = depth[k, j, i] < -2.0
                    if kind == "artery" and branch.radius[0] > 1.25 and aerated:
                        airways.append(_beside(branch, side))
        carina = np.array([0.0, 10.0, frame.z(190)])
        hilum = np.array([side * 36.0, 7.0, frame.z(168)])
        airways.append((np.linspace(carina, hilum, 6), (6.8, 5.0)))
    for line, (first, last) in airways:
        draw(line, (1.16 * first + 0.6, 1.16 * last + 0.6), -330.0, LUNG_HU)
    for line, radii in airways:
        draw(line, radii, -970.0, None)
    for branch in vessels:
        draw(branch.line, branch.radius, VESSEL_HU, LUNG_HU)


def _beside(branch: Branch, side: int) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """The bronchus that runs with an artery: its line and the radius of its lumen."""
    first, last = branch.radius
    lumen = (0.85 * first, 0.85 * last)
    t = np.linspace(1, 0, len(branch.line))[:, None]
    away = 1.05 * (1.8 * (first * t + last * (1 - t)) + 0.5)
    return branch.line + away * np.array([-0.35 * side, -0.6, 0.72]), lumen
