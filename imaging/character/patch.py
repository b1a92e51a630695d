"""A nodule and its surroundings, cut out of the scan once for all that is measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from imaging.character.fields import Bools, Floats, Spacing, signed_distance, smoothed
from imaging.errors import NotCharacterised
from imaging.volume import Region, Volume

MARGIN_MM = 7.0
NOISE_SIGMA_MM = 0.6
"""Smoothing before densities are judged: brings sharp and soft kernels closer together."""
LUNG_HU = -860.0
"""Parenchyma where none is seen around a nodule."""
SURROUND_MM = (2.0, 6.0)
"""Parenchyma is judged between these distances from the mask."""
AERATED_HU = -500.0


MOST_VOXELS = 60_000
"""Of a mask; a larger one is judged on blocks of voxels, whatever does not need the pixels."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A box around a nodule, on the source's own voxels.

    Attributes:
        hu: (k, j, i), float32.
        mask: the nodule; false on the box's border.
        spacing: (k, j, i), mm.
    """

    hu: Floats
    mask: Bools
    spacing: Spacing

    @cached_property
    def distance(self) -> Floats:
        """Signed distance to the mask's border, mm, negative inside."""
        return signed_distance(self.mask, self.spacing)

    @cached_property
    def calm(self) -> Floats:
        """HU smoothed against noise."""
        return smoothed(self.hu, self.spacing, NOISE_SIGMA_MM)

    @cached_property
    def lung_hu(self) -> float:
        """Parenchyma around the nodule, HU."""
        near, far = SURROUND_MM
        ring = (self.distance > near) & (self.distance < far) & (self.calm < AERATED_HU)
        return float(np.median(self.hu[ring])) if np.count_nonzero(ring) >= 20 else LUNG_HU

    def coarser(self) -> Patch:
        """The same with the finest axes halved until the mask has at most 60,000 voxels."""
        patch = self
        while np.count_nonzero(patch.mask) > MOST_VOXELS:
            finest = min(patch.spacing)
            factors = [2 if step < 1.5 * finest else 1 for step in patch.spacing]
            hu, mask = _blocks(patch.hu, factors), _blocks(patch.mask, factors) >= 0.5
            k, j, i = (s * f for s, f in zip(patch.spacing, factors, strict=True))
            patch = Patch(hu, mask, (k, j, i))
        return patch

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel, mm3."""
        k, j, i = self.spacing
        return k * j * i

    @property
    def mask_mm3(self) -> float:
        """Volume of the mask's voxels, mm3."""
        return float(np.count_nonzero(self.mask)) * self.voxel_mm3

    @property
    def equivalent_mm(self) -> float:
        """Diameter of the ball of the mask's volume, mm."""
        return float((6 / np.pi * self.mask_mm3) ** (1 / 3))


def cut(volume: Volume, region: Region) -> Patch:
    """Cut a nodule and 7 mm around it out of a scan.

    Beyond the scan's own border its last voxels are repeated.

    Args:
        volume: HU.
        region: the nodule, on the volume's grid.

    Raises:
        NotCharacterised: the mask is empty or does not lie on this volume.
    """
    if not region.within.same_as(volume.grid):
        raise NotCharacterised("its mask lies on another grid than the scan")
    at = np.nonzero(region.voxels)
    if not at[0].size:
        raise NotCharacterised("its mask is empty")
    spacing = volume.grid.spacing_mm
    margin = [max(2, int(np.ceil(MARGIN_MM / step))) for step in spacing]
    low = [int(a.min()) for a in at]
    high = [int(a.max()) + 1 for a in at]
    mask = region.voxels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    mask = np.pad(mask, [(m, m) for m in margin])
    first = [s + a - m for s, a, m in zip(region.start, low, margin, strict=True)]
    last = [f + n for f, n in zip(first, mask.shape, strict=True)]
    inside = [
        (max(f, 0), min(b, n)) for f, b, n in zip(first, last, volume.grid.shape, strict=True)
    ]
    if any(a >= b for a, b in inside):
        raise NotCharacterised("its mask lies outside the scan")
    hu = volume.voxels[tuple(slice(a, b) for a, b in inside)].astype(np.float32)
    beyond = [(a - f, b - c) for (a, c), f, b in zip(inside, first, last, strict=True)]
    return Patch(np.pad(hu, beyond, mode="edge"), mask, spacing)


def _blocks(values: Floats | Bools, factors: list[int]) -> Floats:
    """Means over blocks of voxels; an odd rest repeats its last voxel."""
    rest = [(0, -n % f) for n, f in zip(values.shape, factors, strict=True)]
    whole = np.pad(values, rest, mode="edge").astype(np.float32)
    (k, j, i), (a, b, c) = whole.shape, factors
    means = whole.reshape(k // a, a, j // b, b, i // c, c).mean(axis=(1, 3, 5))
    return np.asarray(means, np.float32)
