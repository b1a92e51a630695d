"""Dice, lesions found, false findings and intervals, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.geometry import Grid, Shape3
from imaging.volume import Region
from models.evaluation.agreement import common_voxels, dice, match, union
from models.evaluation.estimate import mean_of, share_of, wilson
from models.evaluation.labelled import Lesion
from models.evaluation.labelled.case import lesions_of, region_of
from models.lesions import Candidate

GRID = Grid((10, 20, 20), np.diag([2.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]])
"""2 mm slices of 1 mm pixels: LPS (x, y, z) = (i, j, 2 k)."""


def box(start: Shape3, size: Shape3) -> Region:
    return Region(np.ones(size, bool), start, GRID)


def lesion(start: Shape3, size: Shape3, *, radius_mm: float = 1.0, label: int = 1) -> Lesion:
    region = box(start, size)
    centre = GRID.to_lps(np.array(start) + (np.array(size) - 1) / 2)
    return Lesion(label, (float(centre[0]), float(centre[1]), float(centre[2])), radius_mm, region)


def finding(start: Shape3, size: Shape3, *, label: int = 1, score: float = 0.9) -> Candidate:
    return Candidate(box(start, size), score, label)


def test_dice_by_hand() -> None:
    a, b = box((0, 0, 0), (2, 2, 2)), box((1, 0, 0), (2, 2, 3))  # 8 and 12 voxels, 4 in common
    assert dice(a, b) == pytest.approx(2 * 4 / 20)
    assert dice(a, a) == 1.0
    assert dice(a, box((5, 5, 5), (1, 1, 1))) == 0.0
    assert dice(a, None) == 0.0
    assert dice(None, None) is None


def test_the_union_counts_a_shared_voxel_once() -> None:
    a, b = box((0, 0, 0), (2, 2, 2)), box((1, 0, 0), (2, 2, 3))
    both = union([a, b])
    assert both is not None
    assert both.start == (0, 0, 0)
    assert both.voxels.shape == (3, 2, 3)
    assert both.voxels.sum() == 16
    assert union([]) is None
    assert common_voxels(both, b) == 12


def test_touching_in_one_voxel_is_found() -> None:
    there = lesion((2, 4, 4), (2, 3, 3))
    assert match([finding((3, 6, 6), (1, 2, 2))], [there]).hits == (0,)
    beside = match([finding((3, 7, 7), (1, 2, 2))], [there])
    assert beside.hits == (None,)
    assert beside.false == (0,)


def test_a_centre_within_the_radius_is_found() -> None:
    there = lesion((5, 10, 10), (1, 1, 1), radius_mm=4.0)
    assert match([finding((5, 10, 14), (1, 1, 1))], [there]).hits == (0,)  # 4 mm
    assert match([finding((5, 10, 15), (1, 1, 1))], [there]).hits == (None,)  # 5 mm
    assert match([finding((7, 10, 10), (1, 1, 1))], [there]).hits == (0,)  # two slices: 4 mm
    assert match([finding((8, 10, 10), (1, 1, 1))], [there]).hits == (None,)  # 6 mm


def test_a_second_finding_on_a_lesion_is_neither_found_nor_false() -> None:
    there = lesion((2, 4, 4), (2, 3, 3))
    both = match([finding((2, 4, 4), (1, 1, 1)), finding((3, 6, 6), (1, 1, 1))], [there])
    assert both.hits == (0,)
    assert both.false == ()


def test_one_finding_can_cover_two_lesions() -> None:
    two = [lesion((2, 4, 4), (1, 1, 1)), lesion((2, 8, 8), (1, 1, 1))]
    assert match([finding((2, 3, 3), (1, 7, 7))], two).hits == (0, 0)


def test_another_label_s_finding_finds_nothing() -> None:
    there = lesion((2, 4, 4), (2, 3, 3), label=2)
    wrong = match([finding((2, 4, 4), (2, 3, 3), label=1)], [there])
    assert wrong.hits == (None,)
    assert wrong.false == (0,)


def test_lesions_are_the_connected_pieces() -> None:
    mask = np.zeros(GRID.shape, bool)
    mask[1:3, 2:4, 2:4] = True
    mask[3, 4, 4] = True  # touches by a corner
    mask[7, 15, 12:15] = True
    region = region_of(mask, GRID)
    assert region is not None
    assert region.start == (1, 2, 2)
    first, second = lesions_of(3, region)
    assert first.label == 3
    assert first.region.voxels.sum() == 9
    assert second.centre == (13.0, 15.0, 14.0)
    assert second.radius_mm == pytest.approx((3 * 6.0 / (4 * np.pi)) ** (1 / 3))
    restored = np.zeros(GRID.shape, bool)
    for piece in (first, second):
        restored[piece.region.box] |= piece.region.voxels
    assert np.array_equal(restored, mask)
    assert region_of(np.zeros(GRID.shape, bool), GRID) is None


def test_the_mean_and_its_interval() -> None:
    values = [0.8, 0.9, 0.7, 0.95, 0.85, 0.6, 0.9, 0.75]
    estimate = mean_of(values)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.80625)
    assert estimate.of == 8
    assert estimate.low is not None
    assert estimate.high is not None
    # the interval of a mean is about 1.96 standard errors on each side
    error = np.std(values) / np.sqrt(len(values))
    assert estimate.low == pytest.approx(0.80625 - 1.96 * error, abs=0.012)
    assert estimate.high == pytest.approx(0.80625 + 1.96 * error, abs=0.012)
    assert mean_of(values) == estimate, "the same cases give the same interval"
    assert mean_of([]) is None


def test_one_case_gives_no_interval() -> None:
    estimate = mean_of([0.5])
    assert estimate is not None
    assert (estimate.low, estimate.high) == (None, None)
    assert str(estimate) == "0.500"


def test_a_share_is_over_lesions_its_interval_over_cases() -> None:
    # 6 of 10 lesions, not the mean of the cases' shares (1 + 1 + 0.5) / 3
    share = share_of([1, 1, 4], [1, 1, 8])
    assert share is not None
    assert share.value == pytest.approx(0.6)
    assert share.of == 10
    # drawing cases again gives shares between 0.5 (only the third) and 1 (never the third)
    assert share.low == pytest.approx(0.5)
    assert share.high == pytest.approx(1.0)
    assert share_of([0, 0], [0, 0]) is None


def test_all_found_is_not_certain() -> None:
    everything = share_of([2, 1], [2, 1])
    assert everything is not None
    assert everything.value == 1.0
    assert everything.low == pytest.approx(0.2924, abs=1e-4)  # Clopper-Pearson, 3 of 3
    nothing = share_of([0, 0], [2, 1])
    assert nothing is not None
    assert (nothing.low, nothing.high) == (0.0, pytest.approx(0.7076, abs=1e-4))


def test_a_share_by_wilson() -> None:
    """Against the worked example of Newcombe 1998 (Stat Med 17:857), method 3: 81 of 263."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_a_region_s_centre_and_points() -> None:
    voxels = np.zeros((2, 3, 4), bool)
    voxels[1, 0, 2] = voxels[1, 2, 3] = True
    region = Region(voxels, (5, 6, 7), GRID)
    assert region.points_mm.tolist() == [[9.0, 6.0, 12.0], [10.0, 8.0, 12.0]]
    assert region.centre_mm == pytest.approx((9.5, 7.0, 12.0))
