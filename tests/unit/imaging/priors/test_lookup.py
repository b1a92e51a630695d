"""Something alike at a nodule's place, or clear lung."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.follow_up import drawn
from imaging.geometry import Grid
from imaging.lungs import LungMask
from imaging.priors.lookup import There, look
from imaging.volume import Mask, Volume

GRID = Grid(
    (40, 60, 60), np.array([[0, 0, 0.8, 0], [0, 0.8, 0, 0], [1.25, 0, 0, 0], [0, 0, 0, 1.0]])
)
LUNGS = LungMask(Mask(np.ones(GRID.shape, bool), GRID), 1000, 1000, (False, False))
CENTRE = (24.0, 24.0, 25.0)


def lung(seed: int) -> Volume:
    noise = np.random.default_rng(seed).normal(-850, 35, GRID.shape)
    return Volume(noise.astype(np.float32), GRID)


def seen(other: Volume, *, hu: float = 40.0, shift: float = 0.0, slack: float = 1.0) -> There:
    own = lung(0)
    region = drawn(own, CENTRE, 8.0, hu)
    points = region.mask.grid.to_lps(np.argwhere(region.voxels))
    return look(own, points, other, points + [0, 0, shift], 8.0, slack, LUNGS).there


@pytest.mark.parametrize("hu", [40.0, -600.0])
def test_clear_lung_and_the_same_nodule(hu: float) -> None:
    other = lung(1)
    assert seen(other, hu=hu) is There.CLEAR
    drawn(other, CENTRE, 8.0, hu)
    assert seen(other, hu=hu) is There.ALIKE


def test_a_smaller_one_was_there_already() -> None:
    other = lung(1)
    drawn(other, CENTRE, 4.5)
    assert seen(other) is There.ALIKE


def test_a_vessel_that_passes_by_is_clear_lung() -> None:
    other = lung(1)
    for z in range(5, 46):
        drawn(other, (27.5, 24.0, float(z)), 2.5)
    assert seen(other) is There.CLEAR


def test_as_far_as_the_mapping_may_be_off() -> None:
    other = lung(1)
    drawn(other, (28.5, 24.0, 25.0), 6.0)
    assert seen(other, slack=1.0) is There.CLEAR
    assert seen(other, slack=3.5) is There.ALIKE


def test_what_was_not_scanned_is_not_clear() -> None:
    assert seen(lung(1), shift=80.0) is There.OUTSIDE


def test_outside_the_lungs_nothing_is_clear() -> None:
    other = lung(1)
    own = lung(0)
    region = drawn(own, CENTRE, 8.0)
    points = region.mask.grid.to_lps(np.argwhere(region.voxels))
    nowhere = LungMask(Mask(np.zeros(GRID.shape, bool), GRID), 0, 0, (False, False))
    assert look(own, points, other, points, 8.0, 1.0, nowhere).there is There.ALIKE
    assert look(own, points, other, points, 8.0, 1.0, None).there is There.ALIKE
