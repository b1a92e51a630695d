"""A plane moved within itself, by whole pixels and parts of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from imaging.arrange import Place
from imaging.pixels.decode import Plane

Window = tuple[slice, slice]
"""Rows and columns of a slice."""


def covered(plane: tuple[int, int], place: Place, shape: tuple[int, int]) -> Window:
    """The pixels of a slice that lie between pixels of an image, or on them.

    Args:
        plane: rows and columns of the image.
        place: which (fractional) pixel of it lies at the slice's first.
        shape: rows and columns of the slice.
    """
    windows = []
    for first, has, wanted in zip((place.row, place.column), plane, shape, strict=True):
        start = min(max(0, math.ceil(-first)), wanted)
        windows.append(slice(start, max(start, min(wanted, math.floor(has - 1 - first) + 1))))
    return windows[0], windows[1]


def moved(plane: Plane, place: Place, shape: tuple[int, int], outside: float) -> Plane:
    """Cut ``shape`` out of a plane, beginning at a (fractional) pixel of it; cubic.

    Linear interpolation would blur every second slice of a tilted stack and leave the others
    sharp: small nodules went under in that.

    Args:
        plane: (row, column).
        place: which pixel of the plane comes first; may lie outside it.
        shape: rows and columns wanted.
        outside: value where the plane does not reach, the lowest there is.

    Returns:
        The plane itself where nothing moves; its type is kept, whole numbers are rounded.
    """
    if (place.row, place.column) == (0, 0) and shape == plane.shape:
        return plane
    window = rows, columns = covered((plane.shape[0], plane.shape[1]), place, shape)
    # The pixel of the plane before the window's first, and how far that lies beyond it.
    row, down = divmod(rows.start + place.row, 1.0)
    column, right = divmod(columns.start + place.column, 1.0)
    size = rows.stop - rows.start, columns.stop - columns.start
    part = plane[int(row) : int(row) + size[0] + (down > 0)]
    part = part[:, int(column) : int(column) + size[1] + (right > 0)]
    between = _between(_between(part, down, 0), right, 1)
    out: Plane = np.full(shape, outside, plane.dtype)
    if plane.dtype == np.int16:
        most = np.iinfo(np.int16).max
        out[window] = np.clip(np.rint(between), outside, most)
    else:
        out[window] = np.maximum(between, outside)
    return out


def _between(
    values: NDArray[np.float32] | NDArray[np.int16], part: float, axis: int
) -> NDArray[np.float32] | NDArray[np.int16]:
    """The values a part of the way from each to the next along an axis; one fewer than there were.

    Cubic convolution with a = -1/2. Source: Keys, IEEE Trans Acoust Speech Signal Process
    1981;29:1153. A straight line stays one; at the rim the values go on in a straight line.
    """
    if part == 0 or values.shape[axis] < 2:
        return values
    v = np.moveaxis(np.asarray(values, dtype=np.float32), axis, 0)
    v = np.concatenate([[2 * v[0] - v[1]], v, [2 * v[-1] - v[-2]]])
    t = part
    weights = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    count = len(v) - 3
    mixed = sum(np.float32(w) * v[n : n + count] for n, w in enumerate(weights))
    return np.moveaxis(np.asarray(mixed, dtype=np.float32), 0, axis)
