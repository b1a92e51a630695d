"""Where fissures usually run: frames around them, and their mean shape in the lung's own box.

The box is that of one lung's aerated voxels. Shapes are polynomials of the place along the
fissure, in parts of the box, with the part across it in parts of the lung's height; their
coefficients are least-squares fits to fissures that this package itself saw in ten training
lungs (``benchmarks/lobes.py`` measures on others).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid
from imaging.lobes.sheets import STEP_MM, Frame
from imaging.nodule import Side

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Vector = NDArray[np.float64]

THIN = 2
"""Every second sample along a fissure makes a cell."""
CELL_MM = THIN * STEP_MM
BACK, FRONT = (1.0, 0.70), (0.15, 0.05)
"""Ends of the oblique fissure's chord: parts of the box front to back and foot to head."""
OBLIQUE_ABOVE_MM, OBLIQUE_HALF_MM = 12.0, 45.0
MINOR_AT = (0.36, 0.52)
MINOR_HALF_MM = 40.0
USUAL: dict[tuple[str, Side], tuple[float, ...]] = {
    ("oblique", Side.RIGHT): (0.04, 0.021, 0.009, -0.01, 0.003, 0.009),
    ("oblique", Side.LEFT): (0.04, 0.029, 0.016, -0.019, -0.038, -0.017),
    ("minor", Side.RIGHT): (0.005, 0.04, 0.025, 0.03, 0.01, 0.01),
}
"""Coefficients of 1, v, u, v*v, u*v, u*u; v to the back, u to the side wall, both -1 to 1."""


@dataclass(frozen=True, eq=False)
class Box:
    """One lung's extent, LPS mm: low and high corner."""

    low: Vector
    high: Vector
    side: Side

    @classmethod
    def of(cls, air: Bools, grid: Grid, side: Side) -> Box:
        """The box of aerated lung; its outermost part in a hundred is left out at each end."""
        ends = []
        for axis in range(3):
            profile = air.sum(tuple(a for a in range(3) if a != axis)).cumsum()
            ends.append(np.searchsorted(profile, [0.005 * profile[-1], 0.995 * profile[-1]]))
        index = np.array(ends, float)
        return cls(grid.to_lps(index[:, 0]), grid.to_lps(index[:, 1]), side)

    @property
    def size(self) -> Vector:
        """Extent along x, y, z, mm."""
        size: Vector = self.high - self.low
        return size

    def at(self, y: float, z: float) -> Vector:
        """LPS mm of parts of the box from front to back and from foot to head, x in the middle."""
        part = np.array([0.5, y, z])
        point: Vector = self.low + part * self.size
        return point


def oblique_frame(box: Box) -> Frame:
    """Axes around the oblique fissure; t points up and forward, into the upper lobe."""
    back, front = box.at(*BACK), box.at(*FRONT)
    length = float(np.linalg.norm(back - front))
    v = (back - front) / length
    t = np.array([0.0, -v[2], v[1]])
    middle = (back + front) / 2 + OBLIQUE_ABOVE_MM * t
    half = (OBLIQUE_HALF_MM, length / 2 + 25, box.size[0] / 2 + 6)
    return Frame.spanned(middle, np.stack([t, v, [1.0, 0.0, 0.0]]), half)


def minor_frame(box: Box) -> Frame:
    """Axes around the minor fissure; t points to the head."""
    middle = box.at(*MINOR_AT)
    half = (MINOR_HALF_MM, 0.42 * box.size[1], box.size[0] / 2 + 6)
    return Frame.spanned(middle, np.eye(3)[::-1], half)


def places(box: Box, frame: Frame) -> tuple[Vector, Vector, float]:
    """v and u, -1 to 1, of the frame's cells (v, u), and the t (mm) that counts as zero."""
    t, rows, columns = frame.grid.shape
    v, u = np.meshgrid(
        np.linspace(-1, 1, len(range(0, rows, THIN))),
        np.linspace(-1, 1, len(range(0, columns, THIN))),
        indexing="ij",
    )
    outwards = -1.0 if box.side is Side.RIGHT else 1.0
    return v, u * outwards, (t - 1) / 2 * frame.spacing_t


def usual_shape(name: str, box: Box, frame: Frame) -> Floats:
    """Where the fissure usually runs: (v, u) of the cells, mm from the frame's first plane."""
    v, u, zero = places(box, frame)
    terms = basis(v, u) @ np.array(USUAL[name, box.side])
    shape: Floats = (zero + terms * box.size[2]).astype(np.float32)
    return shape


def basis(v: Vector, u: Vector) -> Vector:
    """The polynomial's terms, last axis."""
    terms: Vector = np.stack([np.ones_like(v), v, u, v * v, u * v, u * u], -1)
    return terms
