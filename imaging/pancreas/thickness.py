"""How thick the gland is along its line.

At each place the axial plane is taken and the shortest chord through the middle of the gland:
what a reader measures with callipers across the gland. Of a round gland it does not matter how
steeply the line runs through the plane.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points
from imaging.pancreas.centreline import Line
from imaging.pancreas.shape import Shape

EVERY_MM: Final = 2.0
DIRECTIONS: Final = 24
REACH_MM: Final = 40.0
STEP_MM: Final = 1.0
CENTRINGS: Final = 2
MEDIAN: Final = 5
"""Neighbouring places whose median stands in the profile: single clefts between lobules go."""


@dataclass(frozen=True, eq=False)
class Thickness:
    """Thickness along a line.

    Attributes:
        index: (n,), into the line's points.
        centres: (n, 3), middle of the chord, LPS mm.
        mm: (n,), 0 where the line bridges a gap of the mask.
    """

    index: NDArray[np.intp]
    centres: Points
    mm: NDArray[np.float64]


def thickness_along(shape: Shape, line: Line) -> Thickness:
    """Measure a gland across its line, every 2 mm.

    Args:
        shape: the gland.
        line: its centre line.
    """
    count = max(2, round(line.length_mm / EVERY_MM) + 1)
    index = np.unique(np.linspace(0, len(line.points) - 1, count).round().astype(np.intp))
    centres = line.points[index].copy()
    width = np.zeros(len(index))
    for _ in range(CENTRINGS):
        width, shift = _shortest(shape, centres)
        centres = centres + shift
    width, _ = _shortest(shape, centres)
    return Thickness(index, centres, _median(width))


def _shortest(shape: Shape, centres: Points) -> tuple[NDArray[np.float64], Points]:
    """Shortest axial chord through each point, mm, and the way to its middle (n, 3)."""
    angles = np.arange(DIRECTIONS) * np.pi / DIRECTIONS
    ways = np.stack([np.cos(angles), np.sin(angles), np.zeros(DIRECTIONS)], axis=1)
    reach = np.arange(0.0, REACH_MM + STEP_MM / 2, STEP_MM)
    ends = np.empty((2, len(centres), DIRECTIONS))
    for side, sign in enumerate((1.0, -1.0)):
        points = centres[:, None, None] + sign * reach[:, None] * ways[:, None]
        ends[side] = _first_crossing(shape.at(points), reach)
    chords = ends.sum(axis=0)
    best = chords.argmin(axis=1)
    rows = np.arange(len(centres))
    offset = (ends[0, rows, best] - ends[1, rows, best]) / 2
    return chords[rows, best], offset[:, None] * ways[best]


def _first_crossing(
    distance: NDArray[np.float64], reach: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where signed distances along rays (..., m) first become positive, mm; linear."""
    outside = distance >= 0
    first = np.where(outside.any(axis=-1), outside.argmax(axis=-1), len(reach) - 1)
    before = np.maximum(first - 1, 0)
    a = np.take_along_axis(distance, before[..., None], -1)[..., 0]
    b = np.take_along_axis(distance, first[..., None], -1)[..., 0]
    part = np.where((a < 0) & (b > a), -a / np.maximum(b - a, 1e-9), 0.0).clip(0, 1)
    return np.asarray(np.where(first == 0, 0.0, reach[before] + part * STEP_MM))


def _median(values: NDArray[np.float64]) -> NDArray[np.float64]:
    wide = np.pad(values, MEDIAN // 2, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, MEDIAN)
    return np.asarray(np.median(windows, axis=1))
