"""Values between voxels along one axis, as ``torch.grid_sample`` gives them (edge repeated).

Between grids whose axes are parallel, linear interpolation is three interpolations along one
axis each: two taps instead of eight, and few temporaries. Coordinates and weights are float64,
values float32; :func:`interpolate_exactly` gives torch's own numbers to the last bit, for steps
that ask whether a value is 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Float = NDArray[np.float32]
Index = NDArray[np.intp]
Matrix = Annotated[NDArray[np.float64], "4x4; index of the result, 1 -> index of the input"]


@dataclass(frozen=True, eq=False)
class Taps:
    """Linear interpolation along one axis.

    Sample n of the result is ``low_weight[n] * input[low[n]] + high_weight[n] * input[high[n]]``.
    ``low`` and ``high`` grow (or fall) monotonically.
    """

    low: Index
    high: Index
    low_weight: NDArray[np.float64]
    high_weight: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.low)

    def __getitem__(self, part: slice) -> Taps:
        return Taps(self.low[part], self.high[part], self.low_weight[part], self.high_weight[part])

    @cached_property
    def weights(self) -> tuple[Float, Float]:
        """Both weights as float32."""
        return self.low_weight.astype(np.float32), self.high_weight.astype(np.float32)

    def same_as(self, length: int) -> bool:
        """Whether the result is the input's own ``length`` samples."""
        return (
            len(self.low) == length
            and np.array_equal(self.low, np.arange(length))
            and bool((self.low_weight == 1).all())
        )

    def touching(self, start: int, stop: int) -> slice:
        """Samples of the result that see any of the input's [start, stop)."""
        lowest, highest = np.minimum(self.low, self.high), np.maximum(self.low, self.high)
        seen = (highest >= start) & (lowest < stop)
        seen &= (self.low_weight != 0) | (self.high_weight != 0)
        at = np.flatnonzero(seen)
        return slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)


def coordinates(
    matrix: Matrix, count: Sequence[int], length: Sequence[int]
) -> list[NDArray[np.float64]]:
    """Where the result's samples lie along each axis of the input, clipped to its voxels.

    Only the diagonal and the last column of ``matrix`` count. The way goes through [-1, 1], as
    ``torch.nn.functional.affine_grid`` and ``grid_sample`` (align_corners False) go it in
    float64: a sample half way between two voxels is rounded by its last bit.

    Args:
        matrix: index of the result to index of the input.
        count: the result's shape.
        length: the input's shape.
    """
    theta = _to_unit(length) @ matrix @ np.linalg.inv(_to_unit(count))
    found = []
    for axis, (samples, voxels) in enumerate(zip(count, length, strict=True)):
        at = _unit_steps(samples) * theta[axis, axis] + theta[axis, 3]
        at = ((at + 1.0) * voxels - 1.0) / 2.0
        found.append(np.clip(at, 0.0, voxels - 1.0))
    return found


def _to_unit(shape: Sequence[int]) -> Matrix:
    """Index to [-1, 1] from the first voxel's outer edge to the last one's."""
    sides = np.asarray(shape, np.float64)
    matrix = np.diag([*(2.0 / sides), 1.0])
    matrix[:3, 3] = 1.0 / sides - 1.0
    return matrix


