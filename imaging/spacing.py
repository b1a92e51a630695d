"""The distances of a stack's slices: even, with gaps, or uneven within a bound.

Depths are mm along the slices' normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.errors import IrregularGeometry
from imaging.headers import ImageSlice
from imaging.notices import Notice, notice

STEP_TOLERANCE = 0.1
"""How far a step may be from a whole number of slice distances, as a part of one distance."""
ROUNDING_MM = 0.11
"""... but so much is always allowed: positions that were rounded to 0.1 mm."""
LONGEST_GAP = 2
"""So many neighbouring slices may be missing and are interpolated; more is refused."""
MOST_MISSING = 0.05
"""Part of all slices that may be missing in sum."""
MOST_STRAY = 0.2
"""How far an image may lie from its place in an even stack, as a part of one distance ..."""
LEAST_STRAY_MM = 0.5
"""... but so much is always allowed, mm."""
MOST_UNEVEN = 3.0
"""The largest of uneven distances may be so many times the smallest; more is refused."""
LONGEST_STEP_MM = 10.0
"""Between slices farther apart than this nothing is interpolated."""
SHORTEST_STEP_MM = 0.1
"""An uneven stack is not brought to a smaller distance than this."""
COVERED = 1.2
"""Slices this many times their thickness apart leave nothing out that could be missing."""
ON_THE_SPOT = 0.02
"""An image this near to a slice, as a part of the distance, is that slice as it is."""


@dataclass(frozen=True)
class Layers:
    """What each slice k of an even stack is made of.

    Attributes:
        step_mm: distance of the slices.
        depths: of the images, mm from the first.
        sources: for each k the index of the image that lies there, or nearest there; None where
            there is none.
        mixes: for each k (n, m, part): slice = (1 - part) x image n + part x image m.
        above_mm: of each image, how far it lies above the slice that it is the source of.
        widest_mm: the largest distance of neighbouring images where no slice is missing.
        missing: the k that should have an image and have none.
    """

    step_mm: float
    depths: tuple[float, ...]
    sources: tuple[int | None, ...]
    mixes: tuple[tuple[int, int, float], ...]
    above_mm: tuple[float, ...]
    widest_mm: float
    missing: tuple[int, ...] = ()


def even_layers(depths: NDArray[np.float64], images: Sequence[ImageSlice]) -> Layers | None:
    """The slices of a stack with one slice distance, but for rounding and single gaps.

    Args:
        depths: ascending.
        images: for their names and thickness.

    Returns:
        None where there is no one distance.

    Raises:
        IrregularGeometry: there is, and too many slices are missing.
    """
    steps = np.diff(depths)
    distance = float(np.median(steps))
    whole = np.rint(steps / distance).astype(int)
    off = np.abs(steps - whole * distance)
    if whole.min() < 1 or off.max() > max(STEP_TOLERANCE * distance, ROUNDING_MM):
        return None
    at = np.concatenate([[0], np.cumsum(whole)])
    step = float(depths[-1] - depths[0]) / int(at[-1])
    # Steps that are each nearly right can add up.
    stray = np.abs(depths - depths[0] - at * step)
    if stray.max() > max(LEAST_STRAY_MM, MOST_STRAY * step):
        return None
    missing_count = int(at[-1]) + 1 - len(images)
    longest = int(whole.max()) - 1
    if longest > LONGEST_GAP or missing_count > max(1, MOST_MISSING * len(images)):
        if _covered(steps, images):
            return None
        worst = int(whole.argmax())
        raise IrregularGeometry(
            f"{missing_count} slice(s) are missing, up to {longest} in a row, e.g. "
            f"between {images[worst].path.name} and {images[worst + 1].path.name}. Send the study "
            "again, or ask the PACS whether it holds them"
        )
    places = [int(k) for k in at]
    sources: list[int | None] = [None] * (places[-1] + 1)
    for n, k in enumerate(places):
        sources[k] = n
    missing = tuple(k for k, source in enumerate(sources) if source is None)
    mixes = []
    for k, source in enumerate(sources):
        above = int(np.searchsorted(at, k))
        part = 0.0 if source is not None else (k - places[above - 1]) / int(whole[above - 1])
        mixes.append((above, above, 0.0) if source is not None else (above - 1, above, part))
    return Layers(
        step_mm=step,
        depths=_from_first(depths),
        sources=tuple(sources),
        mixes=tuple(mixes),
        above_mm=(0.0,) * len(images),
        widest_mm=step,
        missing=missing,
    )


def uneven_layers(
    depths: NDArray[np.float64], images: Sequence[ImageSlice]
) -> tuple[Layers, Notice]:
    """The slices of an even stack to which uneven distances are brought: the smallest of them.

    So every image keeps a slice of its own, half a distance off at most; slices between are
    interpolated linearly.

    Raises:
        IrregularGeometry: the distances differ too much, or are too long to interpolate over.
    """
    steps = np.diff(depths)
    low, high, usual = float(steps.min()), float(steps.max()), float(np.median(steps))
    if low < SHORTEST_STEP_MM or high > MOST_UNEVEN * low or high > LONGEST_STEP_MM:
        worst = int(np.abs(steps - usual).argmax())
        raise IrregularGeometry(
            f"slice distances are uneven ({low:.2f} to {high:.2f} mm, mostly {usual:.2f}), e.g. "
            f"between {images[worst].path.name} and {images[worst + 1].path.name}. Reconstruct "
            "with one slice distance, or send the images that are missing"
        )
    depth = depths - depths[0]
    count = int(np.ceil(depth[-1] / low - 1e-6))
    step = float(depth[-1]) / count
    at = np.floor(depth / step + 0.5).astype(int)
    sources: list[int | None] = [None] * (count + 1)
    for n, k in enumerate(at):
        sources[int(k)] = n
    mixes = [_mix(depth, k * step, step) for k in range(count + 1)]
    told = notice(
        "uneven-spacing", low=low, high=high, step=step, between=sum(m[2] > 0 for m in mixes)
    )
    layers = Layers(
        step_mm=step,
        depths=_from_first(depths),
        sources=tuple(sources),
        mixes=tuple(mixes),
        above_mm=tuple(float(d) for d in depth - at * step),
        widest_mm=high,
    )
    return layers, told


def _mix(depth: NDArray[np.float64], wanted: float, step: float) -> tuple[int, int, float]:
    nearest = int(np.abs(depth - wanted).argmin())
    if abs(float(depth[nearest]) - wanted) <= ON_THE_SPOT * step:
        return nearest, nearest, 0.0
    above = int(np.searchsorted(depth, wanted))
    below = above - 1
    part = (wanted - float(depth[below])) / float(depth[above] - depth[below])
    return below, above, part


def _covered(steps: NDArray[np.float64], images: Sequence[ImageSlice]) -> bool:
    """Whether the slices are so thick that nothing lies between them.

    A head scanned with thin slices below and thick ones above leaves nothing out.
    """
    thickness = np.array([image.slice_thickness_mm or 0.0 for image in images])
    reach = (thickness[:-1] + thickness[1:]) / 2
    return bool((steps <= COVERED * reach).all())


def _from_first(depths: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(depth) for depth in depths - depths[0])
