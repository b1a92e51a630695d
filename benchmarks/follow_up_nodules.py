"""Two examinations of real lungs with real nodules put in, each changed by a known amount.

The lungs and the nodules are real, their pairing and the change are not. Needs SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.follow_up import Breath, breathed, scanned
from imaging.geometry import Point, Points
from imaging.lungs import lung_mask
from imaging.outline import axes, outlines
from imaging.priors.examination import Examination, Seen
from imaging.resample import resample_mask
from imaging.volume import Mask, Region, Volume
from models.training.insertion import Patch, best_place, insert, make_patch
from models.training.lungs_data import Lung
from models.training.nodules_data import Nodule
from models.training.simulation import as_volume

APART_MM = 18.0
OUTLINE_MM = 1.5
"""The outline is sought no farther than that around the voxels that were put in."""
LEAST_MM, MOST_MM = 5.0, 22.0


class Fate(StrEnum):
    """What was done to a nodule between the two dates."""

    STABLE = "stable"
    GROWN = "grown"
    SHRUNK = "shrunk"
    REMOVED = "removed"
    ADDED = "added"
    UNMARKED = "unmarked"
    """In both, but left out of the earlier list: a finder passed over it."""


FACTORS: dict[Fate, tuple[float, float]] = {
    Fate.STABLE: (1.0, 1.0),
    Fate.GROWN: (1.25, 1.7),
    Fate.SHRUNK: (0.6, 0.8),
    Fate.UNMARKED: (1.0, 1.0),
}
"""Of the diameter, now against then."""
FATES = (Fate.STABLE,) * 3 + (Fate.GROWN,) * 3 + (Fate.SHRUNK,) * 2 + (
    Fate.REMOVED, Fate.REMOVED, Fate.ADDED, Fate.ADDED, Fate.UNMARKED,
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What is known of one nodule: its number on both dates, and its true sizes (0: not there)."""

    number: int
    fate: Fate
    then_mm: float
    now_mm: float
    volume_ratio: float


@dataclass(frozen=True, eq=False)
class Pair:
    """Two examinations and all that is known of them."""

    name: str
    current: Examination
    prior: Examination
    known: tuple[Known, ...]
    breath: Breath
    lung_points: Points
    """Points of the current lungs, LPS mm."""


def make_pair(
    lung: Lung,
    nodules: list[Nodule],
    seed: int,
    *,
    days: int = 200,
    fates: tuple[Fate, ...] = FATES,
) -> Pair:
    """An examination of 2025-01-01 and one ``days`` later.

    Slices of 1.25 or 2.5 mm and noise of 15 to 40 HU are drawn for each on its own; the
    diaphragm moves by 8 to 20 mm, the patient by up to 5 degrees and 10 mm.
    """
    rng = np.random.default_rng(seed)
    base = as_volume(lung.hu.astype(np.float32))
    inside = base.grid.to_lps(np.argwhere(lung.mask[::4, ::4, ::4]) * 4)
    breath = _breath(inside, rng)
    moved = breathed(base, breath, fill=30.0, margin_mm=30.0)
    old, new = base.voxels.astype(np.float32), moved.voxels.astype(np.float32)
    known: list[Known] = []
    boxes: list[tuple[_Put | None, _Put | None]] = []
    taken = [base.grid.to_lps(lesion.centre) for lesion in lung.lesions]
    places = lung.places()
    for fate in fates:
        made = _put(fate, nodules, old, new, base, moved, breath, places, taken, rng)
        if made is None:
            continue
        then, now = made
        known.append(_known(len(known) + 1, fate, then, now))
        boxes.append(made)
    slices, noise = rng.choice([1.25, 2.5], 2), rng.uniform(15, 40, 2)
    offset = float(rng.uniform(0, 1))
    prior = scanned(
        Volume(old, base.grid), rng, slice_mm=slices[0], noise_hu=noise[0], offset_mm=offset
    )
    current = scanned(Volume(new, moved.grid), rng, slice_mm=slices[1], noise_hu=noise[1])
    then_seen = tuple(
        seen(prior, put.mask, k.number, "then")
        for k, (put, _) in zip(known, boxes, strict=True)
        if put is not None and k.fate is not Fate.UNMARKED
    )
    now_seen = tuple(
        seen(current, put.mask, k.number, "now")
        for k, (_, put) in zip(known, boxes, strict=True)
        if put is not None
    )
    day = str(np.datetime64("2025-01-01") + days).replace("-", "")
    here = lung_mask(current)
    points = here.mask.grid.to_lps(np.argwhere(here.mask.voxels[::6, ::6, ::6]) * 6)
    return Pair(
        lung.name,
        Examination(current, "2.1", "2.1.1", day, here, now_seen),
        Examination(prior, "2.2", "2.2.1", "20250101", lung_mask(prior), then_seen),
        tuple(known),
        breath,
        points,
    )


def _breath(inside: Points, rng: np.random.Generator) -> Breath:
    low, high = inside.min(axis=0), inside.max(axis=0)
    return Breath(
        _point((low + high) / 2),
        _point((high - low) / 2),
        diaphragm_mm=float(rng.uniform(8, 20) * rng.choice([-1, 1])),
        turn_degrees=_point(rng.uniform(-5, 5, 3)),
        shift_mm=_point(rng.uniform(-10, 10, 3)),
    )


