"""Lays one chest CT over another: rigid from the lungs, then deformable inside them.

What is compared is lung: HU are clipped at soft tissue and everything away from the lungs is set
to soft tissue, so that ribs, arms and couch, which don't follow the breath, pull on nothing.
Rigid: Euler angles, mean squares of that picture on a 5 mm grid. Deformable: symmetric-forces
demons (Vercauteren 2009, NeuroImage 45:S61), the field smoothed after each step, coarse to fine
on a 6 and a 3 mm grid. Without lungs only the body is laid over, rigidly.
The same input gives the same result: no random sampling, one thread where sums are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.geometry import Grid, Shape3
from imaging.lungs import LungMask
from imaging.priors.alignment import Alignment, Motion
from imaging.priors.quality import NOTHING, Quality, Structures
from imaging.resample import axial_grid, resample, resample_mask, to_sitk
from imaging.volume import Mask, Volume

RIGID_MM = 5.0
FINE_MM = 3.0
LEVELS_MM = (6.0, FINE_MM)
STEPS = (60, 25)
"""Demons iterations of each level."""
SMOOTH_VOXELS = 1.6
"""Standard deviation of the Gaussian that smooths the field after each step."""
MARGIN_MM = 12.0
LEAST_OVERLAP = 0.15
"""Share of the current lungs' box that the earlier scan must cover for a start to be tried."""
LEAST_VOXELS = 8
"""Along each axis of a 5 mm grid; a thinner scan says too little."""
LUNG_HU, TISSUE_HU = -1000.0, -200.0
TYPICAL_LUNG_HU = -850.0
"""Both scans' median lung is brought here: a deeper breath makes lung darker."""
WORSE_MM = 0.3
"""A bend that leaves the residual this much above the rigid one is dropped."""

Bools = NDArray[np.bool_]


class Method(StrEnum):
    """How two examinations were laid over one another."""

    DEFORMABLE = "deformable"
    RIGID = "rigid"
    BODY = "body"
    """Rigid, by the outline of the body: there are no lungs to go by."""


@dataclass(frozen=True, eq=False)
class Registration:
    """Two examinations laid over one another.

    Attributes:
        alignment: the map.
        method: how.
        quality: how well, over structures of the lung.
    """

    alignment: Alignment
    method: Method
    quality: Quality


def register(
    current: Volume, prior: Volume, current_lungs: LungMask | None, prior_lungs: LungMask | None
) -> Registration:
    """Lay two examinations over one another.

    Args:
        current: CT in HU, orthogonal axes; points are mapped from here.
        prior: the earlier one.
        current_lungs: its lungs; None or empty: there are none.
        prior_lungs: those of the earlier one.

    Returns:
        The best of rigid and deformable by the residual over lung structures. A pair that can't
        be laid over gives a registration whose ``quality.good`` is False; nothing is raised.
    """
    if not _usable(current_lungs) or not _usable(prior_lungs):
        return _by_body(current, prior)
    assert current_lungs is not None and prior_lungs is not None
    fixed = _picture(current, current_lungs, FINE_MM)
    moving = _picture(prior, prior_lungs, FINE_MM)
    seen = _scanned(current.grid, fixed.grid), _scanned(prior.grid, moving.grid)
    motion = _rigid(fixed, moving, seen, _starts(current_lungs, prior_lungs))
    rigid = Alignment(motion)
    both = seen[0], _scanned(prior.grid, fixed.grid, rigid)
    bent = _demons(fixed, moving, both, motion)
    structures = Structures.of(current, prior, current_lungs)
    first, second = structures.quality(rigid), structures.quality(bent)
    if _keeps(first, second):
        return Registration(bent, Method.DEFORMABLE, second)
    return Registration(rigid, Method.RIGID, first)


def _keeps(rigid: Quality, bent: Quality) -> bool:
    """Whether the bend made it no worse."""
    if bent.median_mm is None or rigid.median_mm is None:
        return bent.median_mm is not None
    return bent.agreeing >= rigid.agreeing or bent.median_mm <= rigid.median_mm + WORSE_MM


def _usable(lungs: LungMask | None) -> bool:
    return lungs is not None and lungs.volume_ml > 0 and bool(lungs.mask.voxels.any())


