"""Volumes as arrays of MONAI's, and which axis is which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import io_orientation

from imaging.volume import Volume
from models.voxels.frames import closest_axes, image_of, ras_affine, to_kji
from tests.unit.models.monai_way import AXES, grid, noise


def test_one_volume_is_not_copied_and_stays_int16() -> None:
    volume = noise(grid())
    image = image_of([volume])
    assert image.voxels.shape == (1, 17, 22, 13)
    assert image.voxels.dtype == np.int16
    assert np.shares_memory(image.voxels, volume.voxels)
    assert image.voxels[0, 3, 5, 7] == volume.voxels[7, 5, 3]


@pytest.mark.parametrize("axes", AXES)
def test_the_affine_leads_to_the_same_place_in_ras(axes: str) -> None:
    where = grid(axes=axes, turn=0.3)
    x, y, z = (ras_affine(where) @ (3, 5, 7, 1))[:3]
    assert np.allclose(where.to_lps((7, 5, 3)), (-x, -y, z))


def test_back_to_slices_is_a_view() -> None:
    volume = noise(grid())
    array = image_of([volume]).voxels
    assert np.array_equal(to_kji(array[0]), volume.voxels)
    assert to_kji(array).shape == (1, *volume.grid.shape)


def test_another_series_is_brought_onto_the_first_ones_grid() -> None:
    first = noise(grid((8, 12, 10), (2.0, 1.0, 1.0)))
    finer = grid((22, 12, 10), (1.0, 1.0, 1.0))
    # A ramp along z, which linear interpolation keeps; it ends 5 mm above the first grid.
    ramp = (100.0 + 10.0 * np.arange(22, dtype=np.float32))[:, None, None]
    second = Volume(np.broadcast_to(ramp, finer.shape).copy(), finer)
    image = image_of([first, second])
    assert image.voxels.shape == (2, 10, 12, 8)
    assert np.allclose(image.voxels[1, 4, 4], 100.0 + 20.0 * np.arange(8))
    assert np.array_equal(image.voxels[0], first.voxels.transpose(2, 1, 0))


def test_where_another_series_does_not_reach_its_lowest_value_stands() -> None:
    first = noise(grid((8, 12, 10), (2.0, 1.0, 1.0)))
    short = grid((4, 12, 10), (2.0, 1.0, 1.0))
    second = Volume(np.full(short.shape, 7, np.int16), short)
    second.voxels[0, 0, 0] = 3
    assert (image_of([first, second]).voxels[1, :, :, 5:] == 3).all()


def test_series_on_one_grid_are_stacked_as_they_are() -> None:
    volumes = [noise(grid(), seed) for seed in (1, 2)]
    image = image_of(volumes)
    assert image.voxels.dtype == np.int16
    assert np.array_equal(image.voxels[1], volumes[1].voxels.transpose(2, 1, 0))


def test_no_volume_is_no_image() -> None:
    with pytest.raises(ValueError, match="at least one"):
        image_of([])


@given(
    st.lists(st.floats(-1, 1), min_size=9, max_size=9),
    st.lists(st.sampled_from([0.5, 0.7, 1.0, 5.0]), min_size=3, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_axes_are_named_as_nibabel_names_them(numbers: list[float], spacing: list[float]) -> None:
    matrix = np.array(numbers).reshape(3, 3)
    if abs(np.linalg.det(matrix)) < 1e-2:
        matrix += np.eye(3) * 3
    affine = np.eye(4)
    affine[:3, :3] = matrix @ np.diag(spacing)
    axes, signs = closest_axes(affine)
    theirs = io_orientation(affine)
    assert np.array_equal(theirs[:, 0], axes)
    assert np.array_equal(theirs[:, 1], signs)
