"""Nodule task: from a chest volume to lesions with the dense detector and the mask net.

Lungs at 2 mm -> their box at 1 mm -> dense detector, tile by tile -> candidates -> a cube
around each -> mask net -> the mask on the source's own voxels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from imaging.geometry import Grid, Shape3
from imaging.lungs import lung_mask
from imaging.notices import Notice, notice
from imaging.resample import axial_grid, resample, resample_mask, resample_probability
from imaging.volume import Mask, Region, Volume
from models.clock import Clock
from models.errors import InputRefused
from models.lesions import Candidate, Lesions
from models.lungs import nodules
from models.lungs.surroundings import without_outer_air
from models.lungs.tiling import Tiling, run_tiled
from models.lungs.why import explain_best
from models.runner import Runner
from models.spec import ModelSpec

WORKING_MM = 1.0
LUNG_MARGIN_MM = 16.0
DETECTOR_TILING = Tiling(
    tile=(192, 256, 384), margin=32, multiple=nodules.SIDE_MULTIPLE, stride=nodules.STRIDE
)
"""About 2 GB at work; a pair of lungs takes two or three tiles."""
SAME_LESION = 0.5
"""Two masks are one lesion when they share more than this part of the smaller one."""


def find_nodules(
    volume: Volume,
    spec: ModelSpec,
    networks: Mapping[str, Runner],
    progress: Callable[[str], None],
    *,
    explained: bool = True,
) -> Lesions:
    """Find lung nodules.

    Args:
        volume: HU, any orthogonal grid.
        spec: its operating point says what is reported.
        networks: ``detector`` and ``mask``.
        progress: called with the name of each step as it begins.
        explained: say of the best what made the detector flag them; it takes a second or more.

    Raises:
        InputRefused: there is too little lung in view.
        InferenceFailed: a network could not be run.
    """
    seconds: dict[str, float] = {}
    clock = Clock(seconds)
    point = spec.operating_point
    notices: list[Notice] = []

    progress("lungs")
    lungs = lung_mask(volume)
    if lungs.volume_ml < point.minimum_lung_ml:
        raise InputRefused(notice("no-lung", found=lungs.volume_ml, wanted=point.minimum_lung_ml))
    if any(lungs.touches_end):
        notices.append(notice("partial-lung"))
    clock.lap("lungs")

    progress("resample")
    target = _lung_box(lungs.mask, axial_grid(volume.grid, WORKING_MM))
    working = resample(volume, target)
    image = nodules.to_input(without_outer_air(working.voxels, target, lungs.mask))
    inside = resample_mask(lungs.mask, target).voxels
    clock.lap("resample")

    progress("detect")
    air = float(nodules.to_input(np.array([-1000.0]))[0])
    maps = run_tiled(image, networks["detector"], DETECTOR_TILING, fill=air)
    threshold = float(np.log(point.score_threshold / (1 - point.score_threshold)))
    found = nodules.find_candidates(maps, threshold=threshold, lung=inside)
    found = found[: point.most_findings]
    clock.lap("detect")

    progress("segment")
    cubes = nodules.segment(image, found, lambda crops: networks["mask"].run(crops)[0])
    lesions = [
        Candidate(_to_source(volume, target, cube, candidate, point.mask_threshold),
                  candidate.probability)
        for candidate, cube in zip(found, cubes, strict=True)
    ]  # fmt: skip
    clock.lap("segment")

    kept = _distinct(lesions)
    if explained:
        progress("why")
        kept = explain_best(kept, image, target, lambda crops: networks["detector"].run(crops)[0])
        clock.lap("why")
    return Lesions(tuple(kept), tuple(notices), seconds, lungs)


def _lung_box(lungs: Mask, working: Grid) -> Grid:
    """The part of the working grid that holds the lungs and a margin."""
    at = np.argwhere(lungs.voxels)
    corners = np.array(np.meshgrid(*np.stack([at.min(0), at.max(0)], axis=1))).reshape(3, -1).T
    index = working.to_index(lungs.grid.to_lps(corners))
    low = np.floor(index.min(0) - LUNG_MARGIN_MM / WORKING_MM).astype(int).clip(0)
    high = np.ceil(index.max(0) + LUNG_MARGIN_MM / WORKING_MM).astype(int) + 1
    high = np.minimum(high, working.shape)
    return working.crop(_shape(low), _shape(high - low))


def _to_source(
    volume: Volume,
    working: Grid,
    cube: nodules.Cube,
    candidate: nodules.Candidate,
    threshold: float,
) -> Region:
    """A cube of probabilities to a mask on the source's own voxels."""
    piece = nodules.connected(cube, threshold)
    values = np.where((cube.values >= threshold) & ~piece, np.float32(0), cube.values)
    size = values.shape
    grid = Grid((size[0], size[1], size[2]), working.affine @ cube.affine)
    centre = volume.grid.to_index(working.to_lps(candidate.centre))
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in grid.shape])).reshape(3, -1).T
    index = volume.grid.to_index(grid.to_lps(corners))
    low = np.maximum(np.floor(index.min(0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(0)).astype(int) + 1, volume.grid.shape)
    # A candidate at the very edge of the scan still owns the voxel it was found on.
    nearest = np.clip(np.rint(centre).astype(int), 0, np.array(volume.grid.shape) - 1)
    low, high = np.minimum(low, nearest), np.maximum(high, nearest + 1)
    box = volume.grid.crop(_shape(low), _shape(high - low))
    mask = resample_probability(values, grid, box) >= threshold
    if not mask.any():
        mask = _ball(box, working.to_lps(candidate.centre), candidate.diameter_mm)
    if not mask.any():
        mask[tuple(nearest - low)] = True
    return _tight(Region(mask, _shape(low), volume.grid))


def _ball(grid: Grid, centre_lps_mm: np.ndarray, diameter_mm: float) -> np.ndarray:
    """Voxels within half the predicted diameter: the mask where the mask net gives none."""
    at = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    distance = np.linalg.norm(grid.to_lps(at) - centre_lps_mm, axis=-1)
    return np.asarray(distance <= diameter_mm / 2)


def _tight(region: Region) -> Region:
    at = np.argwhere(region.voxels)
    low, high = at.min(0), at.max(0) + 1
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Region(region.voxels[box].copy(), _shape(np.asarray(region.start) + low), region.within)


def _distinct(lesions: list[Candidate]) -> list[Candidate]:
    """Leave out a lesion that lies mostly in a better scored one."""
    kept: list[Candidate] = []
    for lesion in lesions:
        if all(_shared(lesion.region, other.region) <= SAME_LESION for other in kept):
            kept.append(lesion)
    return kept


def _shared(a: Region, b: Region) -> float:
    """Voxels in common, as a part of the smaller region."""
    low = np.maximum(a.start, b.start)
    high = np.minimum(np.add(a.start, a.voxels.shape), np.add(b.start, b.voxels.shape))
    if (high <= low).any():
        return 0.0

    def part(region: Region) -> np.ndarray:
        return region.voxels[
            tuple(slice(x, y) for x, y in zip(low - region.start, high - region.start, strict=True))
        ]

    common = int(np.count_nonzero(part(a) & part(b)))
    return common / max(1, min(int(a.voxels.sum()), int(b.voxels.sum())))


def _shape(values: np.ndarray) -> Shape3:
    k, j, i = (int(v) for v in values)
    return k, j, i