def _picture(volume: Volume, lungs: LungMask, spacing_mm: float) -> Volume:
    """Lung in soft tissue, on a grid around the lungs; float32, 0 (air) to 1 (tissue)."""
    found = np.argwhere(lungs.mask.voxels)
    pad = int(np.ceil(MARGIN_MM / lungs.mask.grid.spacing_mm[0]))
    low, high = found.min(axis=0) - pad, found.max(axis=0) + pad
    start: Shape3 = (int(low[0]), int(low[1]), int(low[2]))
    k, j, i = (int(n) for n in high - low + 1)
    grid = axial_grid(lungs.mask.grid.crop(start, (k, j, i)), spacing_mm)
    hu = resample(volume, grid, fill=TISSUE_HU).voxels
    inside = lungs.on(grid).voxels
    near = _grown(inside, 2)
    lung = hu[inside & (hu < -500)]
    shift = TYPICAL_LUNG_HU - float(np.median(lung)) if len(lung) else 0.0
    # The shift fades out towards soft tissue, which no breath changes.
    hu = hu + shift * np.clip((TISSUE_HU - hu) / (TISSUE_HU - TYPICAL_LUNG_HU), 0, 1)
    scaled = (np.clip(hu, LUNG_HU, TISSUE_HU) - LUNG_HU) / (TISSUE_HU - LUNG_HU)
    return Volume(np.where(near, scaled, 1.0).astype(np.float32), grid)


def _scanned(source: Grid, grid: Grid, through: Alignment | None = None) -> Bools:
    """Which voxels of ``grid`` (mapped by ``through``) lie in what was scanned, (k, j, i)."""
    axes = [np.arange(n) for n in grid.shape]
    points = grid.to_lps(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1))
    if through is not None:
        points = through.to_prior(points)
    at = source.to_index(points)
    return np.asarray(((at > -0.5) & (at < np.array(source.shape) - 0.5)).all(axis=-1), bool)


def _grown(mask: Bools, voxels: int) -> Bools:
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    grown: Bools = sitk.GetArrayFromImage(
        sitk.BinaryDilate(image, (voxels,) * 3, sitk.sitkBox)
    ).astype(bool)
    return grown


def _starts(current: LungMask, prior: LungMask) -> list[NDArray[np.float64]]:
    """Shifts worth trying, current to prior, mm: same table, centre on centre, ends on ends."""
    here, there = _extent(current.mask), _extent(prior.mask)
    middle = there[0] - here[0]
    head, foot = middle.copy(), middle.copy()
    head[2] = there[2][2] - here[2][2]
    foot[2] = there[1][2] - here[1][2]
    return [np.zeros(3), middle, head, foot]


