"""Puts a radiologist's nodule into another patient's lung, where its own surroundings fit.

Seam matching: of many random places keep the one whose HU best agree with the nodule's own ring,
so a nodule that grew on the pleura lands on a pleura without anything being told so.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.training.nodules_data import Nodule

LUNG_HU = -500.0  # below: aerated lung
# Soft rings agree with the mediastinum too. A nodule that replaces mostly soft tissue is no
# nodule: it would be a wrong label.
LUNG_SHARE = 0.4
PLACES = 48
RING_MM = (1.5, 6.0)
RING_SAMPLES = 240


@dataclass(frozen=True)
class Patch:
    """A nodule on a 1 mm grid, ready to go in; [k, j, i] arrays of one shape, HU and mm.

    ``outside`` is the distance to the consensus outline (0 inside), ``known`` the voxels that
    were truly imaged and not made up by padding.
    """

    hu: NDArray[np.float32]
    inside: NDArray[np.bool_]
    outside: NDArray[np.float32]
    known: NDArray[np.bool_]
    diameter_mm: float
    solid: bool

    def turned(self, rng: np.random.Generator) -> "Patch":
        """The same nodule in one of 16 orientations."""
        swap = rng.random() < 0.5
        step = tuple(slice(None, None, int(s)) for s in rng.choice([-1, 1], 3))

        def turn(a: NDArray[Any]) -> NDArray[Any]:
            return (np.swapaxes(a, 1, 2) if swap else a)[step]

        return replace(
            self,
            hu=turn(self.hu),
            inside=turn(self.inside),
            outside=turn(self.outside),
            known=turn(self.known),
        )

    @property
    def centre(self) -> NDArray[np.float64]:
        """Mean of the outlined voxels, [3], in voxels of the patch."""
        return np.asarray(np.argwhere(self.inside).mean(0))

    def ring(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Sampled ring voxels: [n, 3] positions in the patch and their HU."""
        near = (self.outside > RING_MM[0]) & (self.outside < RING_MM[1]) & self.known
        at = np.argwhere(near)
        if len(at) > RING_SAMPLES:
            at = at[rng.choice(len(at), RING_SAMPLES, replace=False)]
        return at, self.hu[tuple(at.T)]


def make_patch(
    nodule: Nodule, rng: np.random.Generator, scales: tuple[float, float] = (0.8, 1.25)
) -> Patch | None:
    """``nodule`` at a random size, its HU restored as well as they can be.

    Returns None where nothing of the outline is left at 1 mm.
    """
    scale = rng.uniform(*scales)
    pad = 3  # slices beyond the outlined ones, so that the blend has room to fade
    spacing = np.array(nodule.spacing) * scale
    code = np.pad(nodule.code, ((1, 1), (0, 0), (0, 0)), "edge").astype(np.float32)
    share = np.pad(nodule.share, ((1, 1), (0, 0), (0, 0)))
    extent = (np.array(nodule.code.shape) - 1) * spacing
    shape = tuple(int(n) for n in np.ceil(extent + 1 + np.array([2 * pad, 0, 0])))
    start = np.array([1 - pad / spacing[0], 0, 0])
    code = ndimage.affine_transform(
        code, 1 / spacing, start, output_shape=shape, order=1, mode="nearest"
    )
    inside = ndimage.affine_transform(share, 1 / spacing, start, output_shape=shape, order=1) >= 0.5
    if inside.sum() < 4:
        return None
    known = np.zeros(shape, bool)
    known[pad : shape[0] - pad] = True

    keep = tuple(  # nothing farther than 8 mm is looked at
        slice(max(int(at.min()) - 8, 0), int(at.max()) + 9) for at in np.nonzero(inside)
    )
    code, inside, known = code[keep], inside[keep], known[keep]
    hu = rng.uniform(7.6, 9.6) * code - 982
    diameter = nodule.diameter_mm * scale
    if nodule.solid and diameter >= 8:
        hu = _plausible_core(hu, inside, rng)
    return Patch(
        hu=hu.astype(np.float32),
        inside=inside,
        outside=ndimage.distance_transform_edt(~inside).astype(np.float32),
        known=known,
        diameter_mm=diameter,
        solid=nodule.solid,
    )


