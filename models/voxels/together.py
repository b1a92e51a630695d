"""Several series of one patient brought together before a network sees them, and back.

What the spec's ``[registration]`` and ``skull_strip`` ask for, in this order: each further series
laid over the first, all put on one grid (the first one's, or an isotropic axial one), the skull
taken off. Where a step can't be trusted the study is refused, never quietly read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imaging.brain_mask import LEAST_ML, MOST_ML, brain_mask
from imaging.coregister import Coregistration, coregister, laid_over
from imaging.geometry import Grid
from imaging.notices import Notice, notice
from imaging.resample import axial_grid, resample, resample_labels
from imaging.volume import Volume
from models.clock import Clock
from models.errors import InputRefused
from models.sections import RegistrationSection
from models.spec import ModelSpec
from models.voxels.labelmap import LabelMap

TOLD_MM = 2.0
"""A series that had to be moved farther than this is named in the report."""


@dataclass(frozen=True, eq=False)
class Together:
    """Series on one grid, and what a reader must know of how they came there.

    Attributes:
        volumes: one for each role; the very ones that came in where the spec asks for nothing.
        source: the grid that results belong on, the first series' own.
        notices: warnings.
    """

    volumes: tuple[Volume, ...]
    source: Grid
    notices: tuple[Notice, ...]

    def back(self, labels: LabelMap) -> LabelMap:
        """Labels of the grid that was worked on, on the first series' own (nearest voxel)."""
        if labels.grid.same_as(self.source):
            return labels
        moved = resample_labels(labels.labels, labels.grid, self.source)
        sure = labels.confidence
        if sure is not None:
            sure = resample_labels(sure, labels.grid, self.source)
        return LabelMap(moved, self.source, sure)


def bring_together(
    volumes: Sequence[Volume],
    spec: ModelSpec,
    progress: Callable[[str], None] = lambda step: None,
    seconds: dict[str, float] | None = None,
) -> Together:
    """Do what a spec asks for before its network runs.

    Args:
        volumes: one for each series role of the spec, in their order.
        spec: the model's.
        progress: called with ``register`` and ``skull`` as each begins.
        seconds: how long each of these took is written into it.

    Raises:
        InputRefused: a series could not be laid over the first, or no brain was found.
    """
    asked, first = spec.registration, volumes[0]
    clock = Clock({} if seconds is None else seconds)
    target = axial_grid(first.grid, asked.axial_mm) if asked.axial_mm else first.grid
    told: list[Notice] = []
    ready = [first if target is first.grid else _on(first, target)]
    if asked.method == "rigid" and len(volumes) > 1:
        progress("register")
        for role, other in zip(spec.series[1:], volumes[1:], strict=True):
            found = coregister(first, other)
            told += judged(role.role, spec.series[0].role, found, asked)
            ready.append(laid_over(other, found.motion, target))
        clock.lap("register")
    elif asked.axial_mm:
        ready += [_on(other, target) for other in volumes[1:]]
    else:
        ready += volumes[1:]
    if spec.skull_strip:
        progress("skull")
        ready = _stripped(ready)
        told.append(notice("skull-stripped"))
        clock.lap("skull")
    return Together(tuple(ready), first.grid, tuple(told))


def judged(
    role: str, first: str, found: Coregistration, asked: RegistrationSection
) -> list[Notice]:
    """Warnings on how well a series lies over the first.

    Raises:
        InputRefused: it doesn't, or nobody can tell.
    """
    agreement = found.agreement
    left = agreement.residual_mm
    if left is None or not agreement.good:
        raise InputRefused(
            notice(
                "not-aligned", role=role, first=first, found=agreement.found, of=agreement.sought
            )
        )
    if left > asked.refused_mm:
        raise InputRefused(
            notice("badly-aligned", role=role, first=first, left=left, wanted=asked.refused_mm)
        )
    values = {"role": role, "first": first, "left": left, "moved": found.moved_mm}
    if left > asked.warned_mm:
        return [notice("coarsely-aligned", **values)]
    if found.moved_mm > TOLD_MM:
        return [notice("moved-series", **values, angle=found.turned_degrees)]
    return []


def _on(volume: Volume, target: Grid) -> Volume:
    return resample(volume, target, fill=float(volume.voxels.min()))


def _stripped(volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes on the first's grid, 0 where fewer than half of those scanned there see brain.

    Raises:
        InputRefused: they see none of a plausible size.
    """
    grid = volumes[0].grid
    same = [each if each.grid.same_as(grid) else _on(each, grid) for each in volumes]
    votes = np.zeros(grid.shape, np.uint8)
    # Where others don't reach they don't vote: a slab must not cut the rest.
    voters = np.zeros(grid.shape, np.uint8)
    for volume in same:
        votes += brain_mask(volume).on(grid).voxels
        voters += np.asarray(volume.voxels > volume.voxels.min(), np.uint8)
    inside = (votes > 0) & (2 * votes >= voters)
    found = float(np.count_nonzero(inside)) * grid.voxel_volume_mm3 / 1000
    if not LEAST_ML <= found <= MOST_ML:
        raise InputRefused(notice("no-brain", found=found, least=LEAST_ML, most=MOST_ML))
    return [Volume(np.where(inside, each.voxels, 0).astype(np.float32), grid) for each in same]
