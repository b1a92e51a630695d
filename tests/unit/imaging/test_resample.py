"""From grid to grid: values stay where they are in the patient."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imaging.geometry import Grid
from imaging.resample import (
    axial_grid,
    from_sitk,
    resample,
    resample_mask,
    resample_probability,
    to_isotropic,
    to_sitk,
)
from imaging.volume import Mask, Volume

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)


def grid(
    shape: tuple[int, int, int] = (14, 20, 18),
    *,
    orientation: tuple[float, ...] = AXIAL,
    spacing: tuple[float, float] = (0.8, 0.7),
    step: float = 2.5,
    first: tuple[float, float, float] = (-10.0, 5.0, -60.0),
) -> Grid:
    normal = np.cross(orientation[:3], orientation[3:])
    return Grid.from_dicom(shape, first, orientation, spacing, step * normal)


def ramp(on: Grid) -> Volume:
    """A value that is a linear function of the place in the patient."""
    index = np.stack(np.meshgrid(*map(np.arange, on.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(on.to_lps(index), -1, 0)
    return Volume((3 * x - 2 * y + 0.5 * z).astype(np.float32), on)


def inside(of: Grid, on: Grid) -> np.ndarray:
    """Which voxels of ``on`` have their centre within ``of``, half a voxel from its rim."""
    index = np.stack(np.meshgrid(*map(np.arange, on.shape), indexing="ij"), axis=-1)
    at = of.to_index(on.to_lps(index))
    return ((at >= 0) & (at <= np.array(of.shape) - 1)).all(axis=-1)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, (-1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)])
def test_a_linear_field_stays_where_it_is(orientation: tuple[float, ...]) -> None:
    """Linear interpolation must reproduce it, whatever way the source is stored."""
    source = ramp(grid(orientation=orientation))
    moved = resample(source, axial_grid(source.grid, 1.0), fill=-9999)
    expected = ramp(moved.grid).voxels
    within = inside(source.grid, moved.grid)
    assert within.mean() > 0.5
    assert np.abs(moved.voxels - expected)[within].max() < 0.01


turns = st.floats(-0.4, 0.4)


@settings(max_examples=15, deadline=None)
@given(turns, turns)
@example(2.2250738585072014e-308, 0.0)
def test_oblique_sources_too(a: float, b: float) -> None:
    rows = np.array([np.cos(a), np.sin(a), 0])
    columns = np.array([-np.sin(a) * np.cos(b), np.cos(a) * np.cos(b), np.sin(b)])
    source = ramp(grid(orientation=(*rows, *columns)))
    moved = to_isotropic(source, 1.5, fill=-9999)
    within = inside(source.grid, moved.grid)
    assert np.abs(moved.voxels - ramp(moved.grid).voxels)[within].max() < 0.02


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, (-1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1)])
def test_axial_grid_points_to_head_back_and_left_and_holds_the_source(
    orientation: tuple[float, ...],
) -> None:
    source = grid(orientation=orientation)
    made = axial_grid(source, 1.0)
    assert made.spacing_mm == pytest.approx((1, 1, 1))
    assert made.to_lps((1, 0, 0))[2] > made.to_lps((0, 0, 0))[2]
    assert made.to_lps((0, 1, 0))[1] > made.to_lps((0, 0, 0))[1]
    assert made.to_lps((0, 0, 1))[0] > made.to_lps((0, 0, 0))[0]
    for k in (0, 13):
        for j in (0, 19):
            for i in (0, 17):
                at = made.to_index(source.to_lps((k, j, i)))
                assert (at > -1e-6).all()
                assert (at < np.array(made.shape)).all()


def test_outside_is_the_fill() -> None:
    source = Volume(np.full((4, 5, 6), 40, np.int16), grid((4, 5, 6)))
    far = Grid(source.grid.shape, source.grid.affine + np.pad([[500.0]] * 3, ((0, 1), (3, 0))))
    assert (resample(source, far).voxels == -1024).all()
    assert (resample(source, far, fill=7).voxels == 7).all()


def test_nearest_neighbour_makes_no_new_values() -> None:
    values = np.random.default_rng(0).choice([-1000, 40, 900], (14, 20, 18)).astype(np.int16)
    moved = resample(Volume(values, grid()), axial_grid(grid(), 1.1), order=0)
    assert set(np.unique(moved.voxels)) <= {-1000, 40, 900, -1024}
    between = resample(Volume(values, grid()), axial_grid(grid(), 1.1), order=1)
    assert len(np.unique(between.voxels)) > 100


def test_a_mask_there_and_back_is_itself() -> None:
    voxels = np.zeros((14, 20, 18), bool)
    voxels[3:9, 5:15, 4:12] = True
    voxels[3, 5, 4] = False
    fine = resample_mask(Mask(voxels, grid()), axial_grid(grid(), 0.4))
    assert fine.volume_mm3 == pytest.approx(Mask(voxels, grid()).volume_mm3, rel=0.05)
    assert np.array_equal(resample_mask(fine, grid()).voxels, voxels)


def test_probability_is_zero_outside_and_between_its_neighbours_inside() -> None:
    values = np.zeros((14, 20, 18), np.float32)
    values[6, 10, 9] = 1.0
    half = grid().to_lps((6.5, 10, 9))
    target = Grid((1, 1, 1), np.diag([1.0, 1, 1, 1]) + np.pad(half[:, None], ((0, 1), (3, 0))))
    assert resample_probability(values, grid(), target)[0, 0, 0] == pytest.approx(0.5, abs=1e-4)
    away = Grid((2, 2, 2), np.diag([1.0, 1, 1, 1]) + np.pad([[900.0]] * 3, ((0, 1), (3, 0))))
    assert (resample_probability(values, grid(), away) == 0).all()


def test_a_sheared_grid_is_refused() -> None:
    tilted = Grid.from_dicom((4, 5, 6), (0, 0, 0), AXIAL, (1, 1), (0, 0.5, 2.0))
    with pytest.raises(ValueError, match="sheared"):
        to_sitk(np.zeros((4, 5, 6), np.int16), tilted)


def test_rounded_header_cosines_are_straight_enough() -> None:
    """Six decimals in a header are no shear, and SimpleITK must not complain of them."""
    cosines = tuple(np.round([np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3), np.cos(0.3), 0], 4))
    source = ramp(grid(orientation=cosines))
    image = to_sitk(source.voxels, source.grid)
    point = image.TransformIndexToPhysicalPoint((17, 19, 13))
    assert point == pytest.approx(source.grid.to_lps((13, 19, 17)), abs=0.01)


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_back_from_simpleitk(orientation: tuple[float, ...]) -> None:
    there = grid(orientation=orientation)
    voxels = np.arange(np.prod(there.shape), dtype=np.int16).reshape(there.shape)
    back, place = from_sitk(to_sitk(voxels, there))
    assert np.array_equal(back, voxels)
    assert place.same_as(there, tolerance_mm=1e-6)
    both, place = from_sitk(sitk.JoinSeries([to_sitk(voxels, there), to_sitk(-voxels, there)]))
    assert np.array_equal(both, np.stack([voxels, -voxels]))
    assert place.same_as(there, tolerance_mm=1e-6)


def test_a_picture_is_no_volume() -> None:
    with pytest.raises(ValueError, match="2 axes"):
        from_sitk(sitk.Image([3, 4], sitk.sitkUInt8))
