"""From blended outputs to labels on the source grid, block by block and slab by slab.

The same labels as ``Activationsd``, ``Invertd`` and ``AsDiscreted`` in MONAI, without ever
holding the channels on the source grid. Two ways:

- *select, then return*: labels are chosen on the working grid while blocks come in, and each
  source voxel takes the nearest one's. For ``after-select``, for nearest interpolation, and
  where the spacing never changed.
- *return, then select*: probabilities are kept on the working grid; of each source voxel the
  channel with the greatest interpolated one wins. A channel can win only near voxels where it
  beats channel 0, so each is interpolated in that box alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Grid, Shape3
from models.errors import PatchRefused
from models.recipe import Finish
from models.voxels.blend import Block
from models.voxels.interpolation import Scratch
from models.voxels.labelmap import LabelMap
from models.voxels.sampling import Box
from models.voxels.selection import (
    Confidence,
    Float,
    Labels,
    Selection,
    activated,
    confidence,
    softmax_difference,
    take_greater,
)
from models.voxels.trail import Trail, WayBack

Kind = TypeVar("Kind", bound=np.generic)

PLANES = 1
"""Planes of the source grid worked on at a time: what fits a cache."""


class _Way(Protocol):
    def add(self, block: Block) -> None: ...
    def result(self, shape: Shape3) -> tuple[Labels, Confidence | None]: ...


class Finishing:
    """Takes an output's blocks and gives the label map.

    Args:
        finish: the recipe's.
        trail: of the prepared image.
        grid: the source's, LPS mm.
    """

    def __init__(self, finish: Finish, trail: Trail, grid: Grid) -> None:
        self._finish, self._grid = finish, grid
        self._back = WayBack(trail)
        self._working = trail.working
        self._way: _Way | None = None

    def add(self, block: Block) -> None:
        """Take a block of the network's output on the working grid.

        Raises:
            PatchRefused: the output isn't on the working grid.
            SpecError: ``finish.merge`` names a channel that the output lacks.
        """
        if block.whole != self._working:
            raise PatchRefused(
                f"the output has {block.whole} voxels for an input of {self._working}; a "
                "segmentation needs one of the input's size"
            )
        if self._way is None:
            selection = Selection.of(self._finish, len(block.values))
            self._way = self._choose(selection)
        self._way.add(block)

    def label_map(self) -> LabelMap:
        """The labels on the source grid, after the last block; call once."""
        assert self._way is not None, "no block was added"
        labels, sure = self._way.result(self._grid.shape)
        return LabelMap(labels, self._grid, sure)

    def _choose(self, selection: Selection) -> _Way:
        nearest = self._finish.interpolation == "nearest"
        if self._finish.invert == "after-select" or nearest or not self._back.resamples:
            return _SelectThenReturn(selection, self._back)
        if selection.pairs:
            return _ReturnThenThreshold(selection, self._back)
        return _ReturnThenGreatest(selection, self._back)


def finish(values: Float, finish: Finish, trail: Trail, grid: Grid) -> LabelMap:
    """As :class:`Finishing`, for an output that is whole: (channels, x, y, z)."""
    finishing = Finishing(finish, trail, grid)
    x, y, z = values.shape[1:]
    finishing.add(Block(0, (slice(0, x), slice(0, y), slice(0, z)), (x, y, z), values))
    return finishing.label_map()


def labels_back(labels: NDArray[Kind], trail: Trail, grid: Grid) -> NDArray[Kind]:
    """(x, y, z) on the working grid as (k, j, i) on the source grid, from the nearest voxel.

    0 where a crop left the source out.
    """
    back = WayBack(trail)
    stored, view = back.store(1, labels.dtype)
    view[0] = labels
    return _nearest(back, stored[0], grid.shape)


class _SelectThenReturn:
    def __init__(self, selection: Selection, back: WayBack) -> None:
        self._selection, self._back = selection, back
        self._labels, self._view = back.store(1, selection.label_type)
        if selection.confident:
            self._sure, self._sure_view = back.store(1, np.uint8)

    def add(self, block: Block) -> None:
        labels, sure = self._selection.choose(block.values)
        self._view[(0, *block.box)] = labels
        if sure is not None:
            self._sure_view[(0, *block.box)] = sure

    def result(self, shape: Shape3) -> tuple[Labels, Confidence | None]:
        labels = _nearest(self._back, self._labels[0], shape)
        if not self._selection.confident:
            return labels, None
        return labels, _nearest(self._back, self._sure[0], shape)


class _ReturnThenGreatest:
    """Argmax of interpolated probabilities; of two channels their difference is enough."""

    def __init__(self, selection: Selection, back: WayBack) -> None:
        self._selection, self._back = selection, back
        self._two = selection.channels == 2 and selection.finish.activation != "sigmoid"
        self._stored, self._view = back.store(1 if self._two else selection.channels, np.float32)
        self._scratch = Scratch()

    def add(self, block: Block) -> None:
        activation = self._selection.finish.activation
        if self._two and activation == "softmax":
            values = softmax_difference(block.values)[np.newaxis]
        else:
            values = activated(block.values, activation)
            if self._two:
                values = values[1:] - values[:1]
        self._view[(slice(None), *block.box)] = values

    def result(self, shape: Shape3) -> tuple[Labels, Confidence | None]:
        labels, sure = _empty(self._selection, shape)
        into = self._back.target(labels)
        sure_into = None if sure is None else self._back.target(sure)
        if self._two:
            boxes = [_box_of(self._stored[0] > 0)]
        else:
            boxes = [_box_of(values > self._stored[0]) for values in self._stored[1:]]
        boxes = [self._back.sampling.seen_from(box) for box in boxes]
        for slab in self._back.slabs(PLANES, _hull(boxes)):
            first = self._interpolated(0, slab)
            if self._two:
                found, certain = self._selection.difference(first)
            else:
                found, certain = self._greatest(first, slab, boxes)
            into[slab] = found
            if sure_into is not None and certain is not None:
                sure_into[slab] = certain
        return labels, sure

    def _greatest(
        self, best: Float, slab: Box, boxes: Sequence[Box]
    ) -> tuple[Labels, Confidence | None]:
        labels = np.zeros(best.shape, self._selection.label_type)
        for channel, box in enumerate(boxes, start=1):
            both = _common(slab, box)
            if both is None:
                continue
            at = tuple(
                slice(b.start - s.start, b.stop - s.start) for b, s in zip(both, slab, strict=True)
            )
            take_greater(best[at], labels[at], self._interpolated(channel, both), channel)
        return labels, confidence(best, labels) if self._selection.confident else None

    def _interpolated(self, channel: int, box: Box) -> Float:
        """Overwritten by the next channel's, the first one's by the next slab's."""
        values: Float = self._scratch.array(
            "first" if channel == 0 else "other", [side.stop - side.start for side in box]
        )
        self._back.sampling.linear(self._stored[channel], box, values)
        return values


