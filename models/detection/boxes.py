"""From a one-stage detector's maps to boxes: anchors, decoding, the best ones, no doubles.

The numbers of MONAI's ``RetinaNetDetector`` after its network (read from MONAI 1.6:
``AnchorGenerator``, ``BoxCoder``, ``BoxSelector``), but only the boxes that can be chosen are
ever decoded: of the millions of anchors of a chest CT a few hundred.

Boxes are (n, 6) float32: lowest x, y, z, then highest, in voxels of the network's input, a
voxel's centre at its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

Boxes = Annotated[NDArray[np.float32], "n, 6"]
Map = Annotated[NDArray[np.float32], "channels, x, y, z"]
Anchors = Annotated[NDArray[np.float32], "anchors of one place, 6; about its centre"]

LARGEST_GROWTH = np.float32(np.log(1000.0 / 16))
"""A box is at most 62.5 times as long as its anchor (``BoxCoder.boxes_xform_clip``)."""
_TINY = np.finfo(np.float32).eps


@dataclass(frozen=True)
class Selection:
    """Which boxes are kept (``BoxSelector``).

    Args:
        score: boxes at or below it are left out.
        per_level: the best ones of each map go on.
        overlap: of two boxes of one class whose intersection over union is above it, the
            better stays.
        most: boxes of one image, at most.
        sigmoid: the maps hold logits.
    """

    score: float = 0.05
    per_level: int = 1000
    overlap: float = 0.5
    most: int = 300
    sigmoid: bool = True


@dataclass(frozen=True, eq=False)
class Found:
    """Boxes of one image with their scores (0 to 1) and classes (from 0), best first."""

    boxes: Boxes
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]


def find_boxes(
    class_maps: Sequence[Map],
    box_maps: Sequence[Map],
    anchors: Sequence[Anchors],
    *,
    padded: Sequence[int],
    size: Sequence[int],
    selection: Selection,
    weights: Sequence[float] = (1.0,) * 6,
) -> Found:
    """The boxes in the maps of one image.

    Args:
        class_maps: for each level (anchors x classes, x, y, z).
        box_maps: for each level (anchors x 6, x, y, z).
        anchors: for each level.
        padded: the network's input, voxels along (x, y, z).
        size: the part of it that is image; boxes are clipped to it.
        selection: which are kept.
        weights: that the regression was multiplied by in training.

    Raises:
        ValueError: maps and anchors don't fit.
    """
    if not len(class_maps) == len(box_maps) == len(anchors):
        raise ValueError(
            f"{len(class_maps)} class maps, {len(box_maps)} box maps and anchors for "
            f"{len(anchors)} levels"
        )
    boxes, scores, classes = [], [], []
    for logits, codes, base in zip(class_maps, box_maps, anchors, strict=True):
        level = _level(logits, codes, base, padded, selection, np.asarray(weights, np.float32))
        clipped, kept = clip(level.boxes, size)
        boxes.append(clipped)
        scores.append(level.scores[kept])
        classes.append(level.classes[kept])
    found = Found(np.concatenate(boxes), np.concatenate(scores), np.concatenate(classes))
    best = without_doubles(found, selection.overlap, selection.most)
    return Found(found.boxes[best], found.scores[best], found.classes[best])


def _level(
    logits: Map,
    codes: Map,
    base: Anchors,
    padded: Sequence[int],
    selection: Selection,
    weights: NDArray[np.float32],
) -> Found:
    """The best anchors of one map, decoded, not yet clipped."""
    count, cells = len(base), logits.shape[1:]
    if logits.shape[0] % count or codes.shape != (6 * count, *cells):
        raise ValueError(f"maps {logits.shape} and {codes.shape} do not fit {count} anchors")
    kinds = logits.shape[0] // count
    # Places first, as MONAI flattens them: of equal scores the first ones stay.
    values = logits.reshape(count, kinds, *cells).transpose(2, 3, 4, 0, 1)
    scores = _sigmoid(values) if selection.sigmoid else values
    at = np.argwhere(scores > selection.score)
    best = scores[tuple(at.T)]
    order = np.argsort(-best, kind="stable")[: selection.per_level]
    x, y, z, anchor, kind = at[order].T
    chosen = codes.reshape(count, 6, *cells)[anchor, :, x, y, z]
    stride = np.array([n // cell for n, cell in zip(padded, cells, strict=True)])
    centres = np.stack([x, y, z], axis=1) * stride + stride // 2
    boxes = decode(chosen / weights, base[anchor] + np.tile(centres, 2).astype(np.float32))
    return Found(boxes, best[order], kind)


def decode(codes: NDArray[np.float32], anchors: Boxes) -> Boxes:
    """Boxes from anchors and (shift of the centre / size, logarithm of the growth)."""
    size = anchors[:, 3:] - anchors[:, :3]
    # In MONAI's order of operations, for the same last bit.
    centre = (anchors[:, 3:] + anchors[:, :3]) / np.float32(2)
    centre = codes[:, :3] * size + centre
    half = np.float32(0.5) * (np.exp(np.minimum(codes[:, 3:], LARGEST_GROWTH)) * size)
    return np.concatenate([centre - half, centre + half], axis=1)


def clip(boxes: Boxes, size: Sequence[int]) -> tuple[Boxes, NDArray[np.bool_]]:
    """Boxes cut to the image, those left with less than a voxel along an axis taken out.

    Returns:
        The boxes, and which of the given ones they are.
    """
    inside = np.clip(boxes, 0, np.tile(np.asarray(size, np.float32), 2))
    kept = np.asarray(np.all(inside[:, 3:] >= inside[:, :3] + 1, axis=1))
    return inside[kept], kept


def without_doubles(found: Found, overlap: float, most: int) -> NDArray[np.intp]:
    """Indices of the boxes that no better one of their class covers, best first."""
    order = np.argsort(-found.scores, kind="stable")
    picked: list[int] = []
    while len(order) and len(picked) < most:
        first, order = int(order[0]), order[1:]
        picked.append(first)
        shared = intersection_over_union(found.boxes[order], found.boxes[first])
        other = found.classes[order] != found.classes[first]
        order = order[(shared <= overlap) | other]
    return np.array(picked, np.intp)


def intersection_over_union(boxes: Boxes, one: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each box with one of shape (6,); (n,)."""
    sides = np.minimum(boxes[:, 3:], one[3:]) - np.maximum(boxes[:, :3], one[:3])
    common = np.prod(np.maximum(sides, 0), axis=1)
    volume = np.prod(boxes[:, 3:] - boxes[:, :3], axis=1) + np.prod(one[3:] - one[:3])
    return np.asarray(common / (volume - common + _TINY), np.float32)


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-values))
