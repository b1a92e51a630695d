"""Values on another grid where the two are sheared against one another: a tilted gantry.

MONAI's ``Spacing`` straightens such a grid. Most often the shear is of whole planes, which keep
their distance and move in themselves; then each plane of the result is interpolated along one
axis after the other, as in :mod:`models.voxels.sampling`. Otherwise a voxel takes eight taps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from models.voxels.frames import Axes
from models.voxels.interpolation import (
    Float,
    Matrix,
    Scratch,
    interpolate,
    linear_taps,
    nearest_index,
)
from models.voxels.sampling import Box, Extent, Kind, Sampling, Shape, Weights, placed, take_nearest

PARALLEL_VOXELS = 1e-5
"""Axes are parallel when no voxel of the whole grid is further off than this."""
IN_PLANE_VOXELS = 1e-3
"""The same for the axes in a plane, and for a plane's distance: headers are rounded."""


def sampling_of(
    matrix: Matrix | None, order: Axes, result: Sequence[Extent], values: Sequence[Extent]
) -> Sampling | Sheared:
    """A :class:`~models.voxels.sampling.Sampling`, or its like where axes aren't parallel."""
    if matrix is None or _parallel(matrix[:3, :3], [extent.whole for extent in result]):
        return Sampling(matrix, order, result, values)
    return Sheared(matrix, order, result, values)


class Sheared:
    """As :class:`~models.voxels.sampling.Sampling`, for any matrix."""

    def __init__(
        self, matrix: Matrix, order: Axes, result: Sequence[Extent], values: Sequence[Extent]
    ) -> None:
        self._values = [values[axis] for axis in order]
        a, b, c = (result[axis].size for axis in order)
        self.shape: Shape = (a, b, c)
        # Index of the result's array to index of the input's frame, axes as in the arrays.
        onto = np.zeros((4, 4))
        onto[3, 3] = 1.0
        for n, axis in enumerate(order):
            extent = result[axis]
            onto[axis, n] = -1.0 if extent.flip else 1.0
            onto[axis, 3] = extent.start + extent.size - 1 if extent.flip else extent.start
        self._matrix = (matrix @ onto)[[*order]]
        off = np.abs(self._matrix[:, :3]) * (np.asarray(self.shape) - 1)
        within = [off[0, 1] + off[0, 2], off[1, 2], off[2, 1]]
        self._planes = max(within) < IN_PLANE_VOXELS
        self._scratch = Scratch()

    def seen_from(self, box: Box) -> Box:
        """The box of the result whose voxels see any of a box of the input array; or more."""
        sides = []
        for extent, part in zip(self._values, box, strict=True):
            if part.start >= part.stop:
                return slice(0, 0), slice(0, 0), slice(0, 0)
            ends = [extent.back(part.start), extent.back(part.stop - 1)]
            low, high = min(ends) - 1.0, max(ends) + 1.0
            # An edge is repeated for ever.
            far = 4.0 * (extent.whole + sum(self.shape))
            sides.append(
                (low - far if low <= 0 else low, high + far if high >= extent.whole - 1 else high)
            )
        corners = np.stack(np.meshgrid(*sides, indexing="ij")).reshape(3, -1)
        at = np.linalg.solve(self._matrix[:, :3], corners - self._matrix[:, 3:])
        low_index = np.clip(np.floor(at.min(axis=1)), 0, self.shape).astype(int)
        high_index = np.clip(np.ceil(at.max(axis=1)) + 1, 0, self.shape).astype(int)
        a, b, c = (slice(int(x), int(y)) for x, y in zip(low_index, high_index, strict=True))
        return a, b, c

    def linear(self, values: NDArray[np.generic], box: Box, into: Float) -> None:
        """A box of the result, interpolated linearly, written into an array of its shape."""
        if not self._planes:
            self._eight_taps(values, box, into)
            return
        for plane, at in zip(into, self._by_plane(box), strict=True):
            taps = [
                placed(linear_taps(each, extent.whole), extent)
                for each, extent in zip(at, self._values, strict=True)
            ]
            interpolate(values, taps, plane[np.newaxis], self._scratch)

    def linear_exactly(self, values: NDArray[np.generic], box: Box, into: Float) -> None:
        """As :meth:`linear`: torch's last bits come out of a matrix with noise in it."""
        self.linear(values, box, into)

    def nearest(self, values: NDArray[Kind], box: Box) -> NDArray[Kind]:
        """A box of the result, each voxel from the nearest one."""
        result = np.zeros([side.stop - side.start for side in box], values.dtype)
        if self._planes:
            for plane, at in zip(result, self._by_plane(box), strict=True):
                plane[...] = take_nearest(values, at, self._values)[0]
            return result
        index, known = [], np.ones(result.shape, bool)
        for extent, each in zip(self._values, self._coordinates(box), strict=True):
            place = extent.place(nearest_index(each))
            known &= (place >= 0) & (place < extent.size)
            index.append(np.clip(place, 0, extent.size - 1))
        np.copyto(result, values[tuple(index)], where=known)
        return result

    def _by_plane(self, box: Box) -> Iterator[list[Weights]]:
        """For each plane of a box the coordinates along each axis."""
        matrix = self._matrix
        for plane in range(box[0].start, box[0].stop):
            found = [matrix[0, 0] * np.array([float(plane)]) + matrix[0, 3]]
            for axis in (1, 2):
                at = np.arange(box[axis].start, box[axis].stop, dtype=np.float64)
                found.append(matrix[axis, axis] * at + matrix[axis, 0] * plane + matrix[axis, 3])
            yield [
                np.clip(at, 0.0, extent.whole - 1.0)
                for at, extent in zip(found, self._values, strict=True)
            ]

    def _coordinates(self, box: Box) -> list[Weights]:
        """Where a box's voxels lie in the input's frame, clipped to it."""
        a, b, c = np.ix_(*(np.arange(side.start, side.stop, dtype=np.float64) for side in box))
        return [
            np.clip(u * a + v * b + w * c + offset, 0.0, extent.whole - 1.0)
            for (u, v, w, offset), extent in zip(self._matrix, self._values, strict=True)
        ]

    def _eight_taps(self, values: NDArray[np.generic], box: Box, into: Float) -> None:
        axes = []
        for extent, at in zip(self._values, self._coordinates(box), strict=True):
            low = np.floor(at).astype(np.intp)
            weight = (at - low).astype(np.float32)
            sides = []
            for index, share in ((low, 1 - weight), (low + 1, weight)):
                place = extent.place(np.minimum(index, extent.whole - 1))
                inside = (place >= 0) & (place < extent.size)
                sides.append(
                    (np.clip(place, 0, extent.size - 1), np.where(inside, share, np.float32(0)))
                )
            axes.append(sides)
        into[...] = 0
        for corner in np.ndindex(2, 2, 2):
            (a, u), (b, v), (c, w) = (sides[n] for sides, n in zip(axes, corner, strict=True))
            into += np.multiply(u * v * w, values[a, b, c])


def _parallel(matrix: NDArray[np.float64], shape: Sequence[int]) -> bool:
    sides = np.asarray(shape, np.float64) - 1
    off = np.abs(matrix - np.diag(np.diag(matrix)))
    return bool((off @ sides).max() < PARALLEL_VOXELS)
