"""The spatial steps between a source grid and the grid a network worked on, and the way back.

Every step is one of three: axes turned (permuted, flipped), a box cropped (or padded), or a
new spacing. What a crop left out is 0 on the way back, as ``Invertd`` makes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from models.voxels.frames import Axes, to_kji
from models.voxels.interpolation import Matrix
from models.voxels.sampling import Box, Extent, Shape, memory_order
from models.voxels.shear import sampling_of


@dataclass(frozen=True, eq=False)
class Part:
    """An array (x, y, z) that fills a box of a frame of ``whole`` voxels from ``start`` on."""

    array: NDArray[np.generic]
    start: Shape
    whole: Shape

    def extents(self, flips: Sequence[bool] = (False, False, False)) -> list[Extent]:
        """Where it lies on each of the frame's axes; ``flips`` turns the array's axes round."""
        return [
            Extent(whole, start, size, flip)
            for whole, start, size, flip in zip(
                self.whole, self.start, self.array.shape, flips, strict=True
            )
        ]


@dataclass(frozen=True)
class Turned:
    """Axis n of the result is axis ``axes[n]`` of the input, reversed where ``flips[n]``."""

    axes: Axes
    flips: tuple[bool, bool, bool]
    before: Shape
    """The input's shape."""

    def matrix(self) -> Matrix:
        """Index of the result to index of the input."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1.0
        for n, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            matrix[axis, n] = -1.0 if flip else 1.0
            matrix[axis, 3] = self.before[axis] - 1 if flip else 0.0
        return matrix

    def apply(self, part: Part) -> Part:
        """A part of the input as a part of the result; a view."""
        turned = Part(
            part.array.transpose(self.axes), picked(part.start, self.axes),
            picked(part.whole, self.axes),
        )  # fmt: skip
        return _flipped(turned, self.flips)

    def undo(self, part: Part) -> Part:
        """A part of the result as a part of the input; a view."""
        part = _flipped(part, self.flips)
        back = three(self.axes.index(axis) for axis in range(3))
        return Part(part.array.transpose(back), picked(part.start, back), picked(part.whole, back))


@dataclass(frozen=True)
class Cropped:
    """The box of ``shape`` voxels that begins at ``start`` (below 0: padded with zeros)."""

    start: Shape
    shape: Shape
    before: Shape
    """The input's shape."""

    def matrix(self) -> Matrix:
        """Index of the result to index of the input."""
        matrix = np.eye(4)
        matrix[:3, 3] = self.start
        return matrix

    def apply(self, part: Part) -> Part:
        """The part of the box that a part of the input fills; a view."""
        cut, start = [], []
        for low, size, at, have in zip(
            self.start, self.shape, part.start, part.array.shape, strict=True
        ):
            first = min(max(low - at, 0), have)
            cut.append(slice(first, max(first, min(low + size - at, have))))
            start.append(max(at - low, 0))
        return Part(part.array[tuple(cut)], three(start), self.shape)

    def undo(self, part: Part) -> Part:
        """Where a part of the box lies in the input."""
        start = three(at + low for at, low in zip(part.start, self.start, strict=True))
        return Part(part.array, start, self.before)


@dataclass(frozen=True, eq=False)
class Spaced:
    """A new spacing: ``forward`` takes an index of the result to one of the input.

    ``back`` takes an index of the input to one of the result. Not quite inverse to one
    another in the last bits, as they are not in MONAI.
    """

    forward: Matrix
    back: Matrix
    before: Shape
    after: Shape


Step = Turned | Cropped | Spaced


@dataclass(frozen=True, eq=False)
class Trail:
    """What was done to a volume's axes, in order.

    Args:
        source: (x, y, z) of the source grid.
        steps: at most one of them :class:`Spaced`.
    """

    source: Shape
    steps: tuple[Step, ...] = ()

    @property
    def working(self) -> Shape:
        """(x, y, z) of the grid at the end."""
        shape = self.source
        for step in self.steps:
            if isinstance(step, Turned):
                shape = picked(shape, step.axes)
            else:
                shape = step.shape if isinstance(step, Cropped) else step.after
        return shape


