"""A gland of known length and thickness measures the same, however it is turned and sampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imaging.errors import NotMeasured
from imaging.geometry import Grid
from imaging.pancreas.axes import three_axes
from imaging.pancreas.centreline import centre_line
from imaging.pancreas.shape import shape_of, union
from imaging.pancreas.thickness import thickness_along
from imaging.volume import Region
from tests.unit.imaging.pancreas.tubes import (
    distance_to,
    grid_around,
    smooth_line,
    turned,
)

ANGLE = st.floats(-20, 20)


def gland(
    thickness: float, spacing: tuple[float, float, float], degrees: tuple[float, ...]
) -> tuple[Region, np.ndarray]:
    line = turned(smooth_line(), (degrees[0], degrees[1], degrees[2]))
    grid = grid_around(line, spacing, thickness / 2 + 8)
    far, _ = distance_to(line, grid, thickness / 2 + 2)
    return Region(far <= thickness / 2, (0, 0, 0), grid), line


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    thickness=st.sampled_from([9.0, 14.0, 20.0, 28.0]),
    spacing=st.sampled_from([(1.25, 0.9, 0.9), (2.5, 0.8, 0.8), (5.0, 1.0, 1.0)]),
    degrees=st.tuples(ANGLE, ANGLE, ANGLE),
)
def test_length_and_thickness_do_not_depend_on_turning_and_sampling(
    thickness: float, spacing: tuple[float, float, float], degrees: tuple[float, float, float]
) -> None:
    region, line = gland(thickness, spacing, degrees)
    true_mm = float(np.linalg.norm(np.diff(line, axis=0), axis=1).sum()) + thickness
    shape = shape_of(region)
    found = centre_line(shape.coarser(2.0))
    assert found.length_mm == pytest.approx(true_mm, rel=0.05)
    # From the head, on the patient's right, to the tail.
    assert found.points[0, 0] < found.points[-1, 0]
    apart = np.linalg.norm(found.points[15:-15, None] - line[None], axis=-1).min(axis=1)
    assert apart.max() < max(2.5, thickness / 6)
    measured = thickness_along(shape, found)
    along = found.along[measured.index]
    middle = measured.mm[(along > 20) & (along < found.length_mm - 20)]
    # A slice of 5 mm knows a gland of 9 mm to about a fifth of a slice.
    assert middle == pytest.approx(thickness, abs=0.6 + spacing[0] / 3)


def test_a_gap_of_one_slice_does_not_bend_the_line() -> None:
    region, line = gland(18.0, (5.0, 1.0, 1.0), (0, 0, 0))
    holed = region.voxels.copy()
    holed[len(holed) // 2, :, holed.shape[2] // 2 :] = False
    shape = shape_of(Region(holed, region.start, region.within)).coarser(2.0)
    found = centre_line(shape.closed(3.0))
    apart = np.linalg.norm(found.points[15:-15, None] - line[None], axis=-1).min(axis=1)
    assert apart.max() < 5.0


def test_crumbs_are_left_out_of_the_line() -> None:
    region, _ = gland(14.0, (2.5, 1.0, 1.0), (0, 0, 0))
    whole = centre_line(shape_of(region).coarser(2.0)).length_mm
    crumbed = np.pad(region.voxels, ((0, 0), (0, 0), (0, 60)))
    crumbed[5:7, 20:24, -8:-4] = True
    grid = Grid(crumbed.shape, region.within.affine)
    shape, lost = shape_of(Region(crumbed, (0, 0, 0), grid)).coarser(2.0).without_crumbs(0.05)
    assert 20 < lost < 150
    assert centre_line(shape).length_mm == pytest.approx(whole, abs=2)


def test_an_empty_or_tiny_mask_is_not_measured() -> None:
    grid = Grid((8, 8, 8), np.eye(4))
    with pytest.raises(NotMeasured, match="empty"):
        shape_of(Region(np.zeros((8, 8, 8), bool), (0, 0, 0), grid))
    one = np.zeros((8, 8, 8), bool)
    one[4, 4, 4] = True
    with pytest.raises(NotMeasured, match="too little"):
        centre_line(shape_of(Region(one, (0, 0, 0), grid)))


def test_a_union_holds_each_mask_where_it_was() -> None:
    grid = Grid((20, 20, 20), np.eye(4))
    first = Region(np.ones((2, 3, 4), bool), (1, 2, 3), grid)
    second = Region(np.ones((1, 1, 1), bool), (15, 16, 17), grid)
    both = union([first, second])
    assert both.start == (1, 2, 3) and both.voxels.shape == (15, 15, 15)
    assert np.count_nonzero(both.voxels) == 25
    assert both.voxels[14, 14, 14] and both.voxels[:2, :3, :4].all()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 0.7, 0.7)])
def test_axes_of_an_ellipsoid_in_any_position(spacing: tuple[float, float, float]) -> None:
    k, j, i = spacing
    shape = (int(44 / k), int(44 / j), int(44 / i))
    grid = Grid.from_dicom(shape, (0, 0, 0), (1, 0, 0, 0, 1, 0), (j, i), (0, 0, k))
    points = grid.to_lps(np.moveaxis(np.indices(shape), 0, -1)) - 21.5
    wanted = (30.0, 20.0, 14.0)
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    inside = ((points @ turn / (np.array(wanted) / 2)) ** 2).sum(-1) <= 1
    found = three_axes(Region(inside, (0, 0, 0), grid))
    assert found == pytest.approx(wanted, abs=1.0 if k == 1 else 2.0)
