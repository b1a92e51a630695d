"""A patch too large for the device, cut in two with an overlap, and its outputs joined again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from models.errors import InferenceFailed
from models.runner import PatchInput
from models.runtime import Batch, Outputs

LARGEST_PART = 0.75
"""A cut whose parts are longer than this part of the whole saves too little to be made."""


@dataclass(frozen=True)
class Split:
    """What a network allows that takes other spatial sizes than its patch.

    The outputs of the parts are those of the whole wherever ``halo`` reaches as far as the
    network sees. A network that normalises over its whole input (instance norm) sees
    everything: joined outputs then differ slightly, which the study's result says.

    Args:
        multiple: what its input's sides must be a multiple of, voxels.
        halo: overlap on each side of a cut, voxels.
    """

    multiple: int
    halo: int

    def __post_init__(self) -> None:
        if self.multiple < 1 or self.halo < 0:
            raise ValueError(f"multiple = {self.multiple}, halo = {self.halo}")


@dataclass(frozen=True)
class Cut:
    """Where a patch is cut: ``axis`` of (c, *spatial) at ``middle``, parts reach ``halo`` over."""

    axis: int
    middle: int
    halo: int


def plan_cut(shape: tuple[int, ...], split: Split) -> Cut | None:
    """The cut across the longest axis of (c, *spatial) that can be cut; None: there is none."""
    unit = split.multiple
    halo = -(-split.halo // unit) * unit
    for axis in sorted(range(1, len(shape)), key=lambda a: -shape[a]):
        length = shape[axis]
        if length % unit:
            continue
        middle = (length // unit + 1) // 2 * unit
        low, high = middle + halo, length - (middle - halo)
        if 0 < max(low, high) <= LARGEST_PART * length and middle >= halo:
            return Cut(axis, middle, halo)
    return None


def most_cuts(shape: tuple[int, ...], split: Split | None) -> int:
    """How many times a patch, and then each part, can be halved."""
    cuts = 0
    while split is not None and (cut := plan_cut(shape, split)) is not None:
        length = max(cut.middle, shape[cut.axis] - cut.middle) + cut.halo
        shape = (*shape[: cut.axis], length, *shape[cut.axis + 1 :])
        cuts += 1
    return cuts


def run_split(
    patch: PatchInput, split: Split, cuts: int, run: Callable[[Batch], Outputs]
) -> Outputs:
    """Run a patch in parts, halved ``cuts`` times.

    Args:
        patch: (c, *spatial).
        split: what the network allows.
        cuts: at most :func:`most_cuts`.
        run: runs (1, c, *spatial) of any allowed size.

    Returns:
        As ``run`` gives for the whole: (1, channels, *spatial of that output) each.

    Raises:
        InferenceFailed: an output is no grid of the input's (its sides are not in proportion).
    """
    cut = plan_cut(patch.shape, split) if cuts else None
    if cut is None:
        return run(patch[np.newaxis])
    ahead: tuple[slice, ...] = (slice(None),) * cut.axis
    low = patch[(*ahead, slice(0, cut.middle + cut.halo))]
    high = patch[(*ahead, slice(cut.middle - cut.halo, None))]
    first = run_split(low, split, cuts - 1, run)
    second = run_split(high, split, cuts - 1, run)
    return tuple(
        _join(a, b, cut, (low.shape[cut.axis], high.shape[cut.axis]))
        for a, b in zip(first, second, strict=True)
    )


def _join(low: Batch, high: Batch, cut: Cut, lengths: tuple[int, int]) -> Batch:
    axis = cut.axis + 1  # the outputs have the batch axis in front
    if low.ndim != high.ndim or low.ndim <= axis:
        raise InferenceFailed("outputs without the input's axes can't be joined from parts")
    step = Fraction(low.shape[axis], lengths[0])
    middle, halo = cut.middle * step, cut.halo * step
    fits = Fraction(high.shape[axis], lengths[1]) == step
    if not fits or middle.denominator != 1 or halo.denominator != 1:
        raise InferenceFailed(
            f"outputs of {low.shape[axis]} and {high.shape[axis]} cells for parts of {lengths[0]} "
            f"and {lengths[1]} voxels can't be joined"
        )
    before: tuple[slice, ...] = (slice(None),) * axis
    parts = (low[(*before, slice(0, int(middle)))], high[(*before, slice(int(halo), None))])
    return np.concatenate(parts, axis=axis)