class WayBack:
    """Takes arrays on the working grid back to (k, j, i) of the source grid.

    A working array is *stored* so that its axes lie in memory as the source's do
    (:meth:`store`); :attr:`sampling` takes it to boxes of :meth:`target`, which is the part of
    a (k, j, i) array that the working grid reaches.
    """

    def __init__(self, trail: Trail) -> None:
        spaced = next((s for s in trail.steps if isinstance(s, Spaced)), None)
        cut = trail.steps.index(spaced) if spaced else len(trail.steps)
        self._before = [s for s in trail.steps[:cut] if not isinstance(s, Spaced)]
        self._after = [s for s in trail.steps[cut:] if not isinstance(s, Spaced)]
        reached = self._reach(_c_order(trail.source[::-1]))
        self._order, self._flips = memory_order(reached.array.strides)
        working = Part(_c_order(trail.working), (0, 0, 0), trail.working)
        for step in reversed(self._after):
            working = step.undo(working)
        self._stored = picked(working.array.shape, self._order)
        self.sampling = sampling_of(
            spaced.back if spaced else None, self._order,
            reached.extents(self._flips), working.extents(),
        )  # fmt: skip
        self.resamples = spaced is not None
        """Whether the working grid's spacing is another one than the source's."""

    def store(
        self, channels: int, dtype: DTypeLike
    ) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """A zeroed array for working values: (c, ...) as they are stored, and as (c, x, y, z)."""
        stored = np.zeros((channels, *self._stored), dtype)
        view = stored.transpose(0, *(1 + self._order.index(axis) for axis in range(3)))
        for step in self._after:
            if isinstance(step, Turned):
                view = view.transpose(0, *(1 + axis for axis in step.axes))
                view = view[(slice(None), *(_reversed(flip) for flip in step.flips))]
        return stored, view

    def target(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The part of a (k, j, i) array on the source grid that can be reached; a view."""
        part = self._reach(array).array
        part = part[tuple(_reversed(flip) for flip in self._flips)]
        return part.transpose(self._order)

    def slabs(self, planes: int, within: Box | None = None) -> Iterable[Box]:
        """Boxes of :meth:`target` that fill it (or a box of it), ``planes`` thick."""
        a, b, c = within or (slice(0, n) for n in self.sampling.shape)
        for start in range(a.start, a.stop, planes):
            yield slice(start, min(start + planes, a.stop)), b, c

    def _reach(self, array: NDArray[np.generic]) -> Part:
        """The part of a (k, j, i) array that can be reached, in the frame before the spacing."""
        view = to_kji(array)
        part = Part(view, (0, 0, 0), three(view.shape))
        for step in self._before:
            part = step.apply(part)
        return part


def three(values: Iterable[int | np.integer]) -> Shape:
    """Three numbers as a tuple of int."""
    x, y, z = (int(v) for v in values)
    return x, y, z


def picked(values: Sequence[int], axes: Sequence[int]) -> Shape:
    """``values`` in the order of ``axes``."""
    return values[axes[0]], values[axes[1]], values[axes[2]]


def _flipped(part: Part, flips: Sequence[bool]) -> Part:
    start = [
        whole - at - size if flip else at
        for flip, whole, at, size in zip(
            flips, part.whole, part.start, part.array.shape, strict=True
        )
    ]
    return Part(part.array[tuple(_reversed(flip) for flip in flips)], three(start), part.whole)


def _reversed(flip: bool) -> slice:
    return slice(None, None, -1) if flip else slice(None)


def _c_order(shape: Shape) -> NDArray[np.generic]:
    """An array that takes no memory but has the strides of one in C order; not to be read."""
    _, b, c = shape
    one = np.zeros(1, np.uint8)
    return np.lib.stride_tricks.as_strided(one, shape, (b * c, c, 1), writeable=False)