def _extent(mask: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centroid, lowest and highest corner of the true voxels, LPS mm."""
    points = mask.grid.to_lps(np.argwhere(mask.voxels[::2, ::2, ::2]) * 2)
    return points.mean(axis=0), points.min(axis=0), points.max(axis=0)


def _rigid(
    fixed: Volume,
    moving: Volume,
    seen: tuple[Bools, Bools],
    starts: list[NDArray[np.float64]],
) -> Motion:
    """Euler angles and a shift by mean squares, from the start that already agrees best.

    Only what ``seen`` says was scanned counts: a lung that is cut off is no small lung.
    """
    target, source = (to_sitk(*_coarse(picture, RIGID_MM)) for picture in (fixed, moving))
    masks = [
        to_sitk(part.voxels.astype(np.uint8), part.grid)
        for picture, mask in zip((fixed, moving), seen, strict=True)
        for part in [resample_mask(Mask(mask, picture.grid), axial_grid(picture.grid, RIGID_MM))]
    ]
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMeanSquares()
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetMetricFixedMask(masks[0])
    method.SetMetricMovingMask(masks[1])
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.02, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([2, 1])
    method.SetSmoothingSigmasPerLevel([1.0, 0.5])
    centre = fixed.grid.to_lps((np.array(fixed.grid.shape) - 1) / 2)
    best: sitk.Euler3DTransform | None = None
    least = np.inf
    for shift in starts:
        guess = sitk.Euler3DTransform()
        guess.SetCenter(centre.tolist())
        guess.SetTranslation(shift.tolist())
        value = _misfit(target, source, masks, guess)
        if best is None or value < least:
            best, least = guess, value
    assert best is not None
    method.SetInitialTransform(best, inPlace=True)
    try:
        method.Execute(target, source)
    except RuntimeError:  # nothing overlaps: the start stays, and its quality tells
        best.SetRotation(0.0, 0.0, 0.0)
    turn = np.array(best.GetMatrix()).reshape(3, 3)
    motion = np.eye(4)
    motion[:3, :3] = turn
    motion[:3, 3] = centre + np.array(best.GetTranslation()) - turn @ centre
    return motion


def _misfit(
    target: sitk.Image, source: sitk.Image, masks: list[sitk.Image], guess: sitk.Transform
) -> float:
    """Mean square difference where both were scanned; infinite where too little was."""
    moved, covered = (
        sitk.GetArrayFromImage(sitk.Resample(image, target, guess, how, 0.0, image.GetPixelID()))
        for image, how in ((source, sitk.sitkLinear), (masks[1], sitk.sitkNearestNeighbor))
    )
    both = (covered > 0) & (sitk.GetArrayFromImage(masks[0]) > 0)
    if np.count_nonzero(both) < LEAST_OVERLAP * both.size:
        return float("inf")
    difference = (moved - sitk.GetArrayFromImage(target))[both]
    return float(np.mean(np.square(difference)))


def _coarse(picture: Volume, spacing_mm: float) -> tuple[NDArray[np.float32], Grid]:
    """The picture smoothed and on a coarser grid."""
    sigma = 0.5 * spacing_mm
    image = sitk.SmoothingRecursiveGaussian(to_sitk(picture.voxels, picture.grid), [sigma] * 3)
    smooth: NDArray[np.float32] = sitk.GetArrayFromImage(image)
    grid = axial_grid(picture.grid, spacing_mm)
    out = resample(Volume(smooth, picture.grid), grid, fill=1.0)
    return np.asarray(out.voxels, np.float32), grid


def _demons(fixed: Volume, moving: Volume, seen: tuple[Bools, Bools], motion: Motion) -> Alignment:
    """The bend that breathing made, after the rigid motion.

    Where only one of the two was scanned, the other is given the same voxels: nothing pulls
    there, and the bend runs out smoothly instead of squeezing a whole lung into half a one.
    """
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(motion[:3, :3].ravel().tolist())
    transform.SetTranslation(motion[:3, 3].tolist())
    source = to_sitk(moving.voxels, moving.grid)
    target = to_sitk(fixed.voxels, fixed.grid)
    other = sitk.GetArrayFromImage(
        sitk.Resample(source, target, transform, sitk.sitkLinear, 1.0, sitk.sitkFloat32)
    )
    own = np.where(seen[0], fixed.voxels, other)
    pictures = own, np.where(seen[1], other, own)
    field: sitk.Image | None = None
    for spacing, steps in zip(LEVELS_MM, STEPS, strict=True):
        here, there = (to_sitk(each, fixed.grid) for each in pictures)
        if spacing > FINE_MM:
            here, there = (
                to_sitk(*_coarse(Volume(each, fixed.grid), spacing)) for each in pictures
            )
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(steps)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(SMOOTH_VOXELS)
        demons.SetMaximumUpdateStepLength(2.0)
        if field is None:
            field = demons.Execute(here, there)
        else:
            first = sitk.Resample(
                field, here, sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID()
            )
            field = demons.Execute(here, there, first)
    assert field is not None
    bend = sitk.GetArrayFromImage(field).astype(np.float32)
    return Alignment(motion, fixed.grid, bend)


def _by_body(current: Volume, prior: Volume) -> Registration:
    """Rigid, by the body: HU clipped from air to bone on a 5 mm grid."""
    fixed, moving = (
        Volume(_body(volume), axial_grid(volume.grid, RIGID_MM)) for volume in (current, prior)
    )
    if min(*fixed.grid.shape, *moving.grid.shape) < LEAST_VOXELS:
        return Registration(Alignment(np.eye(4)), Method.BODY, NOTHING)
    points = [v.grid.to_lps((np.array(v.grid.shape) - 1) / 2) for v in (fixed, moving)]
    seen = np.ones(fixed.grid.shape, bool), np.ones(moving.grid.shape, bool)
    motion = _rigid(fixed, moving, seen, [np.zeros(3), points[1] - points[0]])
    alignment = Alignment(motion)
    found = Structures.of(current, prior, None).quality(alignment)
    return Registration(alignment, Method.BODY, found)


def _body(volume: Volume) -> NDArray[np.float32]:
    grid = axial_grid(volume.grid, RIGID_MM)
    hu = np.asarray(resample(volume, grid).voxels, np.float32)
    return np.asarray((np.clip(hu, -500, 300) + 500) / 800, np.float32)
