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
CORE = 0.2
"""The core is this share of the nodule's diameter around its centre, at least 1.2 mm: what grew
from something small holds it there, while vessels and walls pass by at the rim."""
LEAST_CORE_MM, LEAST_CORE_VOXELS = 1.2, 7
LUNG_HU = -500.0
"""Of what surrounds the place, only what is darker counts as background."""
BACKGROUND_HU = -850.0
"""Where nothing around is dark: a typical lung."""
CLEAR_CORE, CLEAR_WHOLE = 0.45, 0.5
"""Up to these shares of the nodule's own contrast, core and whole, the place is clear: vessels
and noise. Chosen on simulated pairs of the training lungs, where nodules that were there with half
to two thirds of the diameter showed 0.6 and more in their core."""
LEAST_CONTRAST_HU = 50.0
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
    """What was seen; ``share`` of the nodule's own contrast was found (0: none, 1: as much)."""

    there: There
    share: float | None = None


def look(
    own: Volume,
    own_points: Points,
    other: Volume,
    points: Points,
    diameter_mm: float,
    slack_mm: float,
    other_lungs: LungMask | None = None,
) -> Look:
    """Look for a nodule in the other examination.

    Args:
        own: where the nodule was marked, HU.
        own_points: the voxels of its mask there, LPS mm, [n, 3].
        other: where it was not.
        points: the same, mapped there.
        diameter_mm: the nodule's.
        slack_mm: how far off the mapping may be; the densest place that near counts.
        other_lungs: lungs of ``other``; a place outside them can't be called clear.
    """
    place = points.mean(axis=0)
    at = other.grid.to_index(place)
    edge = EDGE_MM / np.array(other.grid.spacing_mm)
    if (at < -edge).any() or (at > np.array(other.grid.shape) - 1 + edge).any():
        return Look(There.OUTSIDE)
    own_centre = own_points.mean(axis=0)
    shell = _ball(diameter_mm / 2 + 8.0)
    shell = shell[np.linalg.norm(shell, axis=1) > diameter_mm / 2 + 3.0]
    own_lung = _background(own, own_centre + shell)
    other_lung = _background(other, place + shell)
    core = _core(own_points - own_centre, diameter_mm)
    offsets = _ball(max(slack_mm, STEP_MM))
    shares = []
    for part in (core, np.arange(len(points))):
        contrast = _mean(own, own_points[part]) - own_lung
        found = max(_mean(other, points[part] + offset) - other_lung for offset in offsets)
        # a nodule that hardly differs from lung can't be told to be missing
        shares.append(found / contrast if contrast > LEAST_CONTRAST_HU else 1.0)
    clear = shares[0] <= CLEAR_CORE and shares[1] <= CLEAR_WHOLE
    if clear and _in_lung(other_lungs, place):
        return Look(There.CLEAR, shares[0])
    return Look(There.ALIKE, max(shares))


def _core(from_centre: Points, diameter_mm: float) -> NDArray[np.int64]:
    """Indices of the voxels around the middle."""
    far = np.linalg.norm(from_centre, axis=1)
    radius = max(CORE * diameter_mm, LEAST_CORE_MM)
    order = np.argsort(far, kind="stable")
    count = max(int(np.count_nonzero(far <= radius)), LEAST_CORE_VOXELS)
    return order[:count]


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
