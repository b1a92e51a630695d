"""How well two examinations lie over one another, measured on the lungs' own structures.

Small cubes around places where much happens (vessels that fork, fissures) are taken from the
current examination, laid into the earlier one by the alignment, and sought in its neighbourhood
by normalised cross-correlation. How far away the best agreement lies is what the alignment left
over there: the way registrations are judged against landmarks (Murphy 2011, IEEE TMI 30:1901),
with landmarks that the computer found.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.block_matching import best_match, cube_offsets, evenly_along, strongest_of_cells
from imaging.geometry import Point, Points
from imaging.lungs import LungMask
from imaging.priors.alignment import Alignment, sample
from imaging.resample import axial_grid, resample
from imaging.volume import Volume

SPACING_MM = 2.0
HALF = 4
"""Half a cube's side, voxels: 18 mm in all."""
REACH = 5
"""How far around the mapped place is sought, voxels: 10 mm."""
PLACES = 120
CELL_MM = 24.0
"""At most one place in a cell of this size, so that they lie all over the lungs."""
ALIKE = 0.7
"""Least correlation that says the same structure was found again."""
LEAST_FOUND = 12
GOOD_SHARE = 0.5
"""Of the places, found again: below, the two can't be laid over one another."""
GOOD_MM = 6.0
NEIGHBOURS = 8


@dataclass(frozen=True, eq=False)
class Quality:
    """What an alignment left over.

    Attributes:
        places: where it was measured and the structure was found again, current LPS mm, [n, 3].
        residuals_mm: how far off it was there, mm, [n].
        sought: how many places were tried inside both examinations.
    """

    places: Points
    residuals_mm: NDArray[np.float64]
    sought: int

    @property
    def agreeing(self) -> float:
        """Share of the places that were found again."""
        return len(self.residuals_mm) / self.sought if self.sought else 0.0

    @property
    def median_mm(self) -> float | None:
        """Median residual; None where too few places were found again to say."""
        if len(self.residuals_mm) < LEAST_FOUND:
            return None
        return float(np.median(self.residuals_mm))

    @property
    def good(self) -> bool:
        """Whether nodules may be matched by it."""
        median = self.median_mm
        return median is not None and median <= GOOD_MM and self.agreeing >= GOOD_SHARE

    def near(self, lps_mm: Point) -> float:
        """Error to reckon with at a current point: the upper quartile of its eight neighbours'."""
        if not len(self.residuals_mm):
            return GOOD_MM
        far = np.linalg.norm(self.places - np.array(lps_mm), axis=1)
        closest = np.argsort(far, kind="stable")[:NEIGHBOURS]
        return float(np.percentile(self.residuals_mm[closest], 75))


NOTHING = Quality(np.zeros((0, 3)), np.zeros(0), 0)
"""Nothing could be measured."""


@dataclass(frozen=True, eq=False)
class Structures:
    """What is sought again: cubes of the current examination, and the earlier one's voxels.

    Attributes:
        places: current LPS mm, [n, 3].
        cubes: HU around each, [n, side, side, side].
        prior: the earlier examination at 2 mm, HU clipped.
    """

    places: Points
    cubes: NDArray[np.float32]
    prior: Volume

    @classmethod
    def of(cls, current: Volume, prior: Volume, lungs: LungMask | None) -> Structures:
        """Choose them.

        Args:
            current: CT in HU.
            prior: the earlier one.
            lungs: of the current one; None: places are taken from anywhere in the body.
        """
        here = _clipped(current, lungs)
        places = _places(here, lungs)
        around = places[:, None, None, None] + cube_offsets(2 * HALF + 1) * SPACING_MM
        cubes = sample(here.voxels, here.grid, around).astype(np.float32)
        return cls(places, cubes, _clipped(prior))

    def quality(self, alignment: Alignment) -> Quality:
        """Measure what ``alignment``, current to prior, left over."""
        grid = self.prior.grid
        around = cube_offsets(2 * (HALF + REACH) + 1) * SPACING_MM
        mapped = alignment.to_prior(self.places)
        at = grid.to_index(mapped)
        inside = ((at >= HALF) & (at <= np.array(grid.shape) - 1 - HALF)).all(axis=-1)
        kept: list[NDArray[np.float64]] = []
        residuals: list[float] = []
        for n in np.flatnonzero(inside):
            field = sample(self.prior.voxels, grid, mapped[n] + around).astype(np.float32)
            correlation = _correlation(self.cubes[n], field)
            if correlation.max() >= ALIKE:
                kept.append(self.places[n])
                off, _ = best_match(correlation)
                residuals.append(float(np.linalg.norm(off)) * SPACING_MM)
        return Quality(
            np.array(kept).reshape(-1, 3), np.array(residuals, np.float64), int(inside.sum())
        )


