"""Measured against shapes of known size, on grids as uneven as real scans'."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.errors import NothingToEncode
from imaging.geometry import Grid
from imaging.measure import measure, measure_structure, outlines_on
from imaging.volume import Region, SourceSlice, Volume

AXIAL = (1, 0, 0, 0, 1, 0)
TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0)


def make_volume(
    spacing: tuple[float, float, float],
    *,
    orientation: tuple[float, ...] = AXIAL,
    side_mm: float = 44.0,
    missing: tuple[int, ...] = (),
) -> Volume:
    """-850 HU everywhere; ``missing`` slices have no source."""
    shape = tuple(int(side_mm / s) for s in spacing)
    normal = np.cross(orientation[:3], orientation[3:])
    grid = Grid.from_dicom(
        shape, (-21.3, 7.7, -150.0), orientation, spacing[1:], spacing[0] * normal
    )
    sources = tuple(
        None if k in missing else SourceSlice(Path(f"{k}.dcm"), "1.2.840", f"1.9.{k}")
        for k in range(shape[0])
    )
    return Volume(np.full(shape, -850, np.int16), grid, sources)


def places(volume: Volume) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, volume.grid.shape), indexing="ij"), axis=-1)
    return volume.grid.to_lps(index)


def region_of(volume: Volume, mask: np.ndarray) -> Region:
    at = np.argwhere(mask)
    low, high = at.min(0), at.max(0) + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    return Region(mask[box].copy(), tuple(int(n) for n in low), volume.grid)


def middle(volume: Volume, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    return volume.grid.to_lps((np.array(volume.grid.shape) - 1) / 2 + np.array(shift))


shifts = st.tuples(*[st.floats(-0.5, 0.5)] * 3)
spacings = st.sampled_from([(2.5, 0.7, 0.7), (1.25, 0.6, 0.9), (3.0, 0.98, 0.98), (1, 1, 1)])


@settings(max_examples=25, deadline=None)
@given(spacings, st.floats(12, 32), shifts, st.sampled_from([AXIAL, TURNED]))
def test_a_sphere_has_its_size_and_place(
    spacing: tuple[float, float, float],
    diameter: float,
    shift: tuple[float, float, float],
    orientation: tuple[float, ...],
) -> None:
    volume = make_volume(spacing, orientation=orientation)
    centre = middle(volume, shift)
    mask = np.linalg.norm(places(volume) - centre, axis=-1) <= diameter / 2
    found = measure(volume, region_of(volume, mask))
    # 12 mm on 3 mm slices is the coarsest case: 829 voxel-mm3 were seen of 905.
    assert found.volume_mm3 == pytest.approx(np.pi / 6 * diameter**3, rel=0.12)
    # The middle of the nearest slice is at most half a step from the equator, and the
    # outline runs up to half a pixel outside the last centre at each end.
    pixel = float(np.hypot(*spacing[1:]))
    chord = 2 * np.sqrt((diameter / 2) ** 2 - (spacing[0] / 2) ** 2)
    assert chord - pixel <= found.long_axis_mm <= diameter + pixel
    assert chord - 2 * pixel <= found.short_axis_mm <= found.long_axis_mm + 1e-9
    assert np.linalg.norm(np.subtract(found.centre_lps_mm, centre)) < 0.3 * max(spacing)


def test_axes_lie_on_the_key_image_with_the_stated_lengths() -> None:
    volume = make_volume((2.5, 0.6, 0.9))
    x, y, z = np.moveaxis(places(volume) - middle(volume), -1, 0)
    mask = (x / 14) ** 2 + (y / 7) ** 2 + (z / 9) ** 2 <= 1
    found = measure(volume, region_of(volume, mask))
    assert found.long_axis_mm == pytest.approx(28, abs=1.1)
    assert found.short_axis_mm == pytest.approx(14, abs=1.1)
    for ends, length, axis in (
        (found.long_axis_lps_mm, found.long_axis_mm, 0),
        (found.short_axis_lps_mm, found.short_axis_mm, 1),
    ):
        difference = np.abs(np.subtract(*ends))
        assert np.linalg.norm(difference) == pytest.approx(length, abs=0.01)
        assert difference[axis] > 0.9 * length
        for end in ends:
            index = volume.grid.to_index(end)
            assert index[0] == pytest.approx(found.key_slice, abs=1e-3)
        # The ends are as far from the ellipsoid's middle on one side as on the other.
        assert np.mean(ends, axis=0)[axis] == pytest.approx(middle(volume)[axis], abs=0.9)
    assert found.key_image.sop_instance_uid == f"1.9.{found.key_slice}"


def test_outlines_lie_around_the_mask_in_the_whole_image_s_pixels() -> None:
    volume = make_volume((2.5, 0.6, 0.9))
    mask = np.zeros(volume.grid.shape, bool)
    mask[5:8, 30:41, 11:17] = True
    found = measure(volume, region_of(volume, mask))
    assert [o.image.sop_instance_uid for o in found.outlines] == ["1.9.5", "1.9.6", "1.9.7"]
    assert found.slices == ("1.9.5", "1.9.6", "1.9.7")
    for outline in found.outlines:
        points = np.array(outline.points)
        # Columns 11 to 16 are the stretch 11.0 to 17.0 in SCOORD's coordinates.
        assert points.min(axis=0) == pytest.approx([11.0, 30.0])
        assert points.max(axis=0) == pytest.approx([17.0, 41.0])


def test_density_is_the_mean_inside() -> None:
    volume = make_volume((2.5, 0.7, 0.7))
    mask = np.zeros(volume.grid.shape, bool)
    mask[5:9, 20:30, 20:30] = True
    voxels = volume.voxels.copy()
    voxels[5:7, 20:30, 20:30] = 40
    voxels[7:9, 20:30, 20:30] = -560
    found = measure(Volume(voxels, volume.grid, volume.sources), region_of(volume, mask))
    assert found.mean_hu == -260


def test_interpolated_slices_count_for_volume_and_have_no_image() -> None:
    volume = make_volume((2.5, 0.7, 0.7), missing=(8,))
    mask = np.linalg.norm(places(volume) - middle(volume), axis=-1) <= 10
    whole = measure(make_volume((2.5, 0.7, 0.7)), region_of(volume, mask))
    assert whole.key_slice == 8
    found = measure(volume, region_of(volume, mask))
    assert found.volume_mm3 == whole.volume_mm3
    assert found.key_slice in (7, 9)
    assert "1.9.8" in whole.slices
    assert set(found.slices) == set(whole.slices) - {"1.9.8"}


def test_a_lesion_on_interpolated_slices_only_can_not_be_shown() -> None:
    volume = make_volume((2.5, 0.7, 0.7), missing=(8,))
    mask = np.zeros(volume.grid.shape, bool)
    mask[8, 20:25, 20:25] = True
    with pytest.raises(NothingToEncode, match="interpolated"):
        measure(volume, region_of(volume, mask))


def test_an_empty_mask_is_no_lesion() -> None:
    volume = make_volume((2.5, 0.7, 0.7))
    with pytest.raises(NothingToEncode, match="empty"):
        measure(volume, Region(np.zeros((2, 2, 2), bool), (0, 0, 0), volume.grid))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31))
def test_any_scattered_mask_is_measured(seed: int) -> None:
    """Single voxels, rings, pieces that touch at corners: numbers, never an exception."""
    rng = np.random.default_rng(seed)
    volume = make_volume((2.5, 0.7, 0.7), side_mm=8)
    voxels = rng.random((2, 6, 7)) < rng.choice([0.1, 0.5, 0.9])
    voxels[0, 3, 3] = True
    found = measure(volume, Region(voxels, (1, 2, 3), volume.grid))
    assert found.volume_mm3 == pytest.approx(voxels.sum() * 2.5 * 0.7 * 0.7)
    assert 0 < found.short_axis_mm <= found.long_axis_mm + 1e-9
    assert found.long_axis_mm <= np.hypot(6, 7) * 0.7 + 1e-9
    index = volume.grid.to_index(found.centre_lps_mm) - (1, 2, 3)
    assert (index > -0.01).all()
    assert (index < np.array(voxels.shape) - 0.99).all()


def test_an_organ_is_outlined_on_each_slice_that_it_reaches() -> None:
    volume = make_volume((2.5, 0.7, 0.7))
    far = np.linalg.norm(places(volume) - middle(volume), axis=-1)
    region = region_of(volume, far <= 12)
    first, last = region.start[0], region.start[0] + len(region.voxels) - 1
    drawn = {k: outlines_on(volume, region, k) for k in range(volume.grid.shape[0])}
    assert all(drawn[k] for k in range(first, last + 1))
    assert not drawn[first - 1] and not drawn[last + 1]
    key = measure_structure(volume, region)
    assert drawn[key.key_slice] == key.outlines
