"""A recipe's steps from voxels to the network's input, with MONAI's numbers.

Each step equals the MONAI transform that :mod:`models.recipe` names (read from MONAI 1.6). The
source's int16 is read slab by slab; only the result, float32 on the working grid, is ever whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from models.recipe import CropForeground, Normalise, Orient, PrepareStep, Rescale, Space, Window
from models.voxels.frames import Affine, Array, Image, closest_axes
from models.voxels.interpolation import Float, Matrix
from models.voxels.sampling import Extent, Shape, memory_order
from models.voxels.shear import sampling_of
from models.voxels.trail import Cropped, Spaced, Step, Trail, Turned, three

Channels = Annotated[NDArray[np.float32], "c, x, y, z"]

How = Literal["linear", "exact", "nearest"]

SAME = 1e-3
"""Spacings in mm and matrix entries nearer than this are the same (MONAI's AFFINE_TOL)."""
SLAB = 16
"""Planes resampled at a time: a cache line of float32."""
PART = 1 << 18
"""Voxels worked on at a time: 1 MB."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The network's input.

    Args:
        voxels: (c, x, y, z) float32, contiguous.
        affine: (x, y, z, 1) to RAS mm.
        trail: the spatial steps taken, for the way back.
    """

    voxels: Channels
    affine: Affine
    trail: Trail


def prepare(image: Image, steps: Sequence[PrepareStep]) -> Prepared:
    """Run a recipe's steps on an image; the image is left as it is.

    Raises:
        ValueError: there are two :class:`~models.recipe.Space` steps.
    """
    if sum(isinstance(step, Space) for step in steps) > 1:
        raise ValueError("a recipe can change the spacing once; prepare has two space steps")
    work = _Work(image)
    todo = list(steps)
    while todo:
        step = todo.pop(0)
        if isinstance(step, Orient):
            work.orient(step)
        elif isinstance(step, Space):
            windows = _leading_windows(todo)
            work.space(step, windows, exactly=any(map(_asks_for_zero, todo)))
            todo = todo[len(windows) :]
        elif isinstance(step, Window):
            work.window(step)
        elif isinstance(step, Normalise):
            work.normalise(step)
        elif isinstance(step, Rescale):
            work.rescale(step)
        else:
            work.crop(step)
    return work.done()


def _leading_windows(steps: Sequence[PrepareStep]) -> list[Window]:
    found: list[Window] = []
    for step in steps:
        if not isinstance(step, Window):
            break
        found.append(step)
    return found


def _asks_for_zero(step: PrepareStep) -> bool:
    """Whether a value of 1e-7 instead of 0 would change a lot."""
    return isinstance(step, CropForeground) or (isinstance(step, Normalise) and step.nonzero)


class _Work:
    """An image on its way; ``_voxels`` is the source's own until a step has to write."""

    def __init__(self, image: Image) -> None:
        self._voxels: NDArray[np.generic] = image.voxels
        self._affine = np.array(image.affine, np.float64)
        self._unspaced = self._affine
        self._own = False
        self._source = three(image.voxels.shape[1:])
        self._steps: list[Step] = []

    def done(self) -> Prepared:
        voxels = self._voxels
        if not (self._own and voxels.flags.c_contiguous):
            voxels = _copied(voxels, ())
        trail = Trail(self._source, tuple(self._settled()))
        return Prepared(np.asarray(voxels, np.float32), self._affine, trail)

    def _settled(self) -> Iterator[Step]:
        """The steps; the way back through a spacing begins at the last affine, as in MONAI."""
        affine, steps = self._affine, []
        for step in reversed(self._steps):
            if isinstance(step, Spaced):
                step = replace(step, back=_solved(affine, self._unspaced))
            else:
                affine = affine @ np.rint(np.linalg.inv(step.matrix()))
            steps.append(step)
        return reversed(steps)

    def orient(self, step: Orient) -> None:
        turned = turn_to(step.axes, self._affine, self._shape)
        if turned.axes == (0, 1, 2) and not any(turned.flips):
            return
        voxels = self._voxels.transpose(0, *(1 + axis for axis in turned.axes))
        flips = (slice(None, None, -1) if flip else slice(None) for flip in turned.flips)
        self._affine = self._affine @ turned.matrix()
        self._voxels = voxels[(slice(None), *flips)]
        self._steps.append(turned)

    def space(self, step: Space, windows: Sequence[Window], *, exactly: bool) -> None:
        spaced, affine = respace(step.spacing_mm, self._affine, self._shape)
        if spaced is None:
            for window in windows:
                self.window(window)
            return
        how: How = "exact" if exactly else "linear"
        if step.interpolation == "nearest":
            how = "nearest"
        self._voxels = _resampled(self._voxels, spaced, how, windows)
        self._own = True
        self._unspaced, self._affine = self._affine, affine
        self._steps.append(spaced)

    def window(self, step: Window) -> None:
        if not self._own:
            self._voxels, self._own = _copied(self._voxels, (step,)), True
            return
        for part in _parts(self._owned()):
            window_in_place(part, step)

    def normalise(self, step: Normalise) -> None:
        voxels = self._owned()
        for group in voxels[:, np.newaxis] if step.channel_wise else [voxels]:
            _normalise(group, step)

    def rescale(self, step: Rescale) -> None:
        voxels = self._owned()
        for group in voxels[:, np.newaxis] if step.channel_wise else [voxels]:
            _rescale(group, step)

    def crop(self, step: CropForeground) -> None:
        box = foreground(self._voxels, step.margin, allow_smaller=step.allow_smaller)
        if box is None:
            return
        start, stop = box
        shape = self._shape
        size = three(b - a for a, b in zip(start, stop, strict=True))
        cropped = Cropped(three(start), size, shape)
        inside = tuple(
            slice(max(a, 0), min(b, n)) for a, b, n in zip(start, stop, shape, strict=True)
        )
        self._voxels = self._voxels[(slice(None), *inside)]
        if any(a < 0 for a in start) or any(b > n for b, n in zip(stop, shape, strict=True)):
            around = [
                (max(-a, 0), max(b - n, 0)) for a, b, n in zip(start, stop, shape, strict=True)
            ]
            self._voxels = np.pad(self._voxels, [(0, 0), *around])
            self._own = self._own and self._voxels.dtype == np.float32
        self._affine = self._affine @ cropped.matrix()
        self._steps.append(cropped)

    @property
    def _shape(self) -> Shape:
        return three(self._voxels.shape[1:])

    def _owned(self) -> Float:
        if not self._own:
            self._voxels, self._own = _copied(self._voxels, ()), True
        return np.asarray(self._voxels, np.float32)


def turn_to(axes: str, affine: Affine, shape: Shape) -> Turned:
    """How to turn an image so that its axes lie along e.g. ``RAS``."""
    where, signs = closest_axes(affine)
    order, flips = [], []
    for letter in axes:
        row, sign = "RLAPSI".index(letter) // 2, 1 if letter in "RAS" else -1
        axis = where.index(row)
        order.append(axis)
        flips.append(signs[axis] != sign)
    return Turned(three(order), (flips[0], flips[1], flips[2]), shape)


def respace(
    spacing_mm: Sequence[float], affine: Affine, shape: Shape
) -> tuple[Spaced | None, Affine]:
    """The grid of another spacing over the same field of view, as MONAI's ``Spacing`` lays it.

    The first voxels' centres coincide where the axes are perpendicular (to 1e-8 voxels);
    otherwise shear is removed and the two grids share their middle.

    Returns:
        The step (None where nothing changes) and the new affine.
    """
    now = np.linalg.norm(affine[:3, :3], axis=0)
    wanted = np.asarray(spacing_mm, np.float64)
    wanted = np.where((wanted <= 0) | (np.abs(now - wanted) <= SAME), now, wanted)
    upper = np.linalg.cholesky(affine[:3, :3].T @ affine[:3, :3]).T
    target = np.eye(4)
    target[:3, :3] = affine[:3, :3] @ np.linalg.inv(upper) @ np.diag(wanted)

    corners = np.stack(np.meshgrid(*((0.0, n - 1.0) for n in shape), indexing="ij"))
    corners = np.concatenate([corners.reshape(3, -1), np.ones((1, 8))])
    seen = (_solved(target, affine) @ corners)[:3]
    size = three(np.round(np.ptp(seen, axis=1) + 1.0))
    middle = np.asarray(shape) / 2.0, np.asarray(size) / 2.0
    target[:3, 3] = affine[:3, :3] @ middle[0] + affine[:3, 3] - target[:3, :3] @ middle[1]
    for n in range(8):
        if np.allclose((seen - seen[:, n : n + 1]).min(axis=1), 0.0):
            target[:3, 3] = (affine @ corners)[:3, n]
            break

    forward = _solved(affine, target)
    if size == shape and (
        np.allclose(affine, target, atol=SAME) or np.allclose(forward, np.eye(4), atol=SAME)
    ):
        return None, affine
    result = affine @ forward
    return Spaced(forward, _solved(result, affine), shape, size), result


def _solved(matrix: Matrix, values: Matrix) -> Matrix:
    """The matrix that ``matrix`` takes to ``values``."""
    return np.asarray(np.linalg.solve(matrix, values), np.float64)


def foreground(
    voxels: Array, margin: int, *, allow_smaller: bool
) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """First and last + 1 index of what is above 0 in any channel, with a margin in voxels.

    None where nothing is: the image is then left whole (MONAI would make it empty).
    """
    low, high = [], []
    for axis, size in zip((1, 2, 3), voxels.shape[1:], strict=True):
        others = tuple(n for n in range(4) if n != axis)
        at = np.flatnonzero(voxels.max(axis=others) > 0)
        if not len(at):
            return None
        first, last = int(at[0]) - margin, int(at[-1]) + margin + 1
        low.append(max(first, 0) if allow_smaller else first)
        high.append(min(last, size) if allow_smaller else last)
    return tuple(low), tuple(high)


def _resampled(
    voxels: NDArray[np.generic],
    spaced: Spaced,
    how: How,
    windows: Sequence[Window],
) -> Float:
    """(c, x, y, z) on the new grid; ``windows`` are applied while a slab is in the cache."""
    result = np.empty((len(voxels), *spaced.after), np.float32)
    order, flips = memory_order(voxels.strides[1:])
    back = tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)
    sampling = sampling_of(
        spaced.forward, order,
        [Extent(n, 0, n) for n in spaced.after],
        [Extent(n, 0, n, flip) for n, flip in zip(spaced.before, flips, strict=True)],
    )  # fmt: skip
    planes, rows, columns = sampling.shape
    # Growing, a source plane serves several planes of a slab; shrinking, one at a time is best.
    step = SLAB if planes > spaced.before[order[0]] else 1
    slab = np.empty((min(SLAB, planes), rows, columns), np.float32)
    for channel, values in zip(result, voxels, strict=True):
        straight = values[back].transpose(order)
        out = channel.transpose(order)
        for first in range(0, planes, SLAB):
            last = min(first + SLAB, planes)
            for plane in range(first, last, step):
                box = slice(plane, min(plane + step, last)), slice(0, rows), slice(0, columns)
                part = slab[plane - first : box[0].stop - first]
                if how == "nearest":
                    part[...] = sampling.nearest(straight, box)
                elif how == "exact":
                    sampling.linear_exactly(straight, box, part)
                else:
                    sampling.linear(straight, box, part)
                for window in windows:
                    window_in_place(part, window)
            # A cache line of the result at a time, whichever way its axes lie.
            out[first:last] = slab[: last - first]
    return result


