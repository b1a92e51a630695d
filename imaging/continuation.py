"""A scan that was sent as several series: the parts that continue the one that is read.

One volume is read of one series. Where a scanner began a new series in the middle of a scan,
what lies in the other one is not seen, and the reader has to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from imaging.contrast import told_phase
from imaging.grouping import Series
from imaging.headers import ImageSlice
from imaging.planes import prevailing, slice_distance_mm, slice_normal
from imaging.series_words import regions_of

MOST_OVERLAP = 0.2
"""Of the shorter one; two scans of one place overlap more."""
WIDEST_GAP_MM = 10.0
"""Beyond one slice distance."""


@dataclass(frozen=True)
class Continuation:
    """A series that goes on where another ends; depths along that one's normal, LPS mm."""

    series: Series
    low_mm: float
    high_mm: float


def continuations(chosen: Series, others: Sequence[Series]) -> list[Continuation]:
    """The other series that continue the chosen one, below or above it."""
    slices = prevailing(chosen.slices)
    low, high = _range(slices, slices)
    reach = WIDEST_GAP_MM + slice_distance_mm(slices)
    found = []
    for other in others:
        theirs = prevailing(other.slices)
        if not _alike(chosen, slices, other, theirs):
            continue
        begins, ends = _range(theirs, slices)
        overlap = min(high, ends) - max(low, begins)
        shorter = min(high - low, ends - begins)
        if -reach <= overlap <= MOST_OVERLAP * shorter:
            found.append(Continuation(other, begins, ends))
    return found


def _alike(
    one: Series, slices: tuple[ImageSlice, ...], two: Series, theirs: tuple[ImageSlice, ...]
) -> bool:
    """Whether two series could be parts of one scan: made alike, lying alike, named alike."""
    a, b = one.header, two.header
    if not a.frame_of_reference or a.frame_of_reference != b.frame_of_reference:
        return False
    if (a.modality, a.kernel) != (b.modality, b.kernel):
        return False
    first, second = slices[0], theirs[0]
    if second.orientation is None or any(s.position is None for s in theirs):
        return False
    if not np.allclose(first.orientation or (), second.orientation, atol=0.01):
        return False
    if first.image_type[:3] != second.image_type[:3]:
        return False
    thickness = (first.slice_thickness_mm or 0.0, second.slice_thickness_mm or 0.0)
    if not np.isclose(*thickness, rtol=0.1):
        return False
    same_part = regions_of(a.description) == regions_of(b.description)
    return same_part and told_phase(a.description) == told_phase(b.description)


def _range(slices: tuple[ImageSlice, ...], along: tuple[ImageSlice, ...]) -> tuple[float, float]:
    normal = slice_normal(along[0])
    depths = [float(normal @ np.asarray(s.position)) for s in slices]
    return min(depths), max(depths)
