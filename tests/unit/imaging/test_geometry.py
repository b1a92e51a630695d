"""Where a voxel is: against DICOM's own formula, and there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.geometry import Grid

sizes = st.tuples(*[st.integers(1, 600)] * 3)
lengths = st.floats(0.2, 8.0)
places = st.tuples(*[st.floats(-900, 900)] * 3)
angles = st.tuples(*[st.floats(-np.pi, np.pi)] * 3)
indices = st.tuples(*[st.floats(-50, 700)] * 3)


def rotated(angles_xyz: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Three perpendicular unit vectors: of the columns' index, the rows' index, the slices."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles_xyz), np.sin(angles_xyz)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned = about_z @ about_y @ about_x
    return turned[:, 0], turned[:, 1], turned[:, 2]


def oblique(
    shape: tuple[int, int, int],
    turn: tuple[float, float, float],
    spacing: tuple[float, float, float],
    first: tuple[float, float, float],
) -> Grid:
    x, y, n = rotated(turn)
    return Grid.from_dicom(shape, first, [*x, *y], spacing[1:], spacing[0] * n)


grids = st.builds(oblique, sizes, angles, st.tuples(lengths, lengths, lengths), places)


@settings(deadline=None)
@given(grids, indices)
def test_index_to_patient_and_back(grid: Grid, index: tuple[float, float, float]) -> None:
    assert grid.to_index(grid.to_lps(index)) == pytest.approx(np.array(index), abs=1e-6)


@settings(deadline=None)
@given(angles, st.tuples(lengths, lengths, lengths), places, indices)
def test_from_dicom_is_the_standard_s_formula(
    turn: tuple[float, float, float],
    spacing: tuple[float, float, float],
    first: tuple[float, float, float],
    index: tuple[float, float, float],
) -> None:
    """PS3.3 equation C.7.6.2.1-1, in its own letters, one slice at a time."""
    x, y, n = rotated(turn)
    distance, between_rows, between_columns = spacing
    slice_number, row, column = index
    grid = oblique((3, 4, 5), turn, spacing, first)
    s = [first[a] + slice_number * distance * n[a] for a in range(3)]
    expected = [
        x[0] * between_columns * column + y[0] * between_rows * row + s[0],
        x[1] * between_columns * column + y[1] * between_rows * row + s[1],
        x[2] * between_columns * column + y[2] * between_rows * row + s[2],
    ]
    assert grid.to_lps(index) == pytest.approx(np.array(expected), abs=1e-6)


@settings(deadline=None)
@given(grids)
def test_spacing_and_voxel_volume_come_from_the_affine(grid: Grid) -> None:
    for axis, length in enumerate(grid.spacing_mm):
        one = np.zeros(3)
        one[axis] = 1
        assert np.linalg.norm(grid.to_lps(one) - grid.to_lps((0, 0, 0))) == pytest.approx(length)
    k, j, i = grid.spacing_mm
    assert grid.voxel_volume_mm3 == pytest.approx(k * j * i)
    assert grid.is_orthogonal()


@settings(deadline=None)
@given(grids, st.tuples(*[st.integers(0, 40)] * 3))
def test_crop_keeps_every_voxel_in_its_place(grid: Grid, start: tuple[int, int, int]) -> None:
    part = grid.crop(start, (2, 3, 4))
    assert part.shape == (2, 3, 4)
    for index in ((0, 0, 0), (1, 2, 3)):
        whole = np.add(index, start)
        assert part.to_lps(index) == pytest.approx(grid.to_lps(whole), abs=1e-6)


def test_many_points_at_once() -> None:
    grid = oblique((4, 5, 6), (0.1, 0.2, 0.3), (2.0, 0.7, 0.6), (1, 2, 3))
    index = np.random.default_rng(0).uniform(0, 5, (2, 7, 3))
    points = grid.to_lps(index)
    assert points.shape == (2, 7, 3)
    assert points[1, 4] == pytest.approx(grid.to_lps(index[1, 4]))
    assert grid.to_index(points) == pytest.approx(index)


def test_the_affine_is_its_own_copy_and_read_only() -> None:
    affine = np.eye(4)
    grid = Grid((1, 1, 1), affine)
    affine[0, 3] = 99
    assert grid.to_lps((0, 0, 0))[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.affine[0, 3] = 1


@pytest.mark.parametrize(
    ("affine", "said"),
    [
        (np.eye(3), "4x4"),
        (np.full((4, 4), np.nan), "finite"),
        (np.diag([1.0, 0.0, 1.0, 1.0]), "singular"),
    ],
)
def test_no_grid_from_a_bad_affine(affine: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Grid((2, 2, 2), affine)


def test_a_sheared_grid_is_not_orthogonal() -> None:
    tilted = Grid.from_dicom((4, 4, 4), (0, 0, 0), (1, 0, 0, 0, 1, 0), (1, 1), (0, 0.2, 2.0))
    assert not tilted.is_orthogonal()


def test_same_as_sees_a_shift_and_a_shape() -> None:
    grid = oblique((4, 5, 6), (0, 0, 0), (2.0, 0.7, 0.6), (1, 2, 3))
    assert grid.same_as(oblique((4, 5, 6), (0, 0, 0), (2.0, 0.7, 0.6), (1, 2, 3.0001)))
    assert not grid.same_as(oblique((4, 5, 6), (0, 0, 0), (2.0, 0.7, 0.6), (1, 2, 3.01)))
    assert not grid.same_as(oblique((4, 5, 7), (0, 0, 0), (2.0, 0.7, 0.6), (1, 2, 3)))
