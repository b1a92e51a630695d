"""Lays one MR series of a head over another, rigidly, whatever the two are weighted for.

Mutual information (Mattes 2003, IEEE TMI 22:120) of both pictures at 2 mm, coarse to fine, from
two starts: as the headers say, and centre on centre, which finds the way where the two have
different frames of reference. The same input gives the same result: seeded samples, one thread.
What is left over is measured apart from that, see :mod:`imaging.agreement`, and the header's own
positions are kept where the search made nothing better.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from imaging.agreement import Agreement, Landmarks, Picture
from imaging.brain_mask import HEAD_MM
from imaging.geometry import Grid, Points
from imaging.resample import axial_grid, resample, resample_mask, resample_moved, to_sitk
from imaging.volume import Mask, Volume

log = logging.getLogger(__name__)

SPACING_MM = 2.0
BINS = 32
SEED = 20260105
LEAST_VOXELS = 10
"""Along each axis at 2 mm; a thinner slab says too little about a rigid motion."""
BALL_MM = 80.0
"""How far from the middle of the fixed series motion is stated."""
BETTER_MM = 0.3
"""What the search must gain over the header's own positions to be believed."""

_ALONE = threading.Lock()

Motion = NDArray[np.float64]
"""4 x 4: LPS mm of the fixed series to LPS mm of the moving one."""


@dataclass(frozen=True, eq=False)
class Coregistration:
    """How a series lies over another.

    Attributes:
        motion: fixed LPS mm to moving LPS mm, 4 x 4.
        agreement: what is left over, measured on places all over the head.
        moved_mm: the farthest that ``motion`` moves a point 80 mm around the fixed middle.
        turned_degrees: its angle.
    """

    motion: Motion
    agreement: Agreement
    moved_mm: float
    turned_degrees: float


def coregister(fixed: Volume, moving: Volume) -> Coregistration:
    """Lay ``moving`` over ``fixed``.

    Args:
        fixed: signal, orthogonal axes, most of a head in view; points are mapped from here.
        moving: another series of the same head.

    Returns:
        The better of what the headers say and what was found. Two that can't be laid over one
        another, or hold too little to tell, give an ``agreement`` that is not ``good``.

    Raises:
        ValueError: a grid is sheared.
    """
    here, there = picture(fixed), picture(moving)
    if min(*here.volume.grid.shape, *there.volume.grid.shape) < LEAST_VOXELS:
        return _told(np.eye(4), Agreement(0, 0, None), fixed.grid)
    landmarks = Landmarks.of(here, there)
    as_sent = landmarks.agreement(np.eye(4))
    with _one_thread():
        motion = _search(here, there)
    found = landmarks.agreement(motion)
    if _keeps(as_sent, found):
        return _told(np.eye(4), as_sent, fixed.grid)
    return _told(motion, found, fixed.grid)


def laid_over(volume: Volume, motion: Motion, target: Grid) -> Volume:
    """A series interpolated onto another's grid after :func:`coregister`; its lowest value fills.

    Args:
        volume: the moving series.
        motion: fixed to moving.
        target: a grid in the fixed series' frame.
    """
    return resample_moved(volume, motion, target, fill=float(volume.voxels.min()))


def _keeps(as_sent: Agreement, found: Agreement) -> bool:
    """Whether the headers' own positions are as good as what the search found."""
    if as_sent.residual_mm is None or found.residual_mm is None:
        return as_sent.residual_mm is not None
    if as_sent.good and not found.good:
        return True
    gain = as_sent.residual_mm - found.residual_mm
    return gain < BETTER_MM and as_sent.share >= found.share - 0.1


def _told(motion: Motion, agreement: Agreement, fixed: Grid) -> Coregistration:
    middle = fixed.to_lps((np.array(fixed.shape) - 1) / 2)
    around = middle + BALL_MM * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    moved = around @ motion[:3, :3].T + motion[:3, 3] - around
    cosine = (np.trace(motion[:3, :3]) - 1) / 2
    return Coregistration(
        motion,
        agreement,
        moved_mm=float(np.linalg.norm(moved, axis=1).max()),
        turned_degrees=float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
    )


