"""Where a point of one examination lies in another: a rigid motion, then what breathing bent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from imaging.geometry import Grid, Points

Motion = Annotated[NDArray[np.float64], "4x4; LPS mm to LPS mm"]
Bend = Annotated[NDArray[np.float32], "k, j, i, 3; mm along x, y, z (LPS)"]

INVERSE_STEPS = 30
"""Of the fixed-point iteration; a breath's slope is below 0.5, so 30 steps leave < 0.001 mm."""


@dataclass(frozen=True, eq=False)
class Alignment:
    """Maps the current examination onto the earlier one, LPS mm to LPS mm.

    A point x goes to ``motion (x + bend(x))``. Beyond the bend's grid its nearest border value
    holds, so that the map stays continuous.

    Args:
        motion: rigid, 4 x 4.
        grid: of the bend, in the current examination; None: rigid only.
        bend: displacements on that grid, mm.

    Raises:
        ValueError: bend and grid do not belong together.
    """

    motion: Motion
    grid: Grid | None = None
    bend: Bend | None = None

    def __post_init__(self) -> None:
        if (self.grid is None) != (self.bend is None):
            raise ValueError("a bend needs its grid, and a grid its bend")
        if self.grid is not None and self.bend is not None:
            wanted = (*self.grid.shape, 3)
            if self.bend.shape != wanted:
                raise ValueError(f"bend {self.bend.shape} does not fit its grid, {wanted}")

    @property
    def rigid(self) -> Alignment:
        """The same without its bend."""
        return Alignment(self.motion)

    def to_prior(self, lps_mm: ArrayLike) -> Points:
        """Current points, shape (..., 3), to the earlier examination."""
        points = np.asarray(lps_mm, dtype=np.float64)
        return self._moved(points + self._bend_at(points))

    def to_current(self, lps_mm: ArrayLike) -> Points:
        """Earlier points, shape (..., 3), to the current examination."""
        points = np.asarray(lps_mm, dtype=np.float64)
        inverse = np.linalg.inv(self.motion)
        back: Points = points @ inverse[:3, :3].T + inverse[:3, 3]
        if self.bend is None:
            return back
        found = back.copy()
        for _ in range(INVERSE_STEPS):
            found = back - self._bend_at(found)
        return found

    def _moved(self, points: Points) -> Points:
        moved: Points = points @ self.motion[:3, :3].T + self.motion[:3, 3]
        return moved

    def _bend_at(self, points: Points) -> Points:
        if self.grid is None or self.bend is None:
            return np.zeros_like(points)
        return sample(self.bend, self.grid, points)


def sample(values: NDArray[Any], grid: Grid, lps_mm: Points) -> Points:
    """Trilinear interpolation at points; the nearest border value outside.

    Args:
        values: (k, j, i) or (k, j, i, c) on ``grid``.
        grid: their grid.
        lps_mm: (..., 3).

    Returns:
        (...) or (..., c), float64.
    """
    last = np.array(grid.shape) - 1
    at = np.clip(grid.to_index(lps_mm), 0, last)
    low = np.minimum(np.floor(at).astype(np.int64), np.maximum(last - 1, 0))
    part = at - low
    high = np.minimum(low + 1, last)
    total: Points = np.zeros((*at.shape[:-1], *values.shape[3:]))
    for corner in range(8):
        up = [bool(corner >> axis & 1) for axis in range(3)]
        index = tuple(high[..., axis] if up[axis] else low[..., axis] for axis in range(3))
        weight = np.ones(at.shape[:-1])
        for axis in range(3):
            weight = weight * (part[..., axis] if up[axis] else 1 - part[..., axis])
        if values.ndim == 4:
            weight = weight[..., np.newaxis]
        total = total + weight * values[index]
    return total
