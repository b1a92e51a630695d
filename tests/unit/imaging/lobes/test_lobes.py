"""Lobes in drawn lungs whose fissures are known, and in real ones whose fissures are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import NoLung
from imaging.geometry import Grid
from imaging.headers import scan_files
from imaging.load import load_series
from imaging.lobes import LobeMap, map_lobes
from imaging.lobes.lobemap import LEAST_CLEAR_MM
from imaging.lungs import LungMask, lung_mask
from imaging.nodule import Side, Third
from imaging.resample import resample
from imaging.series import group_series
from imaging.volume import Mask, Volume
from tests.unit.imaging.lobes import drawn

Point = tuple[float, float, float]


@pytest.fixture(scope="module")
def chest() -> Volume:
    return drawn.chest()


@pytest.fixture(scope="module")
def lobes(chest: Volume) -> LobeMap:
    return map_lobes(chest, lung_mask(chest))


@pytest.fixture
def coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws with pixels of 2.25 mm, for what does not hang on a voxel."""
    monkeypatch.setattr(drawn, "SPACING", (2.0, 2.25, 2.25))
    monkeypatch.setattr(drawn, "SHAPE", (135, 93, 133))


def points(n: int, seed: int = 1) -> list[Point]:
    rng = np.random.default_rng(seed)
    inside = np.argwhere(drawn.in_lung(-1, 6.0) | drawn.in_lung(1, 6.0))
    chosen = inside[rng.choice(len(inside), n, replace=False)]
    z, y, x = (a.ravel() for a in drawn.axes())
    return [(float(x[i]), float(y[j]), float(z[k])) for k, j, i in chosen]


def fissure_mm(point: Point) -> float:
    x, y, z = (np.array(v) for v in point)
    away = abs(float(drawn.oblique(z, y, x)))
    if point[0] < 0 and drawn.oblique(z, y, x) > 0:
        away = min(away, abs(float(drawn.minor(z, y, x))))
    return away


def test_a_told_lobe_is_the_drawn_one_and_most_are_told(chest: Volume, lobes: LobeMap) -> None:
    told = 0
    some = points(200)
    for point in some:
        place = lobes.place(chest, drawn.ball(chest, point))
        assert place.side.value == ("right" if point[0] < 0 else "left")
        if place.lobe is not None:
            told += 1
            assert place.lobe.value == drawn.lobe_at(point), point
            assert fissure_mm(point) > LEAST_CLEAR_MM - 2, point  # 2 mm: what the fit may be off
        assert place.lobe_why.en and place.lobe_why.zh
    assert told > 0.45 * len(some)


def test_on_a_fissure_no_lobe_is_told_and_the_reason_is(chest: Volume, lobes: LobeMap) -> None:
    place = lobes.place(chest, drawn.ball(chest, (70.0, 8.0, 4.0)))  # on the left oblique
    assert place.lobe is None
    assert "oblique fissure" in place.lobe_why.en
    assert "斜裂" in place.lobe_why.zh


def test_distance_to_a_seen_fissure(chest: Volume, lobes: LobeMap) -> None:
    off = []
    for point in points(60, seed=2):
        place = lobes.place(chest, drawn.ball(chest, point))
        if place.fissure_mm is not None and 8 < fissure_mm(point) < 30:
            off.append(place.fissure_mm - (fissure_mm(point) - 4.0))
    assert len(off) >= 8
    assert np.median(np.abs(off)) < 2.0


@pytest.mark.parametrize(("depth", "expected"), [(4.0, 0.0), (10.0, 6.0), (25.0, 21.0)])
def test_distance_to_the_pleura_is_from_the_edge(
    chest: Volume, lobes: LobeMap, depth: float, expected: float
) -> None:
    # Straight in from the side wall at the lung's middle height.
    wide = float(np.sqrt(1 - (20.0 / drawn.HALF[0]) ** 2))
    point = (drawn.MIDDLE_X + drawn.HALF[2] * wide - depth, 0.0, 20.0)
    place = lobes.place(chest, drawn.ball(chest, point))
    assert place.pleura_mm == pytest.approx(expected, abs=1.8)
    assert place.subpleural == (expected <= 10)


def test_a_vessel_is_no_pleura(coarser: None) -> None:
    chest = drawn.chest()
    hu = np.array(chest.voxels)
    z, y, x = drawn.axes()
    hu[
        np.broadcast_to((x - 75) ** 2 + (z - 30) ** 2 < 3.5**2, hu.shape) & drawn.in_lung(1, 25.0)
    ] = 40
    study = Volume(hu, chest.grid)
    place = map_lobes(study, lung_mask(study)).place(study, drawn.ball(study, (75.0, 0.0, 30.0)))
    assert place.pleura_mm > 30


def test_a_mass_on_the_wall_touches_the_pleura(coarser: None) -> None:
    chest = drawn.chest()
    point = (drawn.MIDDLE_X + drawn.HALF[2] - 8.0, 0.0, 0.0)
    mass = drawn.ball(chest, point, 26.0)
    hu = np.array(chest.voxels)
    hu[mass.box] = np.where(mass.voxels, 40, hu[mass.box])
    study = Volume(hu, chest.grid)
    place = map_lobes(study, lung_mask(study)).place(study, drawn.ball(study, point, 26.0))
    assert place.pleura_mm == 0.0
    assert place.subpleural
    assert place.side is Side.LEFT


def test_thirds_are_of_the_lungs_own_height(chest: Volume, lobes: LobeMap) -> None:
    # The lung runs from -90 to 120 mm.
    for z, third in ((-60.0, Third.LOWER), (10.0, Third.MIDDLE), (95.0, Third.UPPER)):
        assert lobes.place(chest, drawn.ball(chest, (-70.0, 0.0, z))).third is third