def _plausible_core(
    hu: NDArray[np.float32], inside: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Shifts a solid core that the lost scaling pushed out of soft tissue's range."""
    depth = ndimage.distance_transform_edt(inside)
    core = depth > 1.5
    if not core.any():
        return hu
    level = float(np.median(hu[core]))
    if -150 <= level <= 250:
        return hu
    soft = np.clip(ndimage.gaussian_filter(inside.astype(np.float32), 0.7), 0, 1)
    shifted: NDArray[np.float32] = hu + soft * np.float32(rng.normal(30, 60) - level)
    return shifted


def best_place(
    patch: Patch,
    hu: NDArray[np.int16] | NDArray[np.float32],
    places: NDArray[np.int32],
    rng: np.random.Generator,
) -> NDArray[np.int64] | None:
    """Where in ``hu`` the patch's first voxel goes, [3]; None where no place is fit.

    ``places`` are voxels of the lung, [n, 3], one of which the nodule's centre will lie on.
    """
    if not len(places):
        return None
    ring, ring_hu = patch.ring(rng)
    if len(ring) < 8:
        return None
    corners = places[rng.choice(len(places), min(PLACES, len(places)), replace=False)] - np.rint(
        patch.centre
    ).astype(np.int64)
    low = np.array([0, 0, 0])
    high = np.array(hu.shape) - np.array(patch.hu.shape)
    corners = corners[((corners >= low) & (corners <= high)).all(1)]
    if not len(corners):
        return None
    replaced = np.argwhere(patch.outside < 1)
    replaced = replaced[rng.choice(len(replaced), min(160, len(replaced)), replace=False)]
    under = hu[tuple(np.moveaxis(corners[:, None] + replaced, -1, 0))]
    corners = corners[(under < LUNG_HU).mean(1) >= LUNG_SHARE]
    if not len(corners):
        return None
    there = np.clip(hu[tuple(np.moveaxis(corners[:, None] + ring, -1, 0))], -1000, 200)
    misfit = np.abs(there - np.clip(ring_hu, -1000, 200)).mean(1)
    return np.asarray(corners[int(np.argmin(misfit))], np.int64)


def insert(
    patch: Patch, hu: NDArray[np.float32], corner: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Blends ``patch`` into ``hu`` in place; returns the nodule's mask in ``hu``'s shape."""
    box = tuple(slice(int(c), int(c) + n) for c, n in zip(corner, patch.hu.shape, strict=True))
    there = hu[box]
    shift = _lung_shift(patch, there)
    width = rng.uniform(1.5, 4.5) if rng.random() < 0.6 else 1.2
    alpha = np.clip(1 - (patch.outside - 0.5) / width, 0, 1)
    mixed = there + alpha * (patch.hu + shift - there)
    if rng.random() < 0.6:  # vessels and walls that pass by stay
        mixed = np.where(patch.outside > 1, np.maximum(mixed, there), mixed)
    hu[box] = mixed
    mask = np.zeros(hu.shape, np.bool_)
    mask[box] = patch.inside
    return mask


def _lung_shift(patch: Patch, there: NDArray[np.float32]) -> float:
    """What to add to the patch so that its lung is as dark as the lung it goes into, HU."""
    near = (patch.outside > 1.5) & patch.known
    own, other = patch.hu[near], there[near]
    own, other = own[own < -600], other[other < -600]
    if len(own) < 10 or len(other) < 10:
        return 0.0
    return float(np.clip(np.median(other) - np.median(own), -120, 120))


def sham(patch: Patch, hu: NDArray[np.float32], corner: NDArray[np.int64]) -> Patch:
    """The patch's outline filled with normal tissue of ``hu`` at ``corner``: a negative.

    Blended in like a nodule it shows the net every seam and no nodule.
    """
    box = tuple(slice(int(c), int(c) + n) for c, n in zip(corner, patch.hu.shape, strict=True))
    return Patch(
        hu=np.array(hu[box], np.float32),
        inside=patch.inside,
        outside=patch.outside,
        known=np.ones_like(patch.known),
        diameter_mm=patch.diameter_mm,
        solid=patch.solid,
    )
