"""A pancreas' mask on a CT to everything that is said of the gland."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from imaging.character.fields import signed_distance
from imaging.errors import NotMeasured
from imaging.geometry import Point
from imaging.language import Text
from imaging.pancreas import wording
from imaging.pancreas.centreline import Line, centre_line
from imaging.pancreas.density import Density, parenchyma
from imaging.pancreas.duct import DuctChain, chain
from imaging.pancreas.parts import PARTS, Landmarks, Parts, divide, landmarks_of
from imaging.pancreas.ridges import dark_ridges, duct_ridges
from imaging.pancreas.shape import on_box, shape_of, union
from imaging.pancreas.thickness import Thickness, thickness_along
from imaging.pancreatic import (
    DILATED_MM,
    Duct,
    Fitness,
    Gland,
    Part,
    PhaseEstimate,
    Place,
    ProfilePoint,
)
from imaging.volume import Region, Volume

LINE_MM: Final = 2.0
"""Voxels on which the line is looked for."""
CRUMBS: Final = 0.05
"""Pieces smaller than this share of the largest one are left out of the line."""
CLOSING_MM: Final = 3.0
"""Gaps of up to twice this (a slice that a network left out) do not bend the line."""
LEAST_ML: Final = 3.0
"""Of gland; less is measured by nobody."""
TIP_MM: Final = 10.0
"""At both ends of the line the gland tapers: no place to call thin."""
PAPILLA_MM: Final = 30.0
"""So near to the line's beginning a duct ends in the duodenum and is not cut off."""
ABRUPT_MM: Final = 10.0
"""Over so much gland a dilated duct that is cut off goes from 4 mm to nothing."""
LESS_MM: Final = 2.0
"""A duct narrower than this beyond a dilated one counts as not going on."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A gland, taken apart once for all that is measured of it and of lesions in it.

    Attributes:
        region: the whole gland: parenchyma, duct and lesions, on the volume's grid.
        line: from the head to the tail.
        parts: the line, divided.
        thickness: across the line.
        duct: along the line.
        duct_segmented: a model drew the duct; False: it was looked for in the densities.
        density: of the gland's own tissue.
        told: what a reader must know of how all this was measured.
    """

    region: Region
    line: Line
    parts: Parts
    thickness: Thickness
    duct: DuctChain
    duct_segmented: bool
    density: Density
    told: tuple[Text, ...] = ()

    def part_of(self, point: Point) -> Part:
        """The part of the gland that a point lies in or is nearest to; LPS mm."""
        return self.parts.at(point)

    def along_of(self, region: Region) -> tuple[float, float]:
        """From where to where on the line a lesion lies, mm: 2nd to 98th percentile."""
        along = self.line.along[self.line.nearest(region.points_mm)]
        low, high = np.percentile(along, (2, 98))
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Around:
    """What else was segmented near the gland, on the volume's grid.

    Attributes:
        lesions: in the pancreas; part of the gland, and no parenchyma.
        duct: the main pancreatic duct; part of the gland.
        bile_duct: no pancreatic duct.
        vein: superior mesenteric or portal vein alone.
        confluence: portal and splenic vein in one.
        aorta: whole or abdominal.
        aorta_left_mm: its left border at the gland, LPS x, where it was found without a mask.
    """

    lesions: Sequence[Region] = ()
    duct: Region | None = None
    bile_duct: Region | None = None
    vein: Region | None = None
    confluence: Region | None = None
    aorta: Region | None = None
    aorta_left_mm: float | None = None
    left_out: Sequence[Region] = field(default=())