def picture(volume: Volume) -> Picture:
    """What is compared: at 2 mm along the axes, 0 to 1, cut at the brightest percent."""
    grid = axial_grid(volume.grid, SPACING_MM)
    values = resample(volume, grid, fill=float(volume.voxels.min())).voxels
    low = float(values.min())
    shown = values[values > low]
    high = float(np.percentile(shown, 99)) if shown.size else low + 1
    scaled = np.clip((values - low) / max(high - low, 1e-6), 0, 1)
    whole = Mask(np.ones(volume.grid.shape, bool), volume.grid)
    return Picture(Volume(np.asarray(scaled, np.float32), grid), resample_mask(whole, grid).voxels)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums of several threads differ in their last digits from run to run.

    The metric takes the number of threads from the process alone; other filters that start
    meanwhile are slower and nothing else.
    """
    with _ALONE:
        usual = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(usual)


def _search(fixed: Picture, moving: Picture) -> Motion:
    """Euler angles and a shift that make mutual information greatest, from the better start."""
    target, source = (to_sitk(each.volume.voxels, each.volume.grid) for each in (fixed, moving))
    # The edge of what was scanned is no edge of the head.
    masks = [to_sitk(each.seen.astype(np.uint8), each.volume.grid) for each in (fixed, moving)]
    here, there = _middle(fixed.volume), _middle(moving.volume)
    best = sitk.Euler3DTransform()
    least = np.inf
    for shift in (np.zeros(3), there - here):
        start = sitk.Euler3DTransform()
        start.SetCenter(here.tolist())
        start.SetTranslation(shift.tolist())
        value = _run(_method(start, masks, 4, 1.0, step_mm=2.0, relaxed=0.8), target, source)
        if value < least:
            best, least = start, value
    # A ball of a head leaves turns ill defined: conjugate gradients don't zigzag there.
    coarse = _method(best, masks, 4, 1.0)
    coarse.SetOptimizerAsConjugateGradientLineSearch(1.0, 40, 1e-5, 5, lineSearchUpperLimit=4)
    coarse.SetOptimizerScalesFromPhysicalShift()
    _run(coarse, target, source)
    _run(_method(best, masks, 2, 0.4, step_mm=0.3, relaxed=0.85), target, source)
    motion = np.eye(4)
    motion[:3, :3] = np.array(best.GetMatrix()).reshape(3, 3)
    centre = np.array(best.GetCenter())
    motion[:3, 3] = centre + np.array(best.GetTranslation()) - motion[:3, :3] @ centre
    return motion


def _method(
    start: sitk.Euler3DTransform,
    masks: list[sitk.Image],
    shrink: int,
    share: float,
    *,
    step_mm: float = 1.0,
    relaxed: float = 0.8,
) -> sitk.ImageRegistrationMethod:
    """A search that moves ``start`` itself, on pictures made ``shrink`` times coarser."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricSamplingStrategy(method.RANDOM if share < 1 else method.NONE)
    if share < 1:
        method.SetMetricSamplingPercentage(share, SEED)
    method.SetMetricFixedMask(masks[0])
    method.SetMetricMovingMask(masks[1])
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(step_mm, 0.02, 60, relaxationFactor=relaxed)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([shrink])
    method.SetSmoothingSigmasPerLevel([shrink / 4])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(start, inPlace=True)
    return method


def _run(method: sitk.ImageRegistrationMethod, target: sitk.Image, source: sitk.Image) -> float:
    """The metric that was reached, lower is better; infinite where the two hardly overlap."""
    try:
        method.Execute(target, source)
    except RuntimeError as error:
        log.info("search gave up: %s", str(error).strip().splitlines()[-1])
        return np.inf
    return float(method.GetMetricValue())


def _middle(volume: Volume) -> Points:
    """Centre of what is brighter than air, LPS mm; of the head alone, so that a neck pulls less."""
    found = np.argwhere(volume.voxels > 0.15)
    if not len(found):
        return volume.grid.to_lps((np.array(volume.grid.shape) - 1) / 2)
    top = found[:, 0].max() - HEAD_MM / SPACING_MM
    return volume.grid.to_lps(found[found[:, 0] >= top].mean(axis=0))
