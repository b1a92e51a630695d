"""Darkness, place and the learned map: relative to the own parenchyma, hottest in a lesion."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest

from imaging.geometry import Point
from imaging.pancreatic import Part
from imaging.volume import Region, Volume
from models.lesions import HeatMap
from models.loaded import load_model
from models.pancreas.darkness import darkness, depth_mm, within
from models.pancreas.gland import PIXEL_MM, GlandSlices, gland_slices
from models.pancreas.heat import heat_map, learned, to_input
from models.pancreas.places import APART_MM, extent, places
from models.runner import PatchInput, PatchOutputs, Runner
from models.runtime import Batch, Outputs
from models.spec import CATALOG, read_spec
from tests.unit.models.pancreas.research import MadeGland, made_gland


def side(point: Point) -> Part:
    return Part.HEAD if point[0] < 0 else Part.TAIL


def sliced(made: MadeGland) -> GlandSlices:
    gland = gland_slices(made.volume, made.organ)
    assert gland is not None
    return gland


def in_lesion(made: MadeGland, point: Point) -> bool:
    k, j, i = np.rint(made.volume.grid.to_index(point)).astype(int)
    return bool(made.lesion[k, j, i])


class Darker:
    """A network that gives each pixel of the organ how dark it is."""

    name, device = "darker", "cpu"

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def run(self, batch: Batch) -> Outputs:
        assert batch.dtype == np.float32 and batch.shape[1] == 2
        assert batch.shape[2] % 16 == 0 and batch.shape[3] % 16 == 0
        assert set(np.unique(batch[:, 1])) <= {0.0, 1.0}
        assert not batch[:, 0][batch[:, 1] == 0].any()
        self.shapes.append(batch.shape)
        return (-4 * batch[:, :1],)

    def submit(self, patch: PatchInput) -> Future[PatchOutputs]:
        raise NotImplementedError

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def heat() -> Runner:
    """The shipped net."""
    return load_model(read_spec(CATALOG / "pancreas_reference"), threads=1).runners["heat"]


def test_slices_are_of_the_organ_alone_at_the_working_pixel() -> None:
    made = made_gland(lesion_at_mm=None, spacing=(1.0, 0.7, 0.7))
    gland = sliced(made)
    assert gland.grid.spacing_mm == pytest.approx((3.0, PIXEL_MM, PIXEL_MM))
    assert gland.delta.shape[1] % 16 == 0 and gland.delta.shape[2] % 16 == 0
    assert gland.parenchyma_hu == pytest.approx(100, abs=3)
    assert np.median(gland.delta[gland.organ]) == pytest.approx(0, abs=1e-3)
    wanted = made.organ.mask.volume_mm3
    assert gland.organ.sum() * gland.grid.voxel_volume_mm3 == pytest.approx(wanted, rel=0.08)
    # Nine source voxels and more to one: less noise.
    deep = np.stack([depth_mm(each, PIXEL_MM) for each in gland.organ]) > 6
    assert gland.delta[deep].std() < 10


def test_a_tiny_or_empty_organ_has_no_slices() -> None:
    made = made_gland()
    nothing = Region(np.zeros((3, 3, 3), bool), made.organ.start, made.volume.grid)
    assert gland_slices(made.volume, nothing) is None
    speck = Region(np.ones((1, 1, 1), bool), made.organ.start, made.volume.grid)
    assert gland_slices(made.volume, speck) is None
    assert places(made.volume, nothing, None, side) == ()
    assert not heat_map(made.volume, speck, Darker()).values.any()


def test_depth_and_smoothing_by_hand() -> None:
    organ = np.zeros((16, 16), bool)
    organ[4:11, 3:14] = True
    depth = depth_mm(organ, 2.0)
    assert depth[7, 8] == pytest.approx(8.0)
    assert depth[4, 8] == pytest.approx(2.0)
    assert not depth[~organ].any()
    # Only the organ's own pixels are averaged: fat beside it changes nothing.
    values = np.where(organ, 5.0, -90.0).astype(np.float32)
    assert within(values, organ, 2.0)[organ] == pytest.approx(5.0, abs=1e-4)


def test_darkness_is_of_the_lesion_and_zero_outside_the_organ() -> None:
    made = made_gland()
    gland = sliced(made)
    score = darkness(gland)
    assert not score[~gland.organ].any()
    assert score.min() >= 0 and score.max() < 1
    at = np.unravel_index(int(np.argmax(score)), score.shape)
    assert in_lesion(made, gland.grid.to_lps(at))
    healthy = darkness(sliced(made_gland(lesion_at_mm=None)))
    assert score.max() > 1.5 * healthy.max()


def test_a_darker_lesion_scores_higher_and_a_brighter_one_nothing() -> None:
    faint, dark = (darkness(sliced(made_gland(lesion_hu=hu))).max() for hu in (-20.0, -60.0))
    bright = sliced(made_gland(lesion_hu=50.0))
    healthy = darkness(sliced(made_gland(lesion_at_mm=None))).max()
    assert healthy < faint < dark
    at = np.unravel_index(int(np.argmax(darkness(bright))), bright.delta.shape)
    assert bright.delta[at] < 20


@pytest.mark.parametrize("added", [-60.0, 40.0])
def test_a_constant_added_to_all_densities_changes_nothing(added: float, heat: Runner) -> None:
    made = made_gland()
    moved = Volume(made.volume.voxels + np.float32(added), made.volume.grid, made.volume.sources)
    gland, other = sliced(made), gland_slices(moved, made.organ)
    assert other is not None
    assert other.parenchyma_hu == pytest.approx(gland.parenchyma_hu + added, abs=1e-2)
    assert darkness(other) == pytest.approx(darkness(gland), abs=1e-4)
    assert learned(other, heat) == pytest.approx(learned(gland, heat), abs=1e-3)
    first, second = (places(v, made.organ, None, side) for v in (made.volume, moved))
    assert [p.centre_lps_mm for p in first] == [p.centre_lps_mm for p in second]
    assert [p.delta_hu for p in first] == pytest.approx([p.delta_hu for p in second], abs=0.11)


def test_what_lies_around_the_organ_changes_nothing(heat: Runner) -> None:
    made = made_gland()
    gland = sliced(made)
    other = replace(gland, delta=np.where(gland.organ, gland.delta, 250).astype(np.float32))
    assert np.array_equal(darkness(gland), darkness(other))
    assert np.array_equal(learned(gland, heat), learned(other, heat))


def test_the_map_is_put_back_where_it_belongs() -> None:
    made = made_gland()
    runner = Darker()
    found = heat_map(made.volume, made.organ, runner, batch=4)
    assert all(shape[0] <= 4 for shape in runner.shapes)
    assert found.values.shape == made.organ.voxels.shape and found.box is made.organ
    assert found.values.dtype == np.float32
    assert not found.values[~made.organ.voxels].any()
    assert found.values.min() >= 0 and found.values.max() <= 1
    inside = made.lesion[made.organ.box]
    assert found.values[inside].mean() > 0.9
    assert found.values[made.organ.voxels & ~inside].mean() < 0.6


def test_the_input_is_bounded_and_empty_outside_the_organ() -> None:
    organ = np.array([[True, True, False]])
    x = to_input(np.array([[-20.0, -900.0, 300.0]], np.float32), organ)
    assert x.tolist() == [[[-0.5, -2.5, 0.0]], [[1.0, 1.0, 0.0]]]


@pytest.mark.parametrize("upside_down", [False, True])
def test_the_first_place_is_the_lesion(upside_down: bool, heat: Runner) -> None:
    made = made_gland()
    if upside_down:
        made = turned(made)
    map_ = heat_map(made.volume, made.organ, heat)
    found = places(made.volume, made.organ, map_, side)
    assert [p.number for p in found] == list(range(1, len(found) + 1))
    assert 1 <= len(found) <= 3
    first = found[0]
    assert in_lesion(made, first.centre_lps_mm) and first.part is Part.TAIL
    assert first.delta_hu == pytest.approx(-45, abs=15)
    assert first.diameter_mm == pytest.approx(18, abs=6)
    assert first.learned is not None and first.learned > 0.5
    source = made.volume.sources[first.key_slice]
    assert source is not None and first.key_image.sop_instance_uid == source.sop_instance_uid
    assert abs(made.volume.grid.to_index(first.centre_lps_mm)[0] - first.key_slice) <= 1
    rank = [p.darkness * p.learned for p in found if p.learned is not None]
    assert len(rank) == len(found) and rank[0] == max(rank)
    points = np.array([p.centre_lps_mm for p in found])
    for n, point in enumerate(points):
        assert (np.linalg.norm(points[n + 1 :] - point, axis=1) >= APART_MM).all()


def test_places_without_a_map_say_so_and_without_images_are_none() -> None:
    made = made_gland()
    found = places(made.volume, made.organ, None, side, most=1)
    assert len(found) == 1 and found[0].learned is None
    bare = Volume(made.volume.voxels, made.volume.grid)
    assert places(bare, made.organ, None, side) == ()


def test_a_place_is_shown_on_an_image_that_exists() -> None:
    made = made_gland()
    first = places(made.volume, made.organ, None, side)[0]
    sources = list(made.volume.sources)
    sources[first.key_slice] = None
    holed = Volume(made.volume.voxels, made.volume.grid, tuple(sources))
    other = places(holed, made.organ, None, side)[0]
    assert abs(other.key_slice - first.key_slice) == 1
    assert other.centre_lps_mm == first.centre_lps_mm


def test_the_shipped_net_reacts_to_a_lesion_not_to_its_absence(heat: Runner) -> None:
    made, healthy = made_gland(), made_gland(lesion_at_mm=None)
    with_, without = (heat_map(m.volume, m.organ, heat).values for m in (made, healthy))
    inside = made.lesion[made.organ.box]
    assert with_[inside].mean() > 0.5
    assert without[inside].mean() < 0.2
    at = np.unravel_index(int(np.argmax(with_)), with_.shape)
    assert inside[at]


def turned(made: MadeGland) -> MadeGland:
    """The same, stored from the head down."""
    volume, organ = made.volume, made.organ
    affine = volume.grid.affine.copy()
    affine[:3, 3] = volume.grid.to_lps((volume.grid.shape[0] - 1, 0, 0))
    affine[:3, 0] *= -1
    grid = replace(volume.grid, affine=affine)
    start = (grid.shape[0] - organ.start[0] - organ.voxels.shape[0], *organ.start[1:])
    return MadeGland(
        Volume(volume.voxels[::-1].copy(), grid, volume.sources[::-1]),
        Region(organ.voxels[::-1].copy(), start, grid),
        made.lesion[::-1].copy(),
    )


def test_a_heat_map_of_another_kind_is_read_at_the_right_voxels() -> None:
    made = made_gland()
    values = np.zeros(made.organ.voxels.shape, np.float32)
    values[made.lesion[made.organ.box]] = 0.75
    found = places(made.volume, made.organ, HeatMap(values, made.organ), side)
    assert found[0].learned == 0.75 and in_lesion(made, found[0].centre_lps_mm)


def test_one_long_dark_stretch_is_one_place() -> None:
    wide = made_gland(lesion_at_mm=15.0, diameter_mm=70.0, lesion_hu=-50.0)
    found = places(wide.volume, wide.organ, None, side)
    gland = sliced(wide)
    score = darkness(gland)
    index = [tuple(int(n) for n in np.rint(gland.grid.to_index(p.centre_lps_mm))) for p in found]
    for n, (k, j, i) in enumerate(index):
        reach = extent(score[k], (j, i))
        assert not any(k == other[0] and reach[other[1:]] for other in index[:n])


def test_with_a_map_both_scores_rank_and_without_the_plain_one() -> None:
    made = made_gland()
    values = np.where(made.organ.voxels, 0.02, 0).astype(np.float32)
    inside = made.lesion[made.organ.box]
    values[inside] = 0.0
    plain = places(made.volume, made.organ, None, side)
    assert in_lesion(made, plain[0].centre_lps_mm)
    assert [p.darkness for p in plain] == sorted((p.darkness for p in plain), reverse=True)
    # A map that sees nothing where it is dark: another place comes first.
    other = places(made.volume, made.organ, HeatMap(values, made.organ), side)
    assert other and not in_lesion(made, other[0].centre_lps_mm)
