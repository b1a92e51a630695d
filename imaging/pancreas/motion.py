"""How far neighbouring slices are shifted against each other: motion, and breathing between slabs.

Each pair of neighbours is laid upon each other by a translation in the slice (Lucas and Kanade
1981, three rounds). Anatomy that runs obliquely shifts slices evenly; what goes beyond the running
median of five pairs is motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from imaging.volume import Volume

PIXEL_MM = 1.5
ROUNDS = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Motion:
    """Shifts within a box of slices.

    Attributes:
        shift_mm: (n - 1,), how far a slice and the next are shifted beyond their surroundings, mm.
        change: (n - 1,), what still differs after that, against the median of all pairs.
        first: index in the volume of the first slice of the box.
    """

    shift_mm: Annotated[Floats, "n - 1"]
    change: Annotated[Floats, "n - 1"]
    first: int

    @property
    def median_mm(self) -> float:
        """The median shift, mm."""
        return float(np.median(self.shift_mm))


def motion_in(volume: Volume, box: tuple[slice, slice, slice]) -> Motion | None:
    """Motion in a box (k, j, i) of a volume; None: fewer than five slices."""
    part = np.asarray(volume.voxels[box], np.float32)
    if len(part) < 5:
        return None
    step = [max(round(PIXEL_MM / mm), 1) for mm in volume.grid.spacing_mm[1:]]
    pixel = np.array([s * mm for s, mm in zip(step, volume.grid.spacing_mm[1:], strict=True)])
    planes = [_shrunk(np.clip(plane, -120, 200), step) for plane in part]
    shifts, left = [], []
    for one, two in zip(planes[:-1], planes[1:], strict=True):
        shift, rest = _shift(one, two)
        shifts.append(shift * pixel)
        left.append(rest)
    raw = np.array(shifts)
    rest_of = np.array(left)
    usual = np.array([np.median(raw[max(n - 2, 0) : n + 3], axis=0) for n in range(len(raw))])
    middle = max(float(np.median(rest_of)), 1e-6)
    return Motion(np.linalg.norm(raw - usual, axis=1), rest_of / middle, box[0].start or 0)


def _shrunk(plane: NDArray[np.float32], step: list[int]) -> Floats:
    """A plane of means of ``step`` pixels, slightly blurred."""
    rows, columns = (n // s * s for n, s in zip(plane.shape, step, strict=True))
    cut = plane[:rows, :columns].reshape(rows // step[0], step[0], columns // step[1], step[1])
    means: Floats = np.mean(cut, axis=(1, 3), dtype=np.float64)
    wide = np.pad(means, 1, mode="edge")
    tall = 0.5 * wide[1:-1] + 0.25 * (wide[:-2] + wide[2:])
    small: Floats = 0.5 * tall[:, 1:-1] + 0.25 * (tall[:, :-2] + tall[:, 2:])
    return small


def _shift(one: Floats, two: Floats) -> tuple[Floats, float]:
    """Rows and columns by which ``two`` lies off ``one``, and the mean difference left, HU."""
    total = np.zeros(2)
    moved = two
    rim = 4
    inner = (slice(rim, -rim), slice(rim, -rim))
    for _ in range(ROUNDS):
        mean = (one + moved) / 2
        slopes = [np.asarray(np.gradient(mean, axis=axis))[inner].ravel() for axis in (0, 1)]
        g = np.stack(slopes, axis=1)
        error = (moved - one)[inner].ravel()
        # Robust: organs that begin or end between two slices differ without being shifted.
        weight = 1 / (1 + (error / 40) ** 2)
        normal = (g * weight[:, None]).T @ g + np.eye(2) * 1e-3
        total += np.linalg.solve(normal, (g * weight[:, None]).T @ error)
        total = np.clip(total, -rim, rim)
        moved = _translated(two, total)
    return total, float(np.mean(np.abs((moved - one)[inner])))


def _translated(plane: Floats, shift: Floats) -> Floats:
    """The plane read ``shift`` rows and columns on, linear, edges repeated."""
    out = plane
    for axis, by in enumerate(shift):
        n = np.clip(np.arange(out.shape[axis]) + by, 0, out.shape[axis] - 1)
        low = np.minimum(n.astype(int), out.shape[axis] - 2)
        part = n - low
        shape = (-1, 1) if axis == 0 else (1, -1)
        weight = part.reshape(shape)
        out = (1 - weight) * np.take(out, low, axis) + weight * np.take(out, low + 1, axis)
    return out
