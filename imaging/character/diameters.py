"""Diameters by the Fleischner rule, in the three planes of the scan's grid.

In each plane the slice where the long axis is longest; the short axis is the longest
perpendicular to it in the same slice (Bankier 2017, Radiology 285:584).
"""

from __future__ import annotations

import numpy as np

from imaging.character.fields import Bools, Spacing, largest_piece, signed_distance
from imaging.character.surface import interpolated
from imaging.errors import NotCharacterised
from imaging.nodule import Diameters
from imaging.outline import axes, outlines

_ANGLES = np.linspace(0, np.pi, 90, endpoint=False)
DIRECTIONS = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])
"""Two degrees apart: the widest of these extents is the longest axis to 0.02 %."""
PLANES = ("axial", "coronal", "sagittal")
"""By the axis they are stacked along: slices, rows, columns of the source."""


def axial(mask: Bools, spacing: Spacing, seen: Bools | None = None) -> Diameters:
    """Diameters on the scan's own slices.

    Args:
        mask: (k, j, i).
        spacing: mm.
        seen: (k,), False for slices that were interpolated and have no image; None: all seen.

    Raises:
        NotCharacterised: no slice that is seen holds any of the mask.
    """
    use = mask if seen is None else mask & seen[:, None, None]
    found = _longest(use, 0, spacing)
    if found is None:
        raise NotCharacterised("its mask lies on interpolated slices only")
    return found


def largest(mask: Bools, spacing: Spacing, first: Diameters) -> Diameters:
    """Diameters in the plane where the long axis is longest.

    Coronal and sagittal are judged on slices interpolated to the pixels' size: linear between
    signed distances (Raya 1990, IEEE Trans Med Imaging 9:32).

    Args:
        mask: (k, j, i).
        spacing: mm.
        first: the axial ones.
    """
    k, j, i = spacing
    fine, steps = mask, spacing
    if k > 1.2 * max(j, i):
        step = max(j, i)
        fine = np.pad(interpolated(signed_distance(mask, spacing), 0, k, step) < 0, 1)
        steps = (step, j, i)
    best = first
    for axis in (1, 2):
        found = _longest(fine, axis, steps)
        # By less than a pixel it is no other plane that is longer.
        if found is not None and found.long_mm > best.long_mm + (min(j, i) if best is first else 0):
            best = found
    return best


def core(solid: Bools, spacing: Spacing) -> Diameters | None:
    """Axial diameters of the largest piece of a solid part; None where there is none."""
    return _longest(largest_piece(solid), 0, spacing)


def _longest(mask: Bools, axis: int, spacing: Spacing) -> Diameters | None:
    """The slice across ``axis`` with the longest long axis."""
    stack = np.moveaxis(mask, axis, 0)
    rows_mm, columns_mm = (step for n, step in enumerate(spacing) if n != axis)
    drawn = []
    for plane in np.flatnonzero(stack.any(axis=(1, 2))):
        lines = outlines(stack[plane])
        if lines:
            points = lines[0] * np.array([columns_mm, rows_mm])
            drawn.append((float(np.ptp(points @ DIRECTIONS, axis=0).max()), points))
    if not drawn:
        return None
    found = axes(max(drawn, key=lambda entry: entry[0])[1])
    long, short = found.long_length, found.short_length
    return Diameters(
        long_mm=round(long, 2),
        short_mm=round(short, 2),
        mean_mm=round((long + short) / 2, 2),
        plane=PLANES[axis],
    )
