"""A lesion replaced by the tissue around it: what the place might look like without it.

Everything is on the 1 mm grid in the nets' units (``nodules.to_input``), axes (k, j, i). Lung is
taken from beside the lesion, shifted to where the rest of its surroundings fit best; what lies
beyond the lung's own border there (chest wall, mediastinum) stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Shape3
from models.lungs.nodules import Float, to_input

Bits = NDArray[np.bool_]

GROWN_MM = 2.0
"""The mask is grown by this: its edge is blurred, and a rim left over would still be a nodule."""
FADE_MM = 2.0
RING_MM = 4.0
"""Beyond the grown mask: what the neighbouring tissue is compared with."""
AERATED = float(to_input(np.array([-500.0]))[0])
MOST_DENSE = 0.1
"""Of the tissue taken at most this share may be denser than :data:`AERATED` (vessels)."""
CLOSING_MM = (4.0, 20.0)
LEAST_LUNG = 0.2
"""A lesion less of which lies in lung is taken for one in soft tissue."""
SHIFTS_MM = (0.0, 3.0, 7.0, 12.0, 20.0, 32.0)
"""Beyond the lesion's own size."""
SAMPLED = 300


@dataclass(frozen=True, eq=False)
class Healed:
    """A box of the image without its lesion; arrays are [k, j, i] of the box.

    Attributes:
        image: the box as it was.
        tissue: what each voxel would be if it were replaced.
        lung: how far each voxel may be replaced, 0 (chest wall, mediastinum) to 1.
        weight: how far each voxel must be replaced to heal the lesion, at most ``lung``.
    """

    image: Float
    tissue: Float
    lung: Float
    weight: Float

    @property
    def whole(self) -> Float:
        """The box healed."""
        return self.mixed(self.weight)

    def mixed(self, weight: Float) -> Float:
        """The box with each voxel replaced as far as ``weight``, 0 to 1."""
        return np.asarray(self.image + weight * (self.tissue - self.image), np.float32)


def heal(image: Float, lesion: Bits, start: Shape3) -> Healed:
    """Heal one lesion.

    Args:
        image: [k, j, i], the whole lungs.
        lesion: its mask in a box that begins at ``start``; voxels of the box beyond the image
            are air.
        start: may be negative.

    Raises:
        ValueError: the mask is empty.
    """
    if not lesion.any():
        raise ValueError("the mask of the lesion is empty")
    box = take(image, start, (lesion.shape[0], lesion.shape[1], lesion.shape[2]))
    beyond = _distance(lesion)
    size = float(np.ptp(np.argwhere(lesion), axis=0).max()) + 1
    lung = _closed(box, beyond, size)
    grown = beyond < GROWN_MM
    in_lung = lung & grown
    if in_lung[lesion].mean() < LEAST_LUNG:
        lung, in_lung = np.ones_like(lung), grown
    ring = (beyond >= GROWN_MM) & (beyond < GROWN_MM + RING_MM)
    tissue = _neighbour(image, box, in_lung, ring & lung & (box < AERATED), start, size)
    if tissue is None:
        tissue = _level(box, ring & lung, ring)
    fade = np.clip((GROWN_MM + FADE_MM / 2 - beyond) / FADE_MM, 0, 1)
    # Only lung is replaced, and where it ends it ends as softly as an image shows it.
    inner = np.clip(_distance(~lung) / FADE_MM, 0, 1).astype(np.float32)
    return Healed(box, tissue.astype(np.float32), inner, (fade * inner).astype(np.float32))


def take(image: Float, start: Shape3, shape: Shape3) -> Float:
    """A box of the image; what lies outside the image is air."""
    out = np.full(shape, to_input(np.array([-1000.0]))[0], np.float32)
    low = np.maximum(start, 0)
    high = np.minimum(np.add(start, shape), image.shape)
    if (high > low).all():
        there = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        here = tuple(
            slice(int(a - s), int(b - s)) for a, b, s in zip(low, high, start, strict=True)
        )
        out[here] = image[there]
    return out