def test_lungs_that_touch_are_parted_at_the_junction_line(coarser: None) -> None:
    study = drawn.chest(touching=True, seed=3)
    found = map_lobes(study, lung_mask(study))
    for x in (-20.0, -6.0, 6.0, 20.0):
        place = found.place(study, drawn.ball(study, (x, -55.0, 30.0), 5.0))
        assert place.side is (Side.RIGHT if x < 0 else Side.LEFT), x


def test_storage_order_does_not_matter(chest: Volume, lobes: LobeMap) -> None:
    affine = chest.grid.affine.copy()
    affine[:3, 0] *= -1
    affine[:3, 3] = chest.grid.to_lps([chest.grid.shape[0] - 1, 0, 0])
    turned = Volume(chest.voxels[::-1].copy(), Grid(chest.grid.shape, affine))
    found = map_lobes(turned, lung_mask(turned))
    for point in points(6, seed=4):
        here = lobes.place(chest, drawn.ball(chest, point))
        there = found.place(turned, drawn.ball(turned, point))
        assert (here.side, here.third) == (there.side, there.third)
        assert {here.lobe, there.lobe} <= {here.lobe or there.lobe, None}
        assert here.pleura_mm == pytest.approx(there.pleura_mm, abs=2.0)


def test_without_a_visible_fissure_few_lobes_are_told_near_its_usual_place(
    coarser: None,
) -> None:
    study = drawn.chest(fissures=False, seed=5)
    found = map_lobes(study, lung_mask(study))
    some = [p for p in points(150, seed=6) if fissure_mm(p) < 15]
    told = sum(found.place(study, drawn.ball(study, p)).lobe is not None for p in some)
    assert told < 0.35 * len(some)


def test_thick_slices_give_side_and_third_only(chest: Volume) -> None:
    affine = chest.grid.affine.copy()
    affine[:3, 0] *= 4
    k = chest.grid.shape[0] // 4
    thick = resample(chest, Grid((k, *chest.grid.shape[1:]), affine))
    region = drawn.ball(thick, (70.0, 30.0, -50.0), 14.0)
    place = map_lobes(thick, lung_mask(thick)).place(thick, region)
    assert place.side is Side.LEFT
    assert place.third is Third.LOWER
    assert place.lobe is None and place.fissure_mm is None
    assert "3 mm" in place.lobe_why.en


def test_one_lung_alone(coarser: None) -> None:
    study = drawn.chest(sides=(1,), seed=7)
    found = map_lobes(study, lung_mask(study))
    assert [lung.side for lung in found.lungs] == [Side.LEFT]
    assert found.place(study, drawn.ball(study, (70.0, 30.0, -50.0))).side is Side.LEFT


def test_a_scan_that_cuts_the_lungs_tells_no_lobe(chest: Volume) -> None:
    cut = Volume(chest.voxels[55:], chest.grid.crop((55, 0, 0), (80, *chest.grid.shape[1:])))
    place = map_lobes(cut, lung_mask(cut)).place(cut, drawn.ball(cut, (70.0, 0.0, 60.0)))
    assert place.lobe is None
    assert "cuts the lungs" in place.lobe_why.en


def test_no_lung_is_a_clear_error() -> None:
    study = drawn.chest(sides=())
    with pytest.raises(NoLung, match="no lung in view"):
        map_lobes(study, lung_mask(study))
    full = LungMask(Mask(np.ones(study.grid.shape, bool), study.grid), 0.0, 0.0, (False, False))
    soft = Volume(np.full(study.grid.shape, 40, np.int16), study.grid)
    with pytest.raises(NoLung, match="HU"):
        map_lobes(soft, full)


def test_an_empty_region_is_refused(chest: Volume, lobes: LobeMap) -> None:
    region = drawn.ball(chest, (70.0, 0.0, 0.0))
    empty = type(region)(np.zeros_like(region.voxels), region.start, region.within)
    with pytest.raises(ValueError, match="empty region"):
        lobes.place(chest, empty)


def test_noise_alone_breaks_nothing() -> None:
    rng = np.random.default_rng(0)
    hu = rng.normal(-700, 400, (40, 60, 60)).astype(np.int16)
    study = Volume(hu, Grid((40, 60, 60), np.diag([4.0, 4.0, 4.0, 1.0])[[2, 1, 0, 3]]))
    mask = LungMask(Mask(np.ones((40, 60, 60), bool), study.grid), 1000.0, 1000.0, (True, True))
    place = map_lobes(study, mask).place(
        study, drawn.ball(study, tuple(study.grid.to_lps([20, 30, 30])))
    )
    assert place.lobe is None


def test_a_real_scan(lidc_0005: Path) -> None:
    files = sorted(p for p in lidc_0005.rglob("*") if p.is_file())
    series = max(group_series(scan_files(files)), key=lambda s: len(s.slices))
    volume = load_series(series).volume
    found = map_lobes(volume, lung_mask(volume))
    traced = json.loads(
        (Path(__file__).parents[4] / "benchmarks" / "lobes_traced.json").read_text()
    )
    places = [e for e in traced["points"] if e["patient"] == "LIDC-IDRI-0005"]
    assert len(places) >= 10
    told = 0
    for entry in places:
        place = found.place(volume, drawn.ball(volume, tuple(entry["xyz"])))
        assert entry["lobe"].startswith(place.side.value)
        if place.lobe is not None:
            told += 1
            assert place.lobe.value == entry["lobe"], entry
    assert told >= len(places) // 2
