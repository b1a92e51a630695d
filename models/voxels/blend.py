"""Adding up the outputs of overlapping patches, with a row of patches in memory.

Patches come x slowest, z fastest. A *bar* holds the sums of the patches that share x and y;
what the next patches along y still add to goes on into the next bar, what those along x still
add to is carried to the next row, and the rest is final. Each voxel's terms are added in the
patches' order, so that sums equal MONAI's to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import PatchRefused
from models.voxels.sampling import Box, Shape

if TYPE_CHECKING:
    from models.voxels.windows import WindowPlan

Float = NDArray[np.float32]
Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Block:
    """A part of an output that is final.

    Attributes:
        output: which of the network's outputs.
        box: where it lies in the output.
        whole: the output's (x, y, z), for the whole volume.
        values: (channels, x, y, z), weighted mean of the patches; the memory is used again when
            the next patch is added.
    """

    output: int
    box: Box
    whole: Shape
    values: Float


class Blend:
    """The weighted mean of one output.

    Args:
        lay: where the patches lie.
        channels: of the output.
        shape: the output's for one patch; may be at another scale than the patch.
        weights: of that shape; None: all 1.
    """

    def __init__(self, lay: WindowPlan, channels: int, shape: Shape, weights: Float | None) -> None:
        # In whole numbers: MONAI's int(start * (out / side)) is this, but for floats' rounding.
        self._spans = [
            [(start * out // side, start * out // side + out) for start in starts]
            for starts, side, out in zip(lay.starts, lay.patch, shape, strict=True)
        ]
        self._shape, self._channels, self._weights = shape, channels, weights
        self._keep, self._whole = _kept(lay, shape)
        # With weights of their own, their sum is one more channel.
        self._rows = channels + (weights is not None)
        self._counts = [] if weights is not None else self._counted(lay)
        deep = self._spans[2][-1][1]
        wide = self._spans[1][-1][1]
        overlap = max([0, *(a[1] - b[0] for a, b in _pairs(self._spans[0]))])
        self._carry = np.zeros((self._rows, overlap, wide, deep), np.float32)
        self._bar = np.zeros((self._rows, shape[0], shape[1], deep), np.float32)
        self._weighted = np.empty(shape, np.float32)
        self._next = [0, 0, 0]

    def add(self, patch: Float) -> Iterator[Block]:
        """Add the next patch, (channels, *shape); gives what has become final, if anything.

        Raises:
            PatchRefused: its shape differs from the first one's, or a value isn't finite.
        """
        if patch.shape != (self._channels, *self._shape):
            raise PatchRefused(
                f"an output has shape {patch.shape}, the first had {(self._channels, *self._shape)}"
            )
        row, column, place = self._next
        if place == 0:
            self._begin(row, column)
        low, high = self._spans[2][place]
        sums = self._bar[..., low:high]
        if self._weights is None:
            sums += patch
        else:
            for total, values in zip(sums, patch, strict=False):
                total += np.multiply(values, self._weights, out=self._weighted)
            sums[-1] += self._weights
        self._next[2] += 1
        if self._next[2] < len(self._spans[2]):
            return
        yield from self._end(row, column)
        self._next = [row, column + 1, 0] if column + 1 < len(self._spans[1]) else [row + 1, 0, 0]

    def _begin(self, row: int, column: int) -> None:
        """The bar moves on: what the last one left, then what the last row left, then zeros."""
        low, high = self._spans[1][column]
        kept = 0
        if column:
            before = self._spans[1][column - 1]
            kept, step = before[1] - low, low - before[0]
            # In pieces that don't reach into one another, or numpy would make a copy.
            for at in range(0, kept, max(1, step)):
                end = min(at + step, kept)
                self._bar[:, :, at:end] = self._bar[:, :, at + step : end + step]
        self._bar[:, :, kept:] = 0
        if row:
            thick = self._spans[0][row - 1][1] - self._spans[0][row][0]
            self._bar[:, :thick, kept:] = self._carry[:, :thick, low + kept : high]

    def _end(self, row: int, column: int) -> Iterator[Block]:
        x, y = self._spans[0], self._spans[1]
        last_row, last_column = row + 1 == len(x), column + 1 == len(y)
        # Up to here nothing more will be added.
        done_y = y[column][1] if last_column else y[column + 1][0]
        done_x = x[row][1] if last_row else x[row + 1][0]
        rows, columns = done_x - x[row][0], done_y - y[column][0]
        if not last_row:
            left = self._bar[:, rows:, :columns]
            self._carry[:, : left.shape[1], y[column][0] : done_y] = left
        box = slice(x[row][0], done_x), slice(y[column][0], done_y), slice(0, self._bar.shape[3])
        block = self._final(self._bar[:, :rows, :columns], box)
        if block is not None:
            yield block

    def _final(self, sums: Float, box: Box) -> Block | None:
        """Sums to means, without what was padding."""
        cut, place = [], []
        for part, keep in zip(box, self._keep, strict=True):
            low, high = max(part.start, keep.start), min(part.stop, keep.stop)
            if low >= high:
                return None
            cut.append(slice(low - part.start, high - part.start))
            place.append(slice(low - keep.start, high - keep.start))
        sums = sums[(slice(None), *cut)]
        if self._weights is None:
            counts = np.ones((), np.float32)
            for count, keep, at in zip(self._counts, self._keep, place, strict=True):
                counts = counts[..., np.newaxis] * count[keep][at]
            sums /= counts
        else:
            sums[:-1] /= sums[-1]
            sums = sums[:-1]
        _check_finite(sums)
        return Block(0, (place[0], place[1], place[2]), self._whole, sums)

    def _counted(self, lay: WindowPlan) -> list[Float]:
        """How many patches see a voxel is a product over the axes."""
        counts = []
        for spans, whole, side, out in zip(
            self._spans, lay.padded, lay.patch, self._shape, strict=True
        ):
            along = np.zeros(whole * out // side, np.float32)
            for low, high in spans:
                along[low:high] += 1
            counts.append(along)
        return counts


def _check_finite(values: Float) -> None:
    """A NaN is no class: left alone it would become background, silently."""
    # The sum of finite values can overflow, so it is only a suspicion; but it is one pass.
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(values.sum())
    if suspicious and not np.isfinite(values).all():
        raise PatchRefused(
            "the network gave values that are not finite; its weights or its precision do not "
            'suit this image (try precision = "fp32")'
        )


def _kept(lay: WindowPlan, shape: Shape) -> tuple[Box, Shape]:
    """Which part of the padded output the volume is, rounded as MONAI rounds it; its shape."""
    keep = []
    for image, padded, before, side, out in zip(
        lay.image, lay.padded, lay.before, lay.patch, shape, strict=True
    ):
        length = padded * out // side
        if lay.image == lay.padded:
            keep.append(slice(0, length))
            continue
        zoom = length / side
        stop = min(round((before + image) * zoom), length)
        keep.append(slice(round(before * zoom), stop))
    sizes = [part.stop - part.start for part in keep]
    return (keep[0], keep[1], keep[2]), (sizes[0], sizes[1], sizes[2])


def _pairs(spans: Sequence[Span]) -> Iterator[tuple[Span, Span]]:
    return zip(spans, spans[1:], strict=False)
