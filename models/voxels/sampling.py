"""An array's values on another grid, box by box, in the order in which they lie in memory.

:class:`Sampling` knows where the voxels of one grid (the result) lie in another (the input) whose
axes are parallel; they are interpolated one after the other (:mod:`models.voxels.interpolation`).
:mod:`models.voxels.shear` has the same for grids that are sheared against one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.voxels.frames import Axes
from models.voxels.interpolation import (
    Float,
    Index,
    Matrix,
    Scratch,
    Taps,
    coordinates,
    interpolate,
    interpolate_exactly,
    linear_taps,
    nearest_index,
)

Shape = tuple[int, int, int]
Box = tuple[slice, slice, slice]
Weights = NDArray[np.float64]
Kind = TypeVar("Kind", bound=np.generic)


@dataclass(frozen=True)
class Extent:
    """A stretch of a frame's axis: from ``start`` on, backwards where ``flip``."""

    whole: int
    """Voxels of the frame along this axis."""
    start: int
    size: int
    flip: bool = False

    @property
    def slice(self) -> slice:
        """Cuts it out of an array along the frame's axis."""
        stop = self.start + self.size
        if not self.flip:
            return slice(self.start, stop)
        return slice(stop - 1, self.start - 1 if self.start else None, -1)

    def place(self, at: Index) -> Index:
        """Frame index to index in the stretch; outside it where not in [0, size)."""
        return self.start + self.size - 1 - at if self.flip else at - self.start

    def back(self, place: int) -> int:
        """Index in the stretch to frame index."""
        return self.start + self.size - 1 - place if self.flip else self.start + place


class Sampling:
    """From a part of the input's frame to a part of the result's frame; for one thread.

    Args:
        matrix: index of the result's frame to index of the input's, a diagonal and a column;
            None: the same frame.
        order: axis n of both arrays is axis ``order[n]`` of the frames.
        result: for each axis of the frame, which stretch of it the result is.
        values: for each axis of the frame, which stretch the input array is; outside it the
            input is 0.
    """

    def __init__(
        self,
        matrix: Matrix | None,
        order: Axes,
        result: Sequence[Extent],
        values: Sequence[Extent],
    ) -> None:
        self._order = order
        self._values = [values[axis] for axis in order]
        whole = [e.whole for e in result]
        if matrix is None:
            along = [np.arange(n, dtype=np.float64) for n in whole]
        else:
            along = coordinates(matrix, whole, [e.whole for e in values])
        self._at = [along[axis][result[axis].slice] for axis in order]
        self._scratch = Scratch()
        self._cuts: dict[tuple[int, int, int], Taps] = {}

    @property
    def shape(self) -> Shape:
        """Of the result."""
        a, b, c = map(len, self._at)
        return a, b, c

    def seen_from(self, box: Box) -> Box:
        """The box of the result whose voxels see any of a box of the input array."""
        a, b, c = (t.touching(s.start, s.stop) for t, s in zip(self._taps, box, strict=True))
        return a, b, c

    def linear(self, values: NDArray[np.generic], box: Box, into: Float) -> None:
        """A box of the result, interpolated linearly, written into an array of its shape."""
        interpolate(values, self._cut(box), into, self._scratch)

    def linear_exactly(self, values: NDArray[np.generic], box: Box, into: Float) -> None:
        """As :meth:`linear`, the same number to the last bit as torch."""
        into[...] = interpolate_exactly(values, self._cut(box), self._order)

    def nearest(self, values: NDArray[Kind], box: Box) -> NDArray[Kind]:
        """A box of the result, each voxel from the nearest one."""
        return take_nearest(
            values, [at[s] for at, s in zip(self._at, box, strict=True)], self._values
        )

    @cached_property
    def _taps(self) -> list[Taps]:
        return [
            placed(linear_taps(at, extent.whole), extent)
            for at, extent in zip(self._at, self._values, strict=True)
        ]

    def _cut(self, box: Box) -> list[Taps]:
        cut = []
        for axis, part in enumerate(box):
            key = axis, part.start, part.stop
            if key not in self._cuts:
                self._cuts[key] = self._taps[axis][part]
            cut.append(self._cuts[key])
        return cut


def memory_order(strides: Sequence[int]) -> tuple[Axes, tuple[bool, bool, bool]]:
    """Three axes from the slowest to the fastest, and for each axis whether it runs backwards."""
    order = sorted(range(3), key=lambda axis: -abs(strides[axis]))
    flips = [stride < 0 for stride in strides]
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def take_nearest(
    values: NDArray[Kind], at: Sequence[Weights], extents: Sequence[Extent]
) -> NDArray[Kind]:
    """Values at the voxels nearest to coordinates along each axis; 0 outside ``extents``."""
    result = np.zeros([len(each) for each in at], values.dtype)
    places = []
    for axis, (extent, each) in enumerate(zip(extents, at, strict=True)):
        place = extent.place(nearest_index(each))
        # Monotone, so what lies inside is one stretch.
        inside = np.flatnonzero((place >= 0) & (place < extent.size))
        if not len(inside):
            return result
        places.append(slice(int(inside[0]), int(inside[-1]) + 1))
        values = _pick(values, place[places[-1]], axis)
    result[tuple(places)] = values
    return result


def placed(taps: Taps, extent: Extent) -> Taps:
    """The same taps into a stretch of the axis; nothing comes from outside it."""

    def part(at: Index, weight: Weights) -> tuple[Index, Weights]:
        place = extent.place(at)
        inside = (place >= 0) & (place < extent.size)
        return np.clip(place, 0, extent.size - 1), np.where(inside, weight, 0.0)

    low, low_weight = part(taps.low, taps.low_weight)
    high, high_weight = part(taps.high, taps.high_weight)
    return Taps(low, high, low_weight, high_weight)


def _pick(values: NDArray[Kind], at: Index, axis: int) -> NDArray[Kind]:
    """Values at an index along an axis; a view where they lie side by side."""
    low = int(at[0])
    if np.array_equal(at, np.arange(low, low + len(at))):
        return values[(slice(None),) * axis + (slice(low, low + len(at)),)]
    return values.take(at, axis)