def _unit_steps(count: int) -> NDArray[np.float64]:
    """Centres of ``count`` voxels that fill [-1, 1]; counted from both ends, so symmetric."""
    if count < 2:
        return np.zeros(count)
    n = np.arange(count)
    # In long double, since torch fuses multiplication and addition and rounds once.
    step = np.longdouble(2.0 / (count - 1))
    ends = np.where(n < count // 2, step * n - 1, 1 - step * (count - 1 - n)).astype(np.float64)
    return np.asarray(ends * (count - 1) / count, np.float64)


def linear_taps(at: NDArray[np.float64], length: int) -> Taps:
    """Taps for coordinates in [0, length - 1]."""
    low = np.minimum(np.floor(at).astype(np.intp), length - 1)
    return Taps(low, np.minimum(low + 1, length - 1), low + 1 - at, at - low)


def nearest_index(at: NDArray[np.float64]) -> Index:
    """The nearest voxel of each coordinate; of two equally near ones the even one."""
    return np.asarray(np.rint(at), np.intp)


class Scratch:
    """Memory that is used again: fresh pages cost several times the arithmetic on them.

    Not for two threads at a time.
    """

    def __init__(self) -> None:
        self._kept: dict[str, NDArray[np.uint8]] = {}

    def array(self, name: str, shape: Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """An array with any content; the next one of that name takes its place."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        kept = self._kept.get(name)
        if kept is None or kept.size < size:
            kept = self._kept[name] = np.empty(size, np.uint8)
        return kept[:size].view(dtype).reshape(shape)


def interpolate(
    values: NDArray[np.generic], taps: Sequence[Taps], into: Float, scratch: Scratch
) -> None:
    """A slab by three interpolations along one axis each; the one that shrinks most first.

    Args:
        values: (a, b, c) of any real type, best with c contiguous.
        taps: one for each axis.
        into: where the (len(taps[0]), len(taps[1]), len(taps[2])) values go.
    """
    shape = list(values.shape)
    order = [axis for axis in range(3) if not taps[axis].same_as(shape[axis])]
    order.sort(key=lambda axis: len(taps[axis]) / shape[axis])
    # Gathering along the last axis is the dearest: before the rows where they grow.
    if 1 in order and 2 in order and len(taps[1]) > shape[1]:
        order.remove(2)
        order.insert(order.index(1), 2)
    if 0 in order and order[0] != 0:
        # Only the planes that are asked for.
        values, taps = _planes(values, taps)
        shape[0] = len(values)
    if not order:
        into[...] = values
    for axis in order:
        shape[axis] = len(taps[axis])
        # The last one writes the result; two buffers serve all others in turn.
        out = into if axis == order[-1] else scratch.array(f"step {axis}", shape)
        if axis == 0:
            _between_planes(values, taps[0], out, scratch)
        else:
            _along(values, taps[axis], axis, out, scratch)
        values = out


def _planes(
    values: NDArray[np.generic], taps: Sequence[Taps]
) -> tuple[NDArray[np.generic], Sequence[Taps]]:
    first = taps[0]
    start = int(min(first.low.min(), first.high.min()))
    stop = int(max(first.low.max(), first.high.max())) + 1
    moved = Taps(first.low - start, first.high - start, first.low_weight, first.high_weight)
    return values[start:stop], (moved, *taps[1:])


def _between_planes(values: NDArray[np.generic], taps: Taps, out: Float, scratch: Scratch) -> None:
    """Along the first axis: whole planes, no gathering."""
    other = scratch.array("other", out.shape[1:])
    low_weights, high_weights = taps.weights
    for n, plane in enumerate(out):
        np.multiply(values[taps.low[n]], low_weights[n], out=plane, dtype=np.float32)
        if high_weights[n]:
            np.multiply(values[taps.high[n]], high_weights[n], out=other, dtype=np.float32)
            plane += other


def _along(
    values: NDArray[np.generic], taps: Taps, axis: int, out: Float, scratch: Scratch
) -> None:
    """Along the second or third axis."""
    shape = [-1 if n == axis else 1 for n in range(3)]
    other = scratch.array("other", out.shape)
    places = (taps.low, taps.high)
    for at, weights, into in zip(places, taps.weights, (out, other), strict=True):
        direct = into.flags.c_contiguous and values.dtype == np.float32
        picked = into if direct else scratch.array("picked", into.shape, values.dtype)
        values.take(at, axis, out=picked, mode="clip")
        np.multiply(picked, weights.reshape(shape), out=into, dtype=np.float32)
    out += other


def interpolate_exactly(
    values: NDArray[np.generic], taps: Sequence[Taps], axes: Sequence[int]
) -> Float:
    """As :func:`interpolate`, with eight taps in torch's order of operations, in float64.

    Args:
        axes: which axis of torch's array (x, y, z) each axis of ``values`` is.
    """
    shape = tuple(len(t) for t in taps)
    result = np.zeros(shape)
    where = [axes.index(axis) for axis in range(3)]
    for corner in np.ndindex(2, 2, 2):
        weight, picked = np.ones(()), values
        # Weights are multiplied from the last of torch's axes to the first.
        for axis in reversed(range(3)):
            at, high = where[axis], corner[axis]
            tap = taps[at]
            along = tap.high_weight if high else tap.low_weight
            weight = weight * along.reshape([-1 if n == at else 1 for n in range(3)])
        for n in range(3):
            picked = picked.take(taps[n].high if corner[axes[n]] else taps[n].low, n)
        result += np.multiply(picked, weight)
    return result.astype(np.float32)