class _ReturnThenThreshold:
    """Thresholds of interpolated probabilities, channel by channel."""

    def __init__(self, selection: Selection, back: WayBack) -> None:
        self._selection, self._back = selection, back
        self._channels = [channel for channel, _ in selection.pairs]
        self._stored, self._view = back.store(len(self._channels), np.float32)

    def add(self, block: Block) -> None:
        values = activated(block.values, self._selection.finish.activation)
        for view, channel in zip(self._view, self._channels, strict=True):
            view[block.box] = values[channel]

    def result(self, shape: Shape3) -> tuple[Labels, Confidence | None]:
        labels, sure = _empty(self._selection, shape)
        into = self._back.target(labels)
        sure_into = None if sure is None else self._back.target(sure)
        threshold = np.float32(self._selection.finish.threshold)
        scratch = Scratch()
        hull = _hull([self._back.sampling.seen_from(_box_of(v >= threshold)) for v in self._stored])
        for slab in self._back.slabs(PLANES, hull):
            values = scratch.array("values", (len(self._stored), *(s.stop - s.start for s in slab)))
            for stored, channel in zip(self._stored, values, strict=True):
                self._back.sampling.linear(stored, slab, channel)
            found, certain = self._selection.above(list(values))
            into[slab] = found
            if sure_into is not None and certain is not None:
                sure_into[slab] = certain
        return labels, sure


def _nearest(back: WayBack, stored: NDArray[Kind], shape: Shape3) -> NDArray[Kind]:
    result = np.zeros(shape, stored.dtype)
    into = back.target(result)
    for slab in back.slabs(PLANES):
        into[slab] = back.sampling.nearest(stored, slab)
    return result


def _empty(selection: Selection, shape: Shape3) -> tuple[Labels, Confidence | None]:
    labels = np.zeros(shape, selection.label_type)
    return labels, np.zeros(shape, np.uint8) if selection.confident else None


def _box_of(where: NDArray[np.bool_]) -> Box:
    """The smallest box around what is True."""
    sides = []
    for axis in range(3):
        at = np.flatnonzero(where.any(axis=tuple(n for n in range(3) if n != axis)))
        sides.append(slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0))
    return sides[0], sides[1], sides[2]


def _hull(boxes: Sequence[Box]) -> Box:
    """The smallest box around all that aren't empty."""
    full = [box for box in boxes if all(side.start < side.stop for side in box)]
    if not full:
        return slice(0, 0), slice(0, 0), slice(0, 0)
    a, b, c = (
        slice(min(box[n].start for box in full), max(box[n].stop for box in full)) for n in range(3)
    )
    return a, b, c


def _common(one: Box, other: Box) -> Box | None:
    a, b, c = (
        slice(max(s.start, t.start), min(s.stop, t.stop)) for s, t in zip(one, other, strict=True)
    )
    return (a, b, c) if all(side.start < side.stop for side in (a, b, c)) else None