def anatomy_of(volume: Volume, region: Region, around: Around | None = None) -> Anatomy:
    """Take a gland apart: line, parts, thickness, duct, density.

    Args:
        volume: CT in HU.
        region: the pancreas (or its parenchyma) on the volume's grid.
        around: what else was segmented.

    Raises:
        NotMeasured: the mask is empty, holds less than 3 ml, or lies on another grid.
    """
    near = around or Around()
    if not region.within.same_as(volume.grid):
        raise NotMeasured("the mask lies on another grid than the scan")
    whole = union([region, *_touching(region, [*near.lesions, *_some(near.duct)])])
    if whole.mask.volume_mm3 < LEAST_ML * 1000:
        raise NotMeasured(
            f"the mask holds {whole.mask.volume_mm3 / 1000:.1f} ml, less than {LEAST_ML:g} ml"
        )
    told: list[Text] = []
    shape = shape_of(whole)
    coarse, lost = shape.coarser(LINE_MM).without_crumbs(CRUMBS)
    if lost:
        told.append(wording.crumbs(lost / 1000))
    line = centre_line(coarse.closed(CLOSING_MM))
    marks = landmarks_of(line, vein=near.vein, confluence=near.confluence, aorta=near.aorta)
    if marks.aorta_left_mm is None and near.aorta_left_mm is not None:
        marks = Landmarks(marks.vein_right_mm, marks.vein_left_mm, near.aorta_left_mm)
    parts = divide(line, marks)
    thickness = thickness_along(shape, line)
    if parts.missing:
        told.append(wording.missing(parts.missing))
    if (thickness.mm == 0).any():
        told.append(wording.gaps())
    left_out = [*near.lesions, *_some(near.duct), *_some(near.bile_duct), *near.left_out]
    # The duct is looked for against a first guess, the tissue judged without the duct. Not the
    # median: a wide duct and the border's fat fill a third of an atrophic gland.
    guess = float(np.percentile(volume.voxels[region.box][region.voxels], 65))
    duct = _duct(volume, whole, line, near, guess)
    seen = duct.points[np.isfinite(duct.points[:, 0])]
    density = parenchyma(volume, region, without=left_out, around=seen)
    return Anatomy(whole, line, parts, thickness, duct, near.duct is not None, density, tuple(told))


def measure_gland(
    volume: Volume,
    region: Region,
    *,
    tracking_uid: str,
    phase: PhaseEstimate,
    fitness: Fitness,
    around: Around | None = None,
    anatomy: Anatomy | None = None,
    places: tuple[Place, ...] = (),
    places_shown: bool = False,
) -> Gland:
    """Measure a pancreas.

    Args:
        volume: CT in HU.
        region: the pancreas on the volume's grid.
        tracking_uid: of the structure that ``region`` is the mask of.
        phase: of the contrast agent.
        fitness: what the series was fit for.
        around: what else was segmented.
        anatomy: of the same gland, where it is there already.
        places: research places in it, where the site switched them on.
        places_shown: whether it did.

    Raises:
        NotMeasured: as :func:`anatomy_of`.
    """
    taken = anatomy or anatomy_of(volume, region, around)
    profile = _profile(volume, taken)
    thin = [
        point.thickness_mm
        for point in profile
        if point.part in (Part.BODY, Part.TAIL)
        and TIP_MM <= point.along_mm <= taken.line.length_mm - TIP_MM
        and point.thickness_mm > 0
    ]
    return Gland(
        tracking_uid=tracking_uid,
        volume_ml=round(taken.region.mask.volume_mm3 / 1000, 1),
        length_mm=round(taken.line.length_mm, 1),
        parenchyma_hu=taken.density.median_hu,
        parenchyma_sd_hu=taken.density.sd_hu,
        profile=profile,
        thinnest_mm=min(thin) if thin else None,
        duct=describe_duct(taken),
        phase=phase,
        fitness=fitness,
        places=places,
        places_shown=places_shown,
        told=(wording.parts(taken.parts.why), *taken.told),
    )


def describe_duct(anatomy: Anatomy) -> Duct:
    """What is said of the main duct along the gland."""
    duct, parts = anatomy.duct, anatomy.parts
    if not duct.seen.any():
        return Duct(why=wording.no_duct(segmented=anatomy.duct_segmented))
    # In the head the bile duct runs beside it: it counts there only where nothing else is seen,
    # or where a model drew the duct.
    start = 0.0 if anatomy.duct_segmented else parts.neck_at
    best = duct.widest(start) or duct.widest()
    assert best is not None
    width, at = best
    runs = duct.dilated_runs(start)
    cut = _cut_off(anatomy, runs)
    return Duct(
        widest_mm=round(width, 1),
        widest_at=_part_along(anatomy, at),
        dilated=bool(runs),
        cut_off_at=None if cut is None else _part_along(anatomy, cut),
        why=wording.duct(
            seen_mm=duct.seen_mm,
            length_mm=anatomy.line.length_mm,
            segmented=anatomy.duct_segmented,
            runs=runs,
            head_only=at < start,
        ),
    )


