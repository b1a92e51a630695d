"""A gland with a duct of known width: what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import NotMeasured
from imaging.geometry import Grid
from imaging.language import Text
from imaging.pancreas import Around, anatomy_of, measure_gland
from imaging.pancreas.gland import describe_duct
from imaging.pancreatic import Fitness, Gland, Part, Phase, PhaseEstimate
from imaging.volume import Region, Volume
from tests.unit.imaging.pancreas.tubes import PARENCHYMA, Tube, tube

SPACING = (2.5, 1.0, 1.0)
PHASE = PhaseEstimate(phase=Phase.PORTAL, why=Text(en="set", zh="设定"))
FITNESS = Fitness(slice_mm=2.5, whole_gland=True)


def measured(made: Tube, around: Around | None = None) -> Gland:
    return measure_gland(
        made.volume, made.gland, tracking_uid="1.2.3", phase=PHASE, fitness=FITNESS, around=around
    )


@pytest.fixture(scope="module")
def dilated() -> Tube:
    """A duct of 6 mm from two fifths of the gland's length on."""
    return tube(18, duct=6, duct_from=0.4, spacing=SPACING)


@pytest.fixture(scope="module")
def gland(dilated: Tube) -> Gland:
    """That gland, measured."""
    return measured(dilated)


def test_a_dilated_duct_is_measured_and_ends_where_it_ends(gland: Gland) -> None:
    assert gland.duct.dilated
    assert gland.duct.widest_mm == pytest.approx(6, abs=0.8)
    assert gland.duct.cut_off_at in (Part.HEAD, Part.NECK)
    start = 0.4 * (gland.length_mm - 18) + 9
    seen = [p.along_mm for p in gland.profile if p.duct_mm is not None]
    assert min(seen) == pytest.approx(start, abs=6)
    assert max(seen) > gland.length_mm - 20
    wide = [p.duct_mm for p in gland.profile if p.duct_mm is not None]
    assert float(np.median(wide)) == pytest.approx(6, abs=1.0)
    assert "dark ridges" in gland.duct.why.en


def test_the_density_is_the_tissues_not_the_ducts(dilated: Tube, gland: Gland) -> None:
    assert gland.parenchyma_hu == pytest.approx(PARENCHYMA, abs=5)
    assert 8 < gland.parenchyma_sd_hu < 20
    assert gland.volume_ml == pytest.approx(dilated.gland.mask.volume_mm3 / 1000, abs=0.1)


@pytest.mark.parametrize(("thickness", "width", "within"), [(18, 3.0, 0.8), (18, 4.5, 0.8),
                                                            (16, 8.0, 1.6)])  # fmt: skip
def test_width_of_ducts(thickness: float, width: float, within: float) -> None:
    made = tube(thickness, duct=width, duct_from=0.4, spacing=SPACING, seed=1)
    taken = anatomy_of(made.volume, made.gland)
    seen = taken.duct.width[taken.duct.seen]
    assert len(seen) * 2 > 70
    assert float(np.median(seen)) == pytest.approx(width, abs=within)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_gland_without_a_duct_has_none(seed: int) -> None:
    made = tube(16, spacing=SPACING, noise_hu=20, seed=seed)
    duct = describe_duct(anatomy_of(made.volume, made.gland))
    assert duct.widest_mm is None and not duct.dilated and duct.cut_off_at is None
    assert "no duct stands out" in duct.why.en


def test_a_models_duct_is_measured_by_its_mask(dilated: Tube) -> None:
    gland = measured(dilated, Around(duct=dilated.duct))
    assert gland.duct.widest_mm == pytest.approx(6, abs=1.2)
    assert "a model's mask" in gland.duct.why.en


def test_parts_follow_the_vessels_where_they_were_segmented(dilated: Tube) -> None:
    grid = dilated.volume.grid
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    xs = dilated.line[:, 0]
    vein_x, aorta_x = float(np.interp(60, np.arange(len(xs)) * 0.5, xs)), float(xs.mean()) + 30
    vein = Region(np.abs(points[..., 0] - vein_x) < 6, (0, 0, 0), grid)
    aorta = Region(np.abs(points[..., 0] - aorta_x) < 10, (0, 0, 0), grid)
    taken = anatomy_of(dilated.volume, dilated.gland, Around(vein=vein, aorta=aorta))
    line = taken.line
    for border, x in ((taken.parts.neck_at, vein_x - 6), (taken.parts.body_at, vein_x + 6),
                      (taken.parts.tail_at, aorta_x + 10)):  # fmt: skip
        assert float(np.interp(border, line.along, line.points[:, 0])) == pytest.approx(x, abs=2)
    order = [taken.parts.at(p) for p in line.points]
    assert order[0] is Part.HEAD and order[-1] is Part.TAIL
    ranks = [list(Part).index(p) for p in order]
    assert ranks == sorted(ranks)
    # Behind the vein, below the neck: the uncinate process.
    neck = line.points[int(np.searchsorted(line.along, taken.parts.neck_at))]
    assert taken.part_of((neck[0] + 5, neck[1] + 15, neck[2] - 25)) is Part.UNCINATE


def test_a_mask_without_a_head_says_so(dilated: Tube) -> None:
    cut = dilated.gland.voxels.copy()
    xs = dilated.volume.grid.to_lps(np.stack([np.zeros(cut.shape[2])] * 2 + [
        np.arange(cut.shape[2])], axis=-1))[:, 0]  # fmt: skip
    cut[:, :, xs < 0] = False
    piece = Region(cut, (0, 0, 0), dilated.volume.grid)
    gland = measure_gland(
        dilated.volume, piece, tracking_uid="1", phase=PHASE, fitness=FITNESS,
        around=Around(aorta_left_mm=5.0),
    )  # fmt: skip
    assert {p.part for p in gland.profile} <= {Part.BODY, Part.TAIL}
    assert any("does not reach the head" in t.en for t in gland.told)


def test_what_can_not_be_measured(dilated: Tube) -> None:
    grid = dilated.volume.grid
    with pytest.raises(NotMeasured, match="another grid"):
        other = Grid(grid.shape, grid.affine @ np.diag([2.0, 1, 1, 1]))
        anatomy_of(dilated.volume, Region(dilated.gland.voxels, (0, 0, 0), other))
    with pytest.raises(NotMeasured, match="less than 3 ml"):
        few = np.zeros(grid.shape, bool)
        few[5:7, 5:10, 5:10] = True
        anatomy_of(dilated.volume, Region(few, (0, 0, 0), grid))
    with pytest.raises(NotMeasured, match="empty"):
        anatomy_of(dilated.volume, Region(np.zeros(grid.shape, bool), (0, 0, 0), grid))


def test_every_place_of_the_profile_lies_in_the_gland(dilated: Tube, gland: Gland) -> None:
    assert len(gland.profile) > 80
    volume: Volume = dilated.volume
    inside = 0
    for point in gland.profile:
        k, j, i = np.rint(volume.grid.to_index(point.centre_lps_mm)).astype(int)
        inside += bool(dilated.gland.voxels[k, j, i])
    assert inside >= 0.97 * len(gland.profile)
    assert gland.thinnest_mm == pytest.approx(18, abs=1.5)