def _clipped(volume: Volume, lungs: LungMask | None = None) -> Volume:
    """At 2 mm, HU clipped; of the lungs' surroundings only where there are lungs."""
    grid = axial_grid(volume.grid, SPACING_MM)
    if lungs is not None:
        found = np.argwhere(lungs.mask.voxels)
        corners = grid.to_index(lungs.mask.grid.to_lps([found.min(axis=0), found.max(axis=0)]))
        low = np.maximum(np.floor(corners.min(axis=0)).astype(int) - HALF, 0)
        high = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + HALF + 1, grid.shape)
        k, j, i = (int(n) for n in high - low)
        grid = grid.crop((int(low[0]), int(low[1]), int(low[2])), (k, j, i))
    image = resample(volume, grid, fill=-1000.0)
    return Volume(np.asarray(np.clip(image.voxels, -1000, 100), np.float32), image.grid)


def _places(volume: Volume, lungs: LungMask | None) -> Points:
    """Where much happens: the strongest variation of each 24 mm cell, the strongest cells first."""
    image = sitk.GetImageFromArray(volume.voxels)
    mean, squares = (
        sitk.GetArrayFromImage(sitk.BoxMean(each, (HALF - 1,) * 3))
        for each in (image, sitk.Square(image))
    )
    strength: NDArray[np.float32] = squares - np.square(mean)
    if lungs is not None:
        inside = sitk.GetImageFromArray(lungs.on(volume.grid).voxels.astype(np.uint8))
        # off the wall: a wall looks the same a little along itself
        core = sitk.GetArrayFromImage(sitk.BinaryErode(inside, (3, 3, 3), sitk.sitkBox))
        strength = np.where(core > 0, strength, 0)
    edge = HALF + 1
    strength[:edge] = strength[-edge:] = 0
    strength[:, :edge] = strength[:, -edge:] = 0
    strength[:, :, :edge] = strength[:, :, -edge:] = 0
    # evenly along the ranking, so that the hilum's big vessels aren't all there is
    found = strongest_of_cells(strength, round(CELL_MM / SPACING_MM))
    return volume.grid.to_lps(evenly_along(found, PLACES))


def _correlation(wanted: NDArray[np.float32], field: NDArray[np.float32]) -> NDArray[np.float64]:
    """Normalised cross-correlation of a cube at every place it fits in a larger one."""
    count = wanted.size
    pattern = wanted.astype(np.float64) - wanted.mean(dtype=np.float64)
    norm = float(np.sqrt(np.square(pattern).sum()))
    # Through the frequencies, thirty times faster; the places where it fits don't wrap around.
    axes = (0, 1, 2)
    transformed = np.fft.rfftn(field, field.shape, axes) * np.conj(
        np.fft.rfftn(pattern, field.shape, axes)
    )
    fits = tuple(slice(0, n - m + 1) for n, m in zip(field.shape, wanted.shape, strict=True))
    along = np.fft.irfftn(transformed, field.shape, axes)[fits]
    exact = field.astype(np.float64)
    total, squares = (_sums(each, wanted.shape[0]) for each in (exact, np.square(exact)))
    spread = np.sqrt(np.maximum(squares - total**2 / count, 1e-6))
    result: NDArray[np.float64] = along / (spread * max(norm, 1e-6))
    return result


def _sums(field: Points, side: int) -> NDArray[np.float64]:
    """Sum over every cube of ``side`` voxels."""
    for axis in range(3):
        run = np.concatenate([np.zeros_like(field.take([0], axis)), np.cumsum(field, axis)], axis)
        n = run.shape[axis]
        field = run.take(range(side, n), axis) - run.take(range(n - side), axis)
    return field
