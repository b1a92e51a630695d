"""Pancreas task: from an abdominal CT to the gland, and on a site's wish to a research map.

Slices that can show one, axial at 1.6 mm -> the organ net, slice by slice -> smoothed across
slices -> one plausible gland -> its mask on the source's own voxels -> with ``research`` the lesion
map inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from imaging.geometry import Grid, Shape3
from imaging.notices import Notice, notice
from imaging.pancreas.coverage import coverage
from imaging.resample import resample_probability
from imaging.volume import Region, Volume
from models.clock import Clock
from models.lesions import Candidate, Lesions
from models.pancreas.heat import heat_map
from models.pancreas.organ import Organ, Probability, one_organ, smoothed
from models.pancreas.slices import AxialSlices, Slices, axial_slices
from models.runner import Runner
from models.spec import ModelSpec

ORGAN, HEAT = "organ", "heat"
"""Roles of the organ net and of the lesion map's net among the model's files."""
LEAST_ML, MOST_ML = 15.0, 250.0
"""Adults' glands hold 30 to 150 ml; an atrophic one less, one with a large mass more."""


def find_pancreas(
    volume: Volume,
    spec: ModelSpec,
    networks: Mapping[str, Runner],
    progress: Callable[[str], None],
    *,
    research: bool = False,
) -> Lesions:
    """Find the pancreas.

    Args:
        volume: CT in HU, any orthogonal grid.
        spec: its operating point says from which probability on a voxel is pancreas.
        networks: ``organ``, and ``heat`` where the model has one.
        progress: called with the name of each step as it begins.
        research: make the lesion map too; research grade, for sites that switched it on.

    Returns:
        The gland as one candidate of label 1, or none, with a notice; never a lesion.

    Raises:
        InferenceFailed: a network could not be run.
    """
    seconds: dict[str, float] = {}
    clock = Clock(seconds)
    progress("coverage")
    shown = coverage(volume)
    clock.lap("coverage")
    if not shown.possible:
        return Lesions((), (notice("no-pancreas-here", why=shown.why),), seconds)

    progress("slices")
    slices = axial_slices(volume)
    heights = slices.grid.to_lps([[k, 0, 0] for k in range(len(slices.values))])[:, 2]
    possible = np.flatnonzero(shown.holds(heights))
    if not len(possible):
        return Lesions((), (notice("no-pancreas-here", why=shown.why),), seconds)
    slices = slices.between(int(possible[0]), int(possible[-1]) + 1)
    clock.lap("slices")

    progress("segment")
    probability = organ_probability(slices.values, networks[ORGAN], spec.runtime.maximum_batch)
    probability = smoothed(probability, slices.grid)
    clock.lap("segment")

    progress("organ")
    threshold = spec.operating_point.mask_threshold
    organ = one_organ(probability, slices.grid, threshold)
    region = None if organ is None else _to_source(organ, slices, volume.grid, threshold)
    clock.lap("organ")
    if organ is None or region is None:
        return Lesions((), (notice("no-pancreas"),), seconds)
    score = float(np.mean(organ.probability[organ.probability >= threshold]))
    candidate = Candidate(region, min(score, 1.0))
    heat = None
    if research and HEAT in networks:
        progress("map")
        heat = heat_map(volume, region, networks[HEAT])
        clock.lap("map")
    return Lesions((candidate,), implausible(region, organ), seconds, heat=heat)


def organ_probability(values: Slices, network: Runner, batch: int) -> Probability:
    """What the organ net says of slices, 0 to 1.

    Args:
        values: [n, j, i], clip(HU, 0, 255) at 1.6 mm, both sides multiples of 32.
        network: takes [n, 1, j, i] and gives logits of the same shape.
        batch: slices a pass.
    """
    found = np.empty(values.shape, np.float32)
    for start in range(0, len(values), batch):
        part = values[start : start + batch, np.newaxis]
        (logits,) = network.run(np.ascontiguousarray(part))
        found[start : start + batch] = 1 / (1 + np.exp(-np.clip(logits[:, 0], -30, 30)))
    return found


def implausible(region: Region, organ: Organ) -> tuple[Notice, ...]:
    """What speaks against the gland that was found.

    Args:
        region: on the source's grid.
        organ: what it was made of.
    """
    found = []
    ml = region.mask.volume_mm3 / 1000
    if not LEAST_ML <= ml <= MOST_ML:
        found.append(notice("pancreas-volume", found=ml, least=LEAST_ML, most=MOST_ML))
    last = region.within.shape[0]
    if last > 1 and (region.start[0] == 0 or region.start[0] + region.voxels.shape[0] == last):
        found.append(notice("pancreas-cut"))
    if organ.pieces > 1:
        found.append(notice("pancreas-pieces", count=organ.pieces))
    return tuple(found)


def _to_source(organ: Organ, slices: AxialSlices, grid: Grid, threshold: float) -> Region | None:
    """The gland on the source's own voxels; None: it lies between them."""
    at = np.argwhere(organ.probability > 0)
    low, high = at.min(0), at.max(0)
    corners = np.array(np.meshgrid(*np.stack([low - 1, high + 1], axis=1))).reshape(3, -1).T
    index = grid.to_index(slices.grid.to_lps(corners))
    first = np.clip(np.floor(index.min(0)).astype(int), 0, np.array(grid.shape) - 1)
    last = np.clip(np.ceil(index.max(0)).astype(int) + 1, first + 1, grid.shape)
    box = grid.crop(_shape(first), _shape(last - first))
    part = tuple(slice(int(a), int(b) + 1) for a, b in zip(low, high, strict=True))
    values = organ.probability[part]
    source = slices.grid.crop(_shape(low), _shape(np.array(values.shape)))
    mask = resample_probability(values, source, box) >= threshold
    if not mask.any():
        return None
    inside = np.argwhere(mask)
    start, end = inside.min(0), inside.max(0) + 1
    tight = tuple(slice(int(a), int(b)) for a, b in zip(start, end, strict=True))
    return Region(mask[tight].copy(), _shape(first + start), grid)


def _shape(values: np.ndarray) -> Shape3:
    k, j, i = (int(v) for v in values)
    return k, j, i
