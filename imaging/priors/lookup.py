"""What is at a nodule's place in the other examination: something alike, or clear lung.

A nodule that is marked in one examination only need not be new or gone: the finder may have
passed over it. So the images are asked themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Points
from imaging.lungs import LungMask
from imaging.priors.alignment import sample
from imaging.volume import Volume

STEP_MM = 1.0
CORE = 0.8
"""The ball that is looked at has this share of the nodule's diameter."""
LUNG_HU = -500.0
"""Of what surrounds the place, only what is darker counts as background."""
BACKGROUND_HU = -850.0
"""Where nothing around is dark: a typical lung."""
CLEAR = 0.35
"""Up to this share of the nodule's own contrast the place is clear: vessels and noise."""
EDGE_MM = 2.0


class There(StrEnum):
    """What is at the place."""

    CLEAR = "clear"
    """Lung as around it."""
    ALIKE = "alike"
    """Something of like density."""
    OUTSIDE = "outside"
    """The place was not scanned."""


@dataclass(frozen=True)
class Look:
    """What was seen; ``share`` is the contrast found, of the nodule's own (0: none, 1: as much)."""

    there: There
    share: float | None = None


def look(
    own: Volume, own_centre: Points, other: Volume, place: Points, diameter_mm: float,
    slack_mm: float, other_lungs: LungMask | None = None,
) -> Look:  # fmt: skip
    """Look for a nodule in the other examination.

    Args:
        own: where the nodule was marked, HU.
        own_centre: its centre there, LPS mm, [3].
        other: where it was not.
        place: the centre, mapped there, LPS mm, [3].
        diameter_mm: the nodule's.
        slack_mm: how far off the mapping may be; the best place that near counts.
        other_lungs: lungs of ``other``; a place outside them can't be called clear.
    """
    at = other.grid.to_index(place)
    edge = EDGE_MM / np.array(other.grid.spacing_mm)
    if (at < -edge).any() or (at > np.array(other.grid.shape) - 1 + edge).any():
        return Look(There.OUTSIDE)
    radius = max(CORE * diameter_mm / 2, STEP_MM)
    ball = _ball(radius)
    shell = _ball(diameter_mm / 2 + 8.0)
    shell = shell[np.linalg.norm(shell, axis=1) > diameter_mm / 2 + 3.0]
    own_contrast = _mean(own, own_centre + ball) - _background(own, own_centre + shell)
    background = _background(other, place + shell)
    offsets = _ball(min(max(slack_mm, STEP_MM), diameter_mm / 2 + 2.0))
    found = max(_mean(other, place + offset + ball) - background for offset in offsets)
    share = found / own_contrast if own_contrast > 50 else 1.0
    if share <= CLEAR and _in_lung(other_lungs, place):
        return Look(There.CLEAR, share)
    return Look(There.ALIKE, share)


def _in_lung(lungs: LungMask | None, place: Points) -> bool:
    if lungs is None:
        return False
    index = np.rint(lungs.mask.grid.to_index(place)).astype(int)
    low, high = np.maximum(index - 2, 0), index + 3
    k, j, i = (slice(int(a), max(int(b), 0)) for a, b in zip(low, high, strict=True))
    return bool(lungs.mask.voxels[k, j, i].any())


def _mean(volume: Volume, points: Points) -> float:
    return float(sample(volume.voxels, volume.grid, points).mean())


def _background(volume: Volume, points: Points) -> float:
    values = sample(volume.voxels, volume.grid, points)
    lung = values[values < LUNG_HU]
    return float(np.median(lung)) if len(lung) >= 20 else BACKGROUND_HU


def _ball(radius_mm: float) -> NDArray[np.float64]:
    """Points of a 1 mm lattice in a ball around 0, the middle included, [n, 3]."""
    count = int(radius_mm / STEP_MM)
    line = np.arange(-count, count + 1) * STEP_MM
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    inside: NDArray[np.float64] = points[np.linalg.norm(points, axis=1) <= radius_mm]
    return inside
