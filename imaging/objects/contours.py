"""A mask's slices as closed contours, its holes cut out of them.

A hole is joined to its outer contour by the keyhole technique (PS3.3 C.8.8.6.3): a channel of
no width, walked in and back out. One contour then says it all, to readers that join the contours
of a slice and to those that take them by turns; CLOSEDPLANAR_XOR, which the standard also has, is
young and filled in by many.

Points are (column, row) of pixel centres: (0, 0) is the middle of the top left pixel.
"""

from __future__ import annotations

from typing import Annotated

import contourpy
import numpy as np
from numpy.typing import NDArray

Ring = Annotated[NDArray[np.float64], "n, 2; (column, row), closed implicitly"]


def filled_contours(mask: NDArray[np.bool_]) -> list[Ring]:
    """One ring a connected part of the mask, larger ones first.

    Each runs half-way between true and false pixel centres, so that filling it gives back
    exactly the mask. The first point is not repeated.

    Args:
        mask: (row, column).
    """
    padded = np.pad(mask, 1).astype(np.float64)
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    points, offsets = generator.filled(0.5, np.inf)[:2]
    rings = []
    for polygon, starts in zip(points, offsets, strict=True):
        if polygon is None or starts is None:  # a chunk without any, says the library's type
            continue
        whole = np.asarray(polygon, dtype=np.float64) - 1.0
        bounds = [int(start) for start in starts]
        parts = [
            _without_collinear(whole[a : b - 1])
            for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        rings.append(_keyholed(parts[0], parts[1:]))
    return sorted(rings, key=lambda ring: -abs(area(ring)))


def area(ring: Ring) -> float:
    """Signed area in pixels; a keyholed ring's is that without its holes."""
    x, y = ring[:, 0], ring[:, 1]
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _without_collinear(ring: Ring) -> Ring:
    """The same ring without the points that lie between their neighbours on a straight line."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return np.asarray(ring[turns])


def _keyholed(outer: Ring, holes: list[Ring]) -> Ring:
    """The outer ring with each hole hung into it where it comes nearest.

    The nearest hole comes first, then the one nearest to what is joined by then: a channel
    between nearest points crosses no other contour. ``contourpy`` runs holes the other way
    round than outer rings, which filling by winding number needs.
    """
    if not holes:
        return outer
    joined = outer
    points = np.concatenate(holes)
    owner = np.repeat(np.arange(len(holes)), [len(hole) for hole in holes])
    begin = np.cumsum([0, *(len(hole) for hole in holes)])
    # Of every point of a hole: squared distance to what is joined, and to which point of it.
    apart = np.full(len(points), np.inf)
    across = np.zeros_like(points)
    added = outer
    for _ in holes:
        squared = ((points[:, None] - added[None]) ** 2).sum(axis=-1)
        closest = squared.argmin(axis=1)
        distance = squared[np.arange(len(points)), closest]
        nearer = distance < apart
        apart[nearer], across[nearer] = distance[nearer], added[closest[nearer]]
        at = int(apart.argmin())
        number = int(owner[at])
        added = holes[number]
        loop = np.roll(added, int(begin[number]) - at, axis=0)
        place = int(np.flatnonzero((joined == across[at]).all(axis=1))[0])
        joined = np.concatenate([joined[: place + 1], loop, loop[:1], joined[place:]])
        left = owner != number
        points, owner = points[left], owner[left]
        apart, across = apart[left], across[left]
        begin = begin - np.where(np.arange(len(begin)) > number, len(added), 0)
    return joined
