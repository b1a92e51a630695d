"""The outline of a mask on a slice, and the diameters across it.

Pixel positions here are (column, row) in SCOORD's image-relative coordinates: the top left
corner of the top left pixel is (0, 0), its centre (0.5, 0.5) (PS3.3 C.18.6.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import contourpy
import numpy as np
from numpy.typing import NDArray

Polygon = Annotated[NDArray[np.float64], "n, 2; (column, row), closed implicitly"]


@dataclass(frozen=True)
class Axes:
    """The long axis of a polygon and the longest chord perpendicular to it.

    Attributes:
        long: its two end points, (2, 2), in the polygon's units.
        short: likewise.
    """

    long: NDArray[np.float64]
    short: NDArray[np.float64]

    @property
    def long_length(self) -> float:
        """Length of the long axis, in the polygon's units."""
        return float(np.linalg.norm(self.long[1] - self.long[0]))

    @property
    def short_length(self) -> float:
        """Length of the short axis, in the polygon's units."""
        return float(np.linalg.norm(self.short[1] - self.short[0]))


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Closed contours around the true pixels of a slice, largest first, holes left out.

    Args:
        mask: (row, column).

    Returns:
        Polygons half-way between true and false pixel centres; the first point is not
        repeated.
    """
    padded = np.pad(mask, 1).astype(np.float64)
    lines = contourpy.contour_generator(z=padded).lines(0.5)
    polygons = []
    for line in lines:
        # One pixel of padding, and half a pixel from pixel centres to SCOORD's corners.
        polygon = np.asarray(line, dtype=np.float64)[:-1] - 1.0 + 0.5
        if len(polygon) >= 3 and _encloses_foreground(polygon, mask):
            polygons.append(polygon)
    return sorted(polygons, key=lambda p: -abs(_area(p)))


def axes(polygon_mm: NDArray[np.float64]) -> Axes:
    """Long axis, and the longest chord perpendicular to it, of a polygon.

    Args:
        polygon_mm: (n, 2), in units in which both directions measure alike (mm).

    Source: Bankier et al., Recommendations for Measuring Pulmonary Nodules at CT, Radiology
    2017;285:584 (Fleischner Society): both in one plane, perpendicular to one another.
    """
    points = np.asarray(polygon_mm, dtype=np.float64)
    distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
    a, b = np.unravel_index(int(distances.argmax()), distances.shape)
    long = np.stack([points[a], points[b]])
    along = (long[1] - long[0]) / max(float(distances[a, b]), 1e-9)
    across = np.array([-along[1], along[0]])
    t, v = (points - long[0]) @ along, (points - long[0]) @ across
    t2, v2 = np.roll(t, -1), np.roll(v, -1)
    best, best_t, ends = -1.0, 0.0, (0.0, 0.0)
    # The longest chord touches a vertex, so chords through every vertex are enough.
    for at in t:
        crossing = (np.minimum(t, t2) <= at) & (at <= np.maximum(t, t2))
        span = t2[crossing] - t[crossing]
        part = np.where(
            np.abs(span) > 1e-12, (at - t[crossing]) / np.where(span == 0, 1, span), 0.0
        )
        heights = v[crossing] + part * (v2[crossing] - v[crossing])
        heights = np.concatenate([heights, v[crossing & (t == at)]])
        if heights.size and float(np.ptp(heights)) > best:
            best, best_t = float(np.ptp(heights)), float(at)
            ends = (float(heights.min()), float(heights.max()))
    foot = long[0] + best_t * along
    return Axes(long, np.stack([foot + ends[0] * across, foot + ends[1] * across]))


def _area(polygon: NDArray[np.float64]) -> float:
    x, y = polygon[:, 0], polygon[:, 1]
    return float(0.5 * (x @ np.roll(y, -1) - y @ np.roll(x, -1)))


def _encloses_foreground(polygon: NDArray[np.float64], mask: NDArray[np.bool_]) -> bool:
    """Whether a contour runs around true pixels (an outer border) and not around a hole."""
    # Just inside the contour, beside the middle of its first edge.
    middle = (polygon[0] + polygon[1]) / 2
    edge = polygon[1] - polygon[0]
    inward = np.array([-edge[1], edge[0]]) * np.sign(_area(polygon))
    column, row = np.floor(middle + 0.3 * inward / max(float(np.linalg.norm(inward)), 1e-9)).astype(
        int
    )
    rows, columns = mask.shape
    return bool(0 <= row < rows and 0 <= column < columns and mask[row, column])