def _distance(mask: Bits) -> Float:
    """Distance to ``mask`` in mm, 0 inside."""
    if not mask.any():
        return np.full(mask.shape, 1e3, np.float32)
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    signed = sitk.SignedMaurerDistanceMap(image, False, False, True)
    return np.maximum(np.asarray(sitk.GetArrayFromImage(signed), np.float32), 0)


def _closed(box: Float, beyond: Float, size: float) -> Bits:
    """Lung as it would be without the lesion: closed over it, wherever it sits."""
    aerated = (box < AERATED) & (beyond > 0)
    reach = float(np.clip(size / 2 + 2, *CLOSING_MM))
    near = _distance(aerated) <= reach
    closed: Bits = _distance(~near) > reach
    return closed | aerated


def _neighbour(
    image: Float, box: Float, inside: Bits, ring: Bits, start: Shape3, size: float
) -> Float | None:
    """The box as it would be if it lay where its surroundings fit best; None: nowhere.

    Denser tissue than lung is left to the level around, in the tissue beside ``inside``.
    """
    rows = np.argwhere(inside)
    edge = np.argwhere(ring)
    if not len(rows) or len(edge) < 8:
        return None
    # Every n-th: enough to compare with, and the same each time.
    rows, edge = rows[:: max(1, len(rows) // SAMPLED)], edge[:: max(1, len(edge) // SAMPLED)]
    own = box[tuple(edge.T)]
    best: tuple[float, NDArray[np.int64], float] | None = None
    origin, last = np.asarray(start), np.asarray(image.shape) - 1
    for shift in _shifts(size):
        at, by = rows + origin + shift, edge + origin + shift
        if (np.minimum(at.min(0), by.min(0)) < 0).any():
            continue
        if (np.maximum(at.max(0), by.max(0)) > last).any():
            continue
        filled, there = image[tuple(at.T)], image[tuple(by.T)]
        if (filled > AERATED).mean() > MOST_DENSE or (there > AERATED).mean() > 2 * MOST_DENSE:
            continue
        level = float(np.median(own) - np.median(there))
        misfit = abs(level) + float(np.abs(own - there - level).mean())
        if best is None or misfit < best[0]:
            best = (misfit, shift, level)
    if best is None:
        return None
    _, shift, level = best
    corner = origin + shift
    moved = take(image, (int(corner[0]), int(corner[1]), int(corner[2])), _shape(box))
    moved = moved + np.float32(level)
    return np.where((moved < AERATED) | inside, moved, np.float32(np.median(own)))


def _shifts(size: float) -> Iterator[NDArray[np.int64]]:
    """Ways to go, near ones first: in 26 directions by more than the lesion's size."""
    for more in SHIFTS_MM:
        reach = size + 2 * GROWN_MM + more
        for way in product((-1, 0, 1), repeat=3):
            if any(way):
                direction = np.array(way) / np.linalg.norm(way)
                yield np.rint(direction * reach).astype(np.int64)


def _level(box: Float, lung_ring: Bits, ring: Bits) -> Float:
    """The surroundings' level and noise where no neighbouring tissue fits."""
    around = box[lung_ring] if np.count_nonzero(lung_ring) >= 8 else box[ring]
    middle = float(np.median(around))
    spread = float(np.percentile(np.abs(around - middle), 50)) * 1.48
    noise = np.random.default_rng(0).standard_normal(box.shape)
    # As smooth as a reconstructed image: neighbours resemble one another.
    for axis in range(3):
        noise = (np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)) / 4
    scale = min(spread, 0.2) / max(float(noise.std()), 1e-6)
    return np.asarray(middle + scale * noise, np.float32)


def _shape(array: Float) -> Shape3:
    return array.shape[0], array.shape[1], array.shape[2]