def window_in_place(values: Float, step: Window) -> None:
    """``ScaleIntensityRange``, in its order of operations."""
    values -= np.float32(step.low)
    if step.high == step.low:
        values += np.float32(step.to_low)
        return
    values /= np.float32(step.high - step.low)
    if (step.to_low, step.to_high) != (0.0, 1.0):
        values *= np.float32(step.to_high - step.to_low)
        values += np.float32(step.to_low)
    if step.clip:
        np.clip(values, step.to_low, step.to_high, out=values)


def _normalise(values: Float, step: Normalise) -> None:
    """``NormalizeIntensity`` of all of ``values``; the population's deviation."""
    count = np.count_nonzero(values) if step.nonzero else values.size
    if count == 0:
        return
    mean = step.mean
    if mean is None:
        # Zeros add nothing to the sum, so none have to be left out.
        mean = sum(float(part.sum(dtype=np.float64)) for part in _parts(values)) / count
    deviation = step.deviation
    if deviation is None:
        own = sum(float(part.sum(dtype=np.float64)) for part in _parts(values)) / count
        total = 0.0
        for part in _parts(values):
            off = part - np.float32(own)
            if step.nonzero:
                off[part == 0] = 0
            total += float(np.vdot(off, off))
        deviation = float(np.sqrt(total / count))
    deviation = deviation or 1.0
    for part in _parts(values):
        where = part != 0 if step.nonzero else np.True_
        np.subtract(part, np.float32(mean), out=part, where=where)
        np.divide(part, np.float32(deviation), out=part, where=where)


def _rescale(values: Float, step: Rescale) -> None:
    """``ScaleIntensity`` of all of ``values``."""
    low, high = values.min(), values.max()
    for part in _parts(values):
        if low == high:
            part *= np.float32(step.low)
            continue
        part -= low
        part /= high - low
        part *= np.float32(step.high - step.low)
        part += np.float32(step.low)


def _copied(voxels: NDArray[np.generic], windows: Sequence[Window]) -> Float:
    """float32, contiguous, new."""
    result = np.empty(voxels.shape, np.float32)
    for channel, values in zip(result, voxels, strict=True):
        # Slabs along z: the axis that is slowest in most sources, and the result's fastest.
        for first in range(0, values.shape[2], SLAB):
            part = np.array(values[..., first : first + SLAB], np.float32, order="K")
            for window in windows:
                window_in_place(part, window)
            channel[..., first : first + SLAB] = part
    return result


def _parts(values: Float) -> Iterator[Float]:
    """Slabs along x that fit a cache; views."""
    for channel in values:
        step = max(1, PART // max(1, channel[0].size))
        for first in range(0, len(channel), step):
            yield channel[first : first + step]