@dataclass(frozen=True, eq=False)
class _Put:
    """A nodule in one examination: its voxels at 1 mm, and its diameter."""

    mask: Mask
    diameter_mm: float


def _put(
    fate: Fate,
    nodules: list[Nodule],
    old: NDArray[np.float32],
    new: NDArray[np.float32],
    base: Volume,
    moved: Volume,
    breath: Breath,
    places: NDArray[np.int32],
    taken: list[Points],
    rng: np.random.Generator,
) -> tuple[_Put | None, _Put | None] | None:
    """One nodule in both arrays as its fate wants; None where no place was found."""
    for _ in range(40):
        nodule = nodules[rng.integers(len(nodules))]
        scale = float(rng.uniform(0.85, 1.2))
        factor = float(rng.uniform(*FACTORS.get(fate, (1.0, 1.0))))
        if not all(LEAST_MM <= nodule.diameter_mm * s <= MOST_MM for s in (scale, scale * factor)):
            continue
        turn = int(rng.integers(2**31))
        then, now = (_patch(nodule, s, turn) for s in (scale, scale * factor))
        if then is None or now is None:
            continue
        spot = best_place(then, old, places, rng)
        if spot is None:
            continue
        centre = base.grid.to_lps(spot + then.centre)
        if any(np.linalg.norm(centre - at) < APART_MM for at in taken):
            continue
        corner = np.rint(moved.grid.to_index(breath.to_new(centre)) - now.centre).astype(np.int64)
        if (corner < 0).any() or (corner + now.hu.shape > np.array(new.shape)).any():
            continue
        taken.append(centre)
        return (
            None if fate is Fate.ADDED else _insert(then, old, spot, base, turn),
            None if fate is Fate.REMOVED else _insert(now, new, corner, moved, turn),
        )
    return None


def _patch(nodule: Nodule, scale: float, seed: int) -> Patch | None:
    """The same seed: the same density, turned the same way."""
    rng = np.random.default_rng(seed)
    patch = make_patch(nodule, rng, (scale, scale))
    return None if patch is None else patch.turned(np.random.default_rng(seed))


def _insert(
    patch: Patch, hu: NDArray[np.float32], corner: NDArray[np.int64], volume: Volume, seed: int
) -> _Put:
    insert(patch, hu, corner, np.random.default_rng(seed))
    k, j, i = (int(c) for c in corner)
    a, b, c = patch.inside.shape
    return _Put(
        Mask(patch.inside.copy(), volume.grid.crop((k, j, i), (a, b, c))), patch.diameter_mm
    )


def _known(number: int, fate: Fate, then: _Put | None, now: _Put | None) -> Known:
    ratio = 0.0
    if then is not None and now is not None:
        ratio = now.mask.volume_mm3 / then.mask.volume_mm3
    return Known(
        number, fate, then.diameter_mm if then else 0.0, now.diameter_mm if now else 0.0, ratio
    )


def seen(volume: Volume, truth: Mask, number: int, when: str) -> Seen:
    """A nodule outlined on the examination's own noisy voxels, and measured there.

    The outline is where HU pass halfway between the lung around and the nodule's core, no
    farther than 1.5 mm from the voxels that were put in.
    """
    grid = volume.grid
    pad = np.ceil(8.0 / np.array(grid.spacing_mm)).astype(int)
    corners = grid.to_index(truth.grid.to_lps([[0, 0, 0], np.array(truth.voxels.shape) - 1]))
    low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - pad, 0)
    high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + pad + 1, grid.shape)
    start = (int(low[0]), int(low[1]), int(low[2]))
    k, j, i = (int(n) for n in high - low)
    box = grid.crop(start, (k, j, i))
    inside = resample_mask(truth, box).voxels
    if not inside.any():
        at = np.rint(box.to_index(truth.grid.to_lps(np.argwhere(truth.voxels)))).astype(int)
        inside[tuple(np.clip(at, 0, np.array(inside.shape) - 1).T)] = True
    hu = volume.voxels[tuple(slice(a, a + n) for a, n in zip(start, (k, j, i), strict=True))]
    far = ndimage.distance_transform_edt(~inside, sampling=box.spacing_mm)
    around = hu[(far > 3) & (hu < -500)]
    level = (np.percentile(hu[inside], 75) + (np.median(around) if len(around) else -850)) / 2
    smooth = ndimage.gaussian_filter(hu.astype(np.float32), 0.5)
    found = (smooth > level) & (far <= OUTLINE_MM)
    labels, count = ndimage.label(found)
    if count > 1:
        sizes = np.bincount(labels[inside], minlength=count + 1)
        found = labels == int(sizes[1:].argmax()) + 1
    if not found.any():
        found = inside
    found = ndimage.binary_fill_holes(found)
    region = Region(found, start, grid)
    return Seen(
        f"2.9.{when}.{number}", number, region, mean_diameter(region), region.mask.volume_mm3
    )


def mean_diameter(region: Region) -> float:
    """Mean of long and short axis in the slice where the long one is longest, mm."""
    _, row, column = region.within.spacing_mm
    best = None
    for plane in region.voxels:
        if plane.any():
            found = axes(outlines(plane)[0] * np.array([column, row]))
            if best is None or found.long_length > best.long_length:
                best = found
    assert best is not None
    return (best.long_length + best.short_length) / 2


def _point(values: Points) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z