def _cut_off(anatomy: Anatomy, runs: list[tuple[float, float]]) -> float | None:
    """Where a dilated duct ends abruptly towards the head, mm along the line; None: nowhere."""
    if not runs:
        return None
    duct = anatomy.duct
    # Back along the duct to where it is no longer dilated, and on to where it is hardly there.
    width = np.nan_to_num(duct.width)
    wide = width >= LESS_MM
    narrow = np.flatnonzero((duct.along < runs[0][0]) & (width < DILATED_MM))
    first = float(duct.along[narrow[-1] + 1]) if len(narrow) else 0.0
    before = np.flatnonzero((duct.along < first) & ~wide)
    end = float(duct.along[before[-1]]) if len(before) else 0.0
    if end < PAPILLA_MM or first - end > ABRUPT_MM:
        return None
    beyond = (duct.along < end) & (duct.along > end - ABRUPT_MM)
    return end if not wide[beyond].any() else None


def _duct(volume: Volume, whole: Region, line: Line, near: Around, tissue_hu: float) -> DuctChain:
    if near.duct is not None:
        return chain(line, duct_ridges(near.duct))
    dark = [*near.lesions, *_some(near.bile_duct)]
    without = union(dark) if dark else None
    return chain(line, dark_ridges(volume, whole, tissue_hu, without=without))


def _profile(volume: Volume, taken: Anatomy) -> tuple[ProfilePoint, ...]:
    index, centres = taken.thickness.index, taken.thickness.centres
    along = taken.line.along[index]
    which = taken.parts.of(centres)
    means = _means(volume, taken, along)
    points = []
    for n in range(len(index)):
        duct = taken.duct.width_at(float(along[n]))
        x, y, z = (round(float(v), 1) for v in centres[n])
        points.append(
            ProfilePoint(
                along_mm=round(float(along[n]), 1),
                part=PARTS[int(which[n])],
                centre_lps_mm=(x, y, z),
                thickness_mm=round(float(taken.thickness.mm[n]), 1),
                duct_mm=None if duct is None else round(duct, 1),
                mean_hu=round(float(means[n]), 1),
            )
        )
    return tuple(points)


def _means(volume: Volume, taken: Anatomy, along: np.ndarray) -> np.ndarray:
    """Mean density of what lies nearest to each place of the line, the rim left out."""
    spacing = volume.grid.spacing_mm
    mask = np.pad(taken.region.voxels, 1)
    inner = signed_distance(mask, (1e4, *spacing[1:]))[1:-1, 1:-1, 1:-1] < -1.0
    inner = inner if inner.any() else taken.region.voxels
    values = volume.voxels[taken.region.box][inner].astype(np.float64)
    where = taken.line.nearest(taken.region.mask.grid.to_lps(np.argwhere(inner)))
    at = taken.line.along[where]
    bins = np.searchsorted((along[:-1] + along[1:]) / 2, at)
    count = np.bincount(bins, minlength=len(along))
    total = np.bincount(bins, weights=values, minlength=len(along))
    seen = count > 0
    means = np.where(seen, total / np.maximum(count, 1), np.nan)
    return np.asarray(np.interp(along, along[seen], means[seen]))


def _part_along(anatomy: Anatomy, along: float) -> Part:
    line = anatomy.line
    index = int(np.searchsorted(line.along, along).clip(0, len(line.points) - 1))
    return anatomy.parts.at(line.points[index])


def _touching(region: Region, others: Sequence[Region]) -> list[Region]:
    """Masks that lie at the gland: within a voxel of it."""
    found = []
    for other in others:
        if not other.voxels.any():
            continue
        both = union([region, other])
        gland, own = (np.pad(on_box(one, both), 1) for one in (region, other))
        wide = gland.copy()
        for axis in range(3):
            wide |= np.roll(gland, 1, axis) | np.roll(gland, -1, axis)
        if (wide & own).any():
            found.append(other)
    return found


def _some(region: Region | None) -> list[Region]:
    return [] if region is None else [region]
